//! Ollama's `/api/generate`: NDJSON, one record per chunk, the counts and durations in the last.

use std::io::Write;

use serde::Deserialize;
use serde_json::json;

use super::{Call, End, Format, quoted};

/// What a request to `/api/generate` is for.
#[derive(Debug)]
pub enum Asked {
    Generate(Call),
    /// No prompt: the model is to be loaded or unloaded.
    Load(String),
    Unload(String),
}

#[derive(Deserialize)]
struct Body {
    model: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    system: String,
    stream: Option<bool>,
    keep_alive: Option<serde_json::Value>,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    num_predict: Option<i64>,
}

/// Understands the body of a request, or says what is wrong with it.
pub fn asked(body: &[u8]) -> Result<Asked, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if body.model.is_empty() {
        return Err("model is required".to_owned());
    }
    if body.prompt.is_empty() {
        // Zero as a number or as a Go duration (`0`, `0s`, `0m`).
        let zero = body.keep_alive.is_some_and(|value| match value.as_str() {
            Some(text) => text.trim_end_matches(char::is_alphabetic) == "0",
            None => value.as_f64() == Some(0.0),
        });
        return Ok(if zero { Asked::Unload(body.model) } else { Asked::Load(body.model) });
    }
    let words = body.system.split_whitespace().chain(body.prompt.split_whitespace()).count();
    Ok(Asked::Generate(Call {
        model: body.model,
        prompt_tokens: words as u64,
        // Negative means without limit.
        limit: body.options.and_then(|options| options.num_predict?.try_into().ok()),
        stream: body.stream.unwrap_or(true),
    }))
}

/// The only record of an answer to a request without a prompt; `reason` is `load` or `unload`.
pub fn without_prompt(model: &str, reason: &str) -> Vec<u8> {
    let record = json!({
        "model": model, "created_at": crate::os::utc_now(), "response": "",
        "done": true, "done_reason": reason,
    });
    record.to_string().into_bytes()
}

/// Writes one answer.
#[derive(Debug)]
pub struct Generate {
    /// Everything of a record before its text.
    before: String,
    prompt_tokens: u64,
}

impl Generate {
    pub fn new(call: &Call) -> Self {
        let before = format!(
            r#"{{"model":{},"created_at":"{}","response":""#,
            quoted(&call.model),
            crate::os::utc_now()
        );
        Self { before, prompt_tokens: call.prompt_tokens }
    }
}

impl Format for Generate {
    fn content_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn opening(&self, _out: &mut Vec<u8>) {}

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        for part in [&self.before, text, "\",\"done\":false}\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    fn last(&self, out: &mut Vec<u8>, end: &End) {
        self.whole(out, "", end);
        out.push(b'\n');
    }

    fn error(&self, out: &mut Vec<u8>, message: &str) {
        let _ = writeln!(out, "{}", json!({ "error": message }));
    }

    fn malformed(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"model\":\"simulated\",\"response\":\n");
    }

    fn whole(&self, out: &mut Vec<u8>, text: &str, end: &End) {
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            r#"{}{text}","done":true,"done_reason":"{}","context":[]"#,
            self.before,
            end.reason()
        );
        // Ollama leaves out what is zero.
        for (key, value) in [
            ("total_duration", end.total_ns),
            ("load_duration", end.load_ns),
            ("prompt_eval_count", self.prompt_tokens),
            ("prompt_eval_duration", end.prefill_ns),
            ("eval_count", end.tokens),
            ("eval_duration", end.decode_ns),
        ] {
            if value > 0 {
                let _ = write!(out, r#","{key}":{value}"#);
            }
        }
        out.push(b'}');
    }
}
