//! The decoders and request bodies by themselves.

use std::collections::BTreeMap;

use formats::endpoint::{Api, Dialect};
use formats::protocol::ServerCounts;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DecodeError, Ending, LINE_LIMIT, Prompt, decoder, error_body};

/// Everything a decoder says of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Decoded {
    chunks: Vec<(usize, String)>,
    ending: Ending,
    complete_at_close: bool,
    error: Option<DecodeError>,
}

fn decode<'a>(api: Api, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = decoder(api, None);
    let (mut chunks, mut error) = (Vec::new(), None);
    'stream: for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_chunk() {
                Ok(Some(chunk)) => chunks.push((chunk.bytes, chunk.text.into_owned())),
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break 'stream;
                }
            }
        }
    }
    if error.is_none() {
        match decoder.last_chunk() {
            Ok(chunk) => chunks.extend(chunk.map(|chunk| (chunk.bytes, chunk.text.into_owned()))),
            Err(found) => error = Some(found),
        }
    }
    let ending = decoder.ending().clone();
    Decoded { chunks, ending, complete_at_close: decoder.complete_at_close(), error }
}

fn texts(decoded: &Decoded) -> Vec<&str> {
    decoded.chunks.iter().map(|(_, text)| text.as_str()).collect()
}

const OLLAMA: &str = concat!(
    r#"{"model":"m","created_at":"t","response":"","thinking":"Hm, ","done":false}"#,
    "\n",
    r#"{"model":"m","response":"Gr\u00fc\u00dfe \ud83d\ude00 ","done":false}"#,
    "\r\n\n",
    r#"{"model":"m","response":"日本語 😀","done":false}"#,
    "\n",
    r#"{"model":"m","response":"!","done":true,"done_reason":"length","context":[1,2,3],"#,
    r#""total_duration":5000,"load_duration":10,"prompt_eval_count":7,"eval_count":4,"#,
    r#""eval_duration":2.5e3}"#,
    "\n",
);

const CHAT: &str = concat!(
    ": keep-alive\r\n\r\n",
    "event: message\nid: 1\n",
    r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"#,
    r#""finish_reason":null}]}"#,
    "\n\n",
    r#"data:{"choices":[{"delta":{"reasoning_content":"Hm","content":null}}]}"#,
    "\r\n\r\n",
    "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"日本\\n😀\"}}]}\n\n",
    r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"timings":{"cache_n":2,"prompt_n":5,"#,
    r#""prompt_ms":1.5,"predicted_n":2,"predicted_ms":20.25}}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"#,
    r#""prompt_tokens_details":{"cached_tokens":4}}}"#,
    "\n\ndata: [DONE]\n\n",
);

#[test]
fn an_ollama_stream_gives_its_text_and_the_counts_of_its_last_record() {
    let decoded = decode(Api::Ollama, [OLLAMA.as_bytes()]);
    assert_eq!(texts(&decoded), ["Hm, ", "Grüße 😀 ", "日本語 😀", "!"]);
    assert_eq!(decoded.error, None);
    assert!(decoded.ending.complete);
    assert_eq!(decoded.ending.finish_reason.as_deref(), Some("length"));
    let counts = ServerCounts {
        total_ns: Some(5000),
        load_ns: Some(10),
        prompt_tokens: Some(7),
        prefill_ns: None,
        tokens: Some(4),
        decode_ns: Some(2500),
        ..ServerCounts::default()
    };
    assert_eq!(decoded.ending.counts, counts, "what the server leaves out stays unknown");
}

#[test]
fn a_chat_stream_gives_its_text_usage_and_timings() {
    let decoded = decode(Api::OpenaiChat, [CHAT.as_bytes()]);
    assert_eq!(decoded.error, None);
    assert_eq!(texts(&decoded), ["", "Hm", "日本\n😀", "", ""]);
    assert!(decoded.ending.complete);
    assert_eq!(decoded.ending.finish_reason.as_deref(), Some("stop"));
    let counts = ServerCounts {
        prompt_tokens: Some(9),
        prefill_ns: Some(1_500_000),
        tokens: Some(3),
        decode_ns: Some(20_250_000),
        decode_tokens: Some(1), // its clock starts with the first token
        cached_tokens: Some(4),
        ..ServerCounts::default()
    };
    assert_eq!(decoded.ending.counts, counts);
}

#[test]
fn a_completions_stream_gives_its_text() {
    let stream = b"data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"b\",\
        \"finish_reason\":\"length\"}]}\n\n";
    let decoded = decode(Api::OpenaiCompletions, [&stream[..]]);
    assert_eq!(texts(&decoded), ["a", "b"]);
    assert!(!decoded.ending.complete, "there was no [DONE]");
    assert!(decoded.complete_at_close, "but a finish reason");
}

#[test]
fn a_stream_that_is_cut_is_not_complete() {
    let whole = OLLAMA.len();
    let cut = decode(Api::Ollama, [&OLLAMA.as_bytes()[..whole - 9]]);
    assert_eq!(cut.chunks.len(), 3, "half a line is no chunk");
    assert!(!cut.complete_at_close);
    assert_eq!(cut.error, None);
    let unterminated = decode(Api::Ollama, [&OLLAMA.as_bytes()[..whole - 1]]);
    assert!(unterminated.complete_at_close, "only the line end is missing");
    assert_eq!(unterminated.chunks.len(), 4);

    let first = CHAT.find("Hm").unwrap();
    let cut = decode(Api::OpenaiChat, [&CHAT.as_bytes()[..first]]);
    assert_eq!(cut.chunks.len(), 1);
    assert!(!cut.complete_at_close);
    assert_eq!(cut.error, None);
    let unterminated = CHAT.trim_end();
    let decoded = decode(Api::OpenaiChat, [unterminated.as_bytes()]);
    assert!(decoded.ending.complete, "[DONE] without its blank line");
}

#[test]
fn errors_inside_the_stream_keep_the_servers_words() {
    let cases: [(Api, &str); 7] = [
        (Api::Ollama, "{\"error\":\"out of memory\"}\n"),
        (Api::Ollama, "{\"error\":{\"message\":\"out of memory\"}}\n"),
        (Api::Ollama, "{\"error\":\"out of memory\"}"),
        (Api::OpenaiChat, "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n"),
        (Api::OpenaiChat, "error: {\"message\":\"out of memory\",\"code\":500}\n\n"),
        (Api::OpenaiChat, "{\"error\":{\"message\":\"out of memory\"}}\n"),
        (Api::OpenaiCompletions, "{\"error\":\"out of memory\"}"),
    ];
    for (api, stream) in cases {
        let decoded = decode(api, [stream.as_bytes()]);
        assert_eq!(decoded.ending.error.as_deref(), Some("out of memory"), "{stream}");
        assert_eq!(decoded.error, None, "{stream}");
    }
    let long = format!("{{\"error\":\"{}\"}}\n", "é".repeat(5000));
    let message = decode(Api::Ollama, [long.as_bytes()]).ending.error.unwrap();
    assert!(message.len() < 2100, "{}", message.len());
}

#[test]
fn a_stream_that_breaks_its_protocol_is_an_error_and_not_skipped() {
    for (api, stream) in [
        (Api::Ollama, "not json\n"),
        (Api::Ollama, "{\"done\":false,\"response\":\"a\"}\n{\"response\":\"a\"\n"),
        (Api::Ollama, "[]\n"),
        (Api::Ollama, "{\"response\":7}\n"),
        (Api::OpenaiChat, "data: not json\n\n"),
        (Api::OpenaiChat, "not a field\n\n"),
        (Api::OpenaiChat, ": ping\n\n{\"choices\":[]}\n\n"),
        (Api::OpenaiChat, "data: {\"id\":\"x\"}\n\n"),
        (Api::Ollama, "{\"model\":\"m\"}\n"),
        (Api::Anthropic, "data: {\"type\":\"message_more\"}\n\n"),
    ] {
        let error = decode(api, [stream.as_bytes()]).error;
        assert!(matches!(error, Some(DecodeError::NotJson { .. })), "{stream}: {error:?}");
    }
}

#[test]
fn what_is_not_quite_json_loses_a_character_or_a_number_and_not_the_call() {
    let cases: [(&[u8], &str); 5] = [
        (b"{\"response\":\"a\xff\",\"x\":NaN,\"y\":[-Infinity,Infinity]}\n", "a\u{fffd}"),
        (br#"{"response":"a\ud83d","response":"b\ud83d"}"#, "b\u{fffd}"),
        (br#"{"response":"\ud83d\ude00 NaN \\ud83d \"\udc00"}"#, "😀 NaN \\ud83d \"\u{fffd}"),
        (br#"{"response":"a","eval_count":1e400,"done":true}"#, "a"),
        (b"\xEF\xBB\xBF{\"response\":\"a\"}", "a"),
    ];
    for (stream, text) in cases {
        for decoded in [decode(Api::Ollama, [stream]), decode(Api::Ollama, stream.chunks(1))] {
            assert_eq!(decoded.error, None, "{}", String::from_utf8_lossy(stream));
            assert_eq!(texts(&decoded), [text]);
            assert_eq!(decoded.ending.counts.tokens, None);
        }
    }
}

#[test]
fn a_line_beyond_the_limit_stops_the_decoder_early() {
    for (api, start) in [(Api::Ollama, "{\"response\":\""), (Api::OpenaiChat, "data: ")] {
        let mut decoder = decoder(api, None);
        decoder.push(start.as_bytes());
        let piece = vec![b'a'; 64 * 1024];
        let mut pushed = 0;
        let error = loop {
            decoder.push(&piece);
            pushed += piece.len();
            match decoder.next_chunk() {
                Ok(None) => assert!(pushed < 2 * LINE_LIMIT, "the limit did not hold"),
                Ok(Some(chunk)) => panic!("{} bytes of text", chunk.text.len()),
                Err(error) => break error,
            }
        };
        assert_eq!(error, DecodeError::TooLong { limit: LINE_LIMIT });
        assert!(pushed <= LINE_LIMIT + piece.len());
    }
}

#[test]
fn many_data_lines_of_one_event_stay_under_the_limit_too() {
    let mut decoder = decoder(Api::OpenaiChat, None);
    let line = format!("data: {}\n", "a".repeat(1024 * 1024));
    let error = (0..40).find_map(|_| {
        decoder.push(line.as_bytes());
        decoder.next_chunk().err()
    });
    assert_eq!(error, Some(DecodeError::TooLong { limit: LINE_LIMIT }));
}

/// A stream cut at random places.
fn pieces<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// Texts with line ends, escapes and characters of one to four bytes.
fn texts_to_send() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z\n\r\"\\\\é日😀 :]{0,12}", 0..12)
}

proptest! {
    #[test]
    fn any_splitting_gives_the_same_items(
        texts in texts_to_send(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        returns in any::<bool>(),
        cut_end in 0_usize..20,
    ) {
        let end = if returns { "\r\n" } else { "\n" };
        let mut ollama = Vec::new();
        let mut chat = Vec::new();
        for text in &texts {
            ollama.push(json!({ "response": text, "done": false }).to_string());
            let event = json!({ "choices": [{ "delta": { "content": text } }] });
            chat.push(format!(": ping{end}{end}data: {event}{end}"));
        }
        ollama.push(json!({ "response": "", "done": true, "eval_count": 3 }).to_string());
        chat.push(format!("data: [DONE]{end}"));
        for (api, records) in [(Api::Ollama, ollama), (Api::OpenaiChat, chat)] {
            let stream: String = records.iter().flat_map(|record: &String| [record.as_str(), end]).collect();
            let stream = &stream.as_bytes()[..stream.len() - cut_end.min(stream.len())];
            let whole = decode(api, [stream]);
            prop_assert_eq!(&decode(api, pieces(stream, &cuts)), &whole);
            prop_assert_eq!(&decode(api, stream.chunks(1)), &whole);
            if cut_end == 0 {
                let sent: String = texts.concat();
                let read: String = whole.chunks.iter().map(|(_, text)| text.as_str()).collect();
                prop_assert_eq!(read, sent);
                prop_assert!(whole.ending.complete);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        stream in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        for api in [Api::Ollama, Api::OpenaiChat] {
            let whole = decode(api, [stream.as_slice()]);
            prop_assert_eq!(decode(api, pieces(&stream, &cuts)), whole);
        }
    }
}

fn body(api: Api, options: Value, max_tokens: Option<u32>) -> Value {
    let options: BTreeMap<String, Value> = serde_json::from_value(options).unwrap();
    let prompt = Prompt {
        api,
        model: "m",
        text: "Say \"hi\"",
        options: &options,
        extra: &BTreeMap::new(),
        dialect: Dialect::default(),
        max_tokens,
    };
    serde_json::from_slice(&prompt.body()).unwrap()
}

/// What is asked for, and the body of its request: the Python runtime is held against the same list.
#[test]
fn the_bodies_of_requests_are_those_of_the_list() {
    #[derive(serde::Deserialize)]
    struct Asked {
        about: String,
        api: Api,
        #[serde(default)]
        options: BTreeMap<String, Value>,
        #[serde(default)]
        extra: BTreeMap<String, Value>,
        #[serde(default)]
        dialect: Dialect,
        max_tokens: Option<u32>,
        body: Value,
    }
    let list = include_str!("../../../../tests/fixtures/bodies.json");
    let list: Vec<Asked> = serde_json::from_str(list).unwrap();
    for asked in &list {
        let prompt = Prompt {
            api: asked.api,
            model: "m",
            text: "Say \"hi\"",
            options: &asked.options,
            extra: &asked.extra,
            dialect: asked.dialect,
            max_tokens: asked.max_tokens,
        };
        let body: Value = serde_json::from_slice(&prompt.body()).unwrap();
        assert_eq!(body, asked.body, "{}", asked.about);
    }
}

#[test]
fn an_ollama_request_leaves_the_servers_defaults_alone() {
    let plain = json!({ "model": "m", "prompt": "Say \"hi\"", "stream": true, "truncate": false });
    assert_eq!(body(Api::Ollama, json!({}), None), plain);
    let full = body(
        Api::Ollama,
        json!({ "num_ctx": 512, "keep_alive": "5m", "think": false, "num_predict": 9 }),
        Some(40),
    );
    let expected = json!({
        "model": "m", "prompt": "Say \"hi\"", "stream": true, "truncate": false,
        "keep_alive": "5m", "think": false,
        "options": { "num_ctx": 512, "num_predict": 40 },
    });
    assert_eq!(full, expected);
}

#[test]
fn an_openai_request_carries_options_at_its_top_level() {
    let chat = body(Api::OpenaiChat, json!({ "temperature": 0.8, "num_predict": 9 }), None);
    let expected = json!({
        "model": "m", "messages": [{ "role": "user", "content": "Say \"hi\"" }], "stream": true,
        "stream_options": { "include_usage": true }, "temperature": 0.8, "max_tokens": 9,
    });
    assert_eq!(chat, expected);
    let completions = body(Api::OpenaiCompletions, json!({ "stream": false }), Some(5));
    let expected = json!({
        "model": "m", "prompt": "Say \"hi\"", "stream": true,
        "stream_options": { "include_usage": true }, "max_tokens": 5,
    });
    assert_eq!(completions, expected, "an option cannot turn the stream off");
}

#[test]
fn an_ollama_chat_wraps_the_prompt_and_a_system_prompt_into_messages() {
    let asked = body(Api::OllamaChat, json!({ "system": "Be brief.", "num_ctx": 512 }), Some(40));
    let expected = json!({
        "model": "m", "stream": true, "truncate": false,
        "options": { "num_ctx": 512, "num_predict": 40 },
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "Say \"hi\"" },
        ],
    });
    assert_eq!(asked, expected);
}

#[test]
fn an_anthropic_request_speaks_its_own_names() {
    let options = json!({ "temperature": 0.5, "stop": "END", "num_predict": 9 });
    let expected = json!({
        "model": "m", "stream": true, "temperature": 0.5, "stop_sequences": ["END"],
        "max_tokens": 9, "messages": [{ "role": "user", "content": "Say \"hi\"" }],
    });
    assert_eq!(body(Api::Anthropic, options, None), expected);
}

#[test]
fn an_anthropic_stream_that_says_an_error_or_is_cut_is_not_whole() {
    let events = |last: &str| {
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"usage\":\
             {{\"input_tokens\":3,\"cache_read_input_tokens\":4}}}}}}\n\nevent: ping\ndata: \
             {{\"type\":\"ping\"}}\n\ndata: {{\"type\":\"content_block_delta\",\"delta\":\
             {{\"type\":\"thinking_delta\",\"thinking\":\"Hm\"}}}}\n\n{last}"
        )
    };
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
                 \"message\":\"Overloaded\"}}\n\n";
    let decoded = decode(Api::Anthropic, [events(error).as_bytes()]);
    assert_eq!(decoded.ending.error.as_deref(), Some("Overloaded"));
    assert_eq!(texts(&decoded), ["", "", "Hm"], "an error is no chunk");
    let counts = &decoded.ending.counts;
    assert_eq!((counts.prompt_tokens, counts.cached_tokens), (Some(7), Some(4)));
    let reason = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    let decoded = decode(Api::Anthropic, [events(reason).as_bytes()]);
    assert_eq!(decoded.ending.finish_reason.as_deref(), Some("end_turn"));
    assert!(!decoded.complete_at_close, "message_stop is missing");
}

#[test]
fn error_bodies_of_all_shapes_give_the_servers_words() {
    for (body, message) in [
        (r#"{"error":"no model"}"#, Some("no model")),
        (r#"{"error":{"message":"no model","type":"x"}}"#, Some("no model")),
        (r#"{"detail":"no model"}"#, Some("no model")),
        (r#"{"object":"error","message":"no model"}"#, Some("no model")),
        ("  no model\n", Some("no model")),
        ("", None),
    ] {
        assert_eq!(error_body(body.as_bytes()).as_deref(), message, "{body}");
    }
}

/// Streams as servers send them, captured or written from their documentation, with what is in them.
#[test]
fn recorded_streams_give_what_lies_beside_them() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/streams");
    for (file, api) in [
        ("llamacpp-chat.sse", Api::OpenaiChat),
        ("llamacpp-completion.sse", Api::OpenaiCompletions),
        ("ollama-anthropic.sse", Api::Anthropic),
        ("ollama-chat-length.ndjson", Api::OllamaChat),
        ("ollama-chat.ndjson", Api::OllamaChat),
        ("ollama-error-inband.ndjson", Api::Ollama),
        ("ollama-generate.ndjson", Api::Ollama),
        ("ollama-thinking.ndjson", Api::Ollama),
        ("openai-vllm-chat.sse", Api::OpenaiChat),
    ] {
        let body = std::fs::read(folder.join(file)).unwrap();
        let expected = folder.join(file).with_extension("expected.json");
        let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
        for decoded in [decode(api, [&body[..]]), decode(api, body.chunks(1))] {
            assert_eq!(decoded.error, None, "{file}");
            let counts = &decoded.ending.counts;
            let got = json!({
                "text": texts(&decoded).concat(),
                "chunks_with_text": texts(&decoded).iter().filter(|text| !text.is_empty()).count(),
                "tokens": counts.tokens,
                "prompt_tokens": counts.prompt_tokens,
                "cached_tokens": counts.cached_tokens,
                "finish_reason": decoded.ending.finish_reason,
                "decode_ns": counts.decode_ns,
                "prefill_ns": counts.prefill_ns,
                "load_ns": counts.load_ns,
                "total_ns": counts.total_ns,
                "error": decoded.ending.error,
                "outcome": expected["outcome"],
            });
            assert_eq!(got, expected, "{file}");
        }
    }
}
