//! Ollama's `/api/generate`: NDJSON, one record per chunk, the counts and durations in the last.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, End, Format, Wish, quoted};
use crate::simulator::load::Keep;

/// What a request to `/api/generate` is for.
#[derive(Debug)]
pub enum Asked {
    Generate(Call),
    /// No prompt: the model is to be loaded or unloaded.
    Load(String, Wish),
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
    keep_alive: Option<Value>,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    num_predict: Option<i64>,
    num_ctx: Option<u64>,
}

/// Understands the body of a request, or says what is wrong with it.
pub fn asked(body: &[u8]) -> Result<Asked, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if body.model.is_empty() {
        return Err("model is required".to_owned());
    }
    let keep = body.keep_alive.as_ref().map(keep).transpose()?;
    let context = body.options.as_ref().and_then(|options| options.num_ctx);
    let wish = Wish { context, keep };
    if body.prompt.is_empty() {
        let unload = keep == Some(Keep::For(Duration::ZERO));
        return Ok(if unload { Asked::Unload(body.model) } else { Asked::Load(body.model, wish) });
    }
    let words = body.system.split_whitespace().chain(body.prompt.split_whitespace()).count();
    Ok(Asked::Generate(Call {
        model: body.model,
        prompt_tokens: words as u64,
        // Negative means without limit.
        limit: body.options.and_then(|options| options.num_predict?.try_into().ok()),
        stream: body.stream.unwrap_or(true),
        wish,
    }))
}

/// Seconds, or a duration as Go writes it (`5m`, `1h30m`, `0`); negative: for ever.
fn keep(value: &Value) -> Result<Keep, String> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => go_seconds(text),
        _ => None,
    };
    let seconds = seconds.ok_or_else(|| format!("{value} is no duration for keep_alive"))?;
    if seconds < 0.0 {
        return Ok(Keep::ForEver);
    }
    Ok(Duration::try_from_secs_f64(seconds).map_or(Keep::ForEver, Keep::For))
}

fn go_seconds(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit..];
        if rest.is_empty() {
            return Some(sign * seconds);
        }
    }
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
