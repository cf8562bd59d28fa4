//! Answers as Ollama gives them, for scripts.

use serde_json::json;

use crate::scripted::Reply;

pub const NDJSON: &str = "application/x-ndjson";

pub fn line(text: &str) -> String {
    format!("{}\n", json!({ "model": "m", "response": text, "done": false }))
}

pub fn last(tokens: u64) -> String {
    let counts = json!({
        "model": "m", "response": "", "done": true, "done_reason": "stop", "eval_count": tokens,
        "eval_duration": 1_000_000, "prompt_eval_count": 5, "total_duration": 9_000_000,
    });
    format!("{counts}\n")
}

/// A well-behaved answer of these texts.
pub fn answer(reply: &mut Reply<'_>, texts: &[&str]) {
    reply.head(200, NDJSON);
    for text in texts {
        reply.chunk(line(text));
    }
    reply.chunk(last(texts.len() as u64));
    reply.end();
}
