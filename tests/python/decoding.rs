//! Recorded streams, read from a socket that cuts them anywhere.

use std::path::PathBuf;

use formats::endpoint::Api;
use formats::protocol::CallRecord;
use serde_json::{Value, json};

use crate::process::{agent, run, spec};
use crate::scripted::Scripted;

/// File, protocol, and the name of the model in it.
const STREAMS: [(&str, Api, &str); 6] = [
    ("llamacpp-chat.sse", Api::OpenaiChat, "smollm2-135m"),
    ("llamacpp-completion.sse", Api::OpenaiCompletions, "gemma-3-270m"),
    ("ollama-error-inband.ndjson", Api::Ollama, "gemma3"),
    ("ollama-generate.ndjson", Api::Ollama, "gemma3"),
    ("ollama-thinking.ndjson", Api::Ollama, "qwen3:8b"),
    ("openai-vllm-chat.sse", Api::OpenaiChat, "Qwen/Qwen2.5-7B-Instruct"),
];
/// Bytes of each piece that the server sends.
const CUTS: [usize; 3] = [1, 7, 1_000_000];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams")
}

#[test]
fn recorded_streams_give_what_lies_beside_them() {
    let server = Scripted::start(|request, reply| {
        let name = request.headers["x-request-id"].split('/').nth(1).unwrap();
        let (cut, file) = name.split_once('_').unwrap();
        reply.head(200, "application/octet-stream");
        let body = std::fs::read(folder().join(file)).unwrap();
        for piece in body.chunks(cut.parse().unwrap()) {
            reply.chunk(piece);
        }
        reply.end();
    });
    for json in ["stdlib", "orjson"] {
        let agents = CUTS.iter().flat_map(|cut| {
            STREAMS.map(|(file, api, model)| {
                let mut agent = agent(&server.url);
                agent.name = format!("{cut}_{file}");
                agent.api = api;
                model.clone_into(&mut agent.model);
                agent
            })
        });
        let mut spec = spec(agents.collect());
        spec.variant.insert("json".to_owned(), json.into());
        let finished = run(spec);
        let record = finished.record.as_ref().unwrap_or_else(|| panic!("{}", finished.stderr));
        assert_eq!(record.calls.len(), CUTS.len() * STREAMS.len());
        for call in &record.calls {
            let file = call.agent.split_once('_').unwrap().1;
            let expected = std::fs::read(folder().join(file).with_extension("expected.json"));
            let expected: Value = serde_json::from_slice(&expected.unwrap()).unwrap();
            let text = finished.response(&call.agent, 0);
            assert_eq!(told(call, &text), expected, "{} with {json}", call.agent);
        }
    }
}

fn told(call: &CallRecord, text: &str) -> Value {
    let server = &call.server;
    json!({
        "text": text,
        "chunks_with_text": call.text_offsets_ns.len(),
        "tokens": server.tokens,
        "prompt_tokens": server.prompt_tokens,
        "cached_tokens": server.cached_tokens,
        "finish_reason": call.finish_reason,
        "decode_ns": server.decode_ns,
        "prefill_ns": server.prefill_ns,
        "load_ns": server.load_ns,
        "total_ns": server.total_ns,
        "error": call.error,
        "outcome": call.outcome.name(),
    })
}
