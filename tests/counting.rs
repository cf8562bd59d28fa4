//! The recorded answers of real engines, from their bytes to their rates: the evidence behind the table of how
//! engines count.

#[expect(dead_code, reason = "the other users of the table compare records")]
#[path = "answers/case.rs"]
mod case;

use std::collections::BTreeMap;
use std::path::Path;

use agent::wire::decoder;
use case::{Case, cases};
use formats::protocol::{AgentRecord, CallRecord, Outcome, PROTOCOL};
use runner::metrics::conventions::CONVENTIONS;
use runner::metrics::{Conditions, Recorded, RunMetrics, compute};
use runner::store::record::{ProcessUsage, Serving};
use serde_json::{Value, json};

/// Tokens that the server's time covers and that time, seconds: as the engine's row of the table says.
const DECODED: [(&str, Option<(f64, f64)>); 24] = [
    // Ten are counted, nine come and are made, eight are timed.
    ("ollama-0.13.5/generate-length-gemma", Some((8.0, 1.584_133_184))),
    ("ollama-0.13.5/generate-length-2-gemma", None),
    ("ollama-0.13.5/generate-length-smollm2", Some((9.0, 1.115_447_527))),
    ("ollama-0.13.5/generate-length-1-smollm2", None),
    ("ollama-0.13.5/generate-unknown-option", Some((1.0, 3.199_686_369))),
    ("ollama-0.13.5/generate-stop-eos-smollm2", Some((7.0, 0.621_455_4))),
    ("ollama-0.13.5/generate-stop-sequence", Some((3.0, 0.303_239_271))),
    ("ollama-0.13.5/generate-format-json", Some((25.0, 13.449_228_67))),
    ("ollama-0.13.5/generate-unicode", Some((39.0, 3.360_326_265))),
    ("ollama-0.13.5/chat-length", Some((9.0, 0.735_614_734))),
    ("ollama-0.13.5/chat-stop", Some((7.0, 0.586_721_631))),
    ("ollama-0.13.5/openai-chat-gemma-usage", None),
    ("ollama-0.13.5/openai-chat-usage", None),
    ("ollama-0.32.15/generate-length-gemma", Some((9.0, 0.232_69))),
    ("ollama-0.32.15/generate-length-2-gemma", Some((1.0, 0.025_113))),
    ("ollama-0.32.15/generate-length-1-gemma", None),
    ("ollama-0.32.15/generate-length-smollm2", Some((9.0, 0.097_167))),
    ("ollama-0.32.15/generate-stop-eos-smollm2", Some((2.0, 0.023_325))),
    ("ollama-0.32.15/generate-stop-sequence", Some((3.0, 0.033_338))),
    ("ollama-0.32.15/generate-unicode", Some((39.0, 0.490_831))),
    ("ollama-0.32.15/chat-stop", Some((2.0, 0.021_939))),
    ("ollama-0.32.15/anthropic-messages", None),
    ("vllm-0.32.0/chat-length", None),
    ("vllm-0.32.0/chat-stop", None),
];

#[test]
fn recorded_answers_give_the_rates_that_the_engines_rows_say() {
    for (name, decoded) in DECODED {
        let case = cases().iter().find(|case| case.name == format!("recorded/{name}"));
        let case = case.unwrap_or_else(|| panic!("no case {name}"));
        let call = played(case);
        let metrics = &computed(call.clone(), &serving(case)).calls[0].metrics;
        let close = |metric: &str, expected: Option<f64>, within: f64| {
            let found = metrics[metric];
            let is_it = match (found, expected) {
                (Some(found), Some(expected)) => (found / expected - 1.0).abs() < within,
                (found, expected) => found == expected,
            };
            assert!(is_it, "{name}: {metric} {found:?}, expected {expected:?}");
        };
        close("decode_tokens_per_s", decoded.map(|(tokens, seconds)| tokens / seconds), 1e-9);
        // From the bytes' times alone: each chunk is a token, or as much of them all as its text is.
        let (chunks, tokens) = (call.text_offsets_ns.len(), call.server.tokens.unwrap_or(0));
        let span = call.text_offsets_ns[chunks - 1] - call.text_offsets_ns[0];
        let several = tokens > chunks as u64 + 2;
        let per_chunk = if several { tokens as f64 / chunks as f64 } else { 1.0 };
        let expected = per_chunk * (chunks as f64 - 1.0) * 1e9 / span as f64;
        close("client_tokens_per_s", (chunks >= 3).then_some(expected), 0.02);
        close("prefill_tokens_per_s", None, 0.0);
    }
}

#[test]
fn every_row_names_evidence_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    for row in &CONVENTIONS {
        let is_folder = row.evidence.starts_with("recorded/");
        assert!(!is_folder || root.join(row.evidence).is_dir(), "{row:?}");
    }
}

/// What served a recorded answer.
fn serving(case: &Case) -> Serving {
    let engine = case.name.split('/').nth(1).unwrap();
    let (server, version) = engine.split_once('-').unwrap();
    let family = if case.answer.model.contains("gemma") { "gemma3" } else { "llama" };
    Serving {
        server: Some(server.to_owned()),
        version: Some(version.to_owned()),
        family: Some(family.to_owned()),
        ..Serving::default()
    }
}

/// The record that a client without any delay of its own would leave.
fn played(case: &Case) -> CallRecord {
    let reads = &case.answer.reads;
    let whole: Vec<u8> = reads.iter().flat_map(|read| read.bytes.clone()).collect();
    let head = whole.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let told = String::from_utf8_lossy(&whole[..head]).to_lowercase();
    let kind = told.lines().find_map(|line| line.strip_prefix("content-type: "));
    // The pauses are shortened: back to the time that the server told, if it told one.
    let last_ms = reads.last().unwrap().at_ms;
    let total_ns = case.expected["total_ns"].as_f64();
    let scale = total_ns.map_or(1e6, |total_ns| total_ns / last_ms.max(0.001));

    let mut decoder = decoder(case.answer.api, kind);
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    let (mut seen, mut unchunked) = (0, Unchunked::default());
    for read in reads {
        let bytes = &read.bytes;
        let body = &bytes[head.saturating_sub(seen).min(bytes.len())..];
        seen += bytes.len();
        decoder.push(&unchunked.take(body));
        while let Some(chunk) = decoder.next_chunk().unwrap() {
            if !chunk.text.is_empty() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a time"
                )]
                offsets.push((read.at_ms * scale) as u64);
                lengths.push(chunk.text.len());
            }
        }
    }
    let ending = decoder.ending();
    let outcome: Outcome = serde_json::from_value(case.expected["outcome"].clone()).unwrap();
    let end_ns =
        offsets.last().unwrap().max(&100_000_000) + case.expected["total_ns"].as_u64().unwrap_or(0);
    serde_json::from_value(json!({
        "agent": "a", "call": 0, "warmup": false, "start_ns": 0, "end_ns": end_ns, "bytes": seen,
        "chunks": 1000, "text_offsets_ns": offsets, "text_bytes": lengths, "outcome": outcome,
        "finish_reason": ending.finish_reason, "server": ending.counts,
    }))
    .unwrap()
}

/// A chunked body without its framing.
#[derive(Default)]
struct Unchunked {
    held: Vec<u8>,
}

impl Unchunked {
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut body = Vec::new();
        while let Some(end) = self.held.windows(2).position(|end| end == b"\r\n") {
            let size = String::from_utf8_lossy(&self.held[..end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if self.held.len() < end + 2 + size + 2 {
                break;
            }
            body.extend_from_slice(&self.held[end + 2..end + 2 + size]);
            self.held.drain(..end + 2 + size + 2);
        }
        body
    }
}

fn computed(call: CallRecord, serving: &Serving) -> RunMetrics {
    let record: AgentRecord = serde_json::from_value(json!({
        "protocol": PROTOCOL, "runtime": { "name": "x", "version": "1" },
        "clock": { "monotonic_ns": 0, "utc": "2026-01-01T00:00:00Z" }, "calls": Value::Array(Vec::new()),
    }))
    .unwrap();
    let record = AgentRecord { calls: vec![call], ..record };
    let serving = BTreeMap::from([("a".to_owned(), serving.clone())]);
    let conditions = Conditions { serving: &serving, ..Conditions::default() };
    compute(&record, &Recorded::default(), &ProcessUsage::default(), conditions)
}
