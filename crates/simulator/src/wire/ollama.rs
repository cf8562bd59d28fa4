//! Ollama's `/api/generate` and `/api/chat`: NDJSON, one record per chunk, the counts and durations in
//! the last.

use std::io::Write;
use std::time::Duration;

use formats::clock::utc_now;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Call, End, Format, Keep, Wish, quoted, words};

/// What the records of the two paths have around their text.
struct Shape {
    before: &'static str,
    after: &'static str,
    /// In the last record: `/api/generate` gives tokens back that continue a conversation.
    context: &'static str,
}

const GENERATE: Shape =
    Shape { before: r#""response":""#, after: "\"", context: r#","context":[]"# };
const CHAT: Shape =
    Shape { before: r#""message":{"role":"assistant","content":""#, after: "\"}", context: "" };

#[derive(Deserialize)]
struct Generate {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    system: String,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Deserialize)]
struct Chat {
    messages: Option<Vec<Said>>,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: String,
}

/// What both paths know.
#[derive(Deserialize)]
struct Wanted {
    model: String,
    stream: Option<bool>,
    keep_alive: Option<Value>,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    num_predict: Option<i64>,
    num_ctx: Option<u64>,
}

/// Understands the body of a request to `/api/generate`, or says what is wrong with it.
pub fn generate(body: &[u8], _number: u64) -> Result<Asked, String> {
    let body: Generate = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let prompt = (!body.prompt.is_empty()).then(|| words(&body.system) + words(&body.prompt));
    asked(GENERATE, body.wanted, prompt)
}

/// The same for `/api/chat`.
pub fn chat(body: &[u8], _number: u64) -> Result<Asked, String> {
    let body: Chat = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let messages = body.messages.filter(|messages| !messages.is_empty());
    let prompt = messages.map(|messages| messages.iter().map(|said| words(&said.content)).sum());
    asked(CHAT, body.wanted, prompt)
}

/// Without a prompt the model is to be loaded, or unloaded if it is to stay for no time.
fn asked(shape: Shape, wanted: Wanted, prompt_tokens: Option<u64>) -> Result<Asked, String> {
    let Wanted { model, stream, keep_alive, options } = wanted;
    if model.is_empty() {
        return Err("model is required".to_owned());
    }
    let keep = keep_alive.as_ref().map(keep).transpose()?;
    let wish = Wish { context: options.as_ref().and_then(|options| options.num_ctx), keep };
    let head = format!(r#"{{"model":{},"created_at":"{}","#, quoted(&model), utc_now());
    let records = Records { head, shape, prompt_tokens: prompt_tokens.unwrap_or(0) };
    let Some(prompt_tokens) = prompt_tokens else {
        return Ok(if keep == Some(Keep::For(Duration::ZERO)) {
            Asked::Unload { model, answer: records.without_text("unload") }
        } else {
            Asked::Load { model, wish, answer: records.without_text("load") }
        });
    };
    let call = Call {
        model,
        prompt_tokens,
        // Negative means without limit.
        limit: options.and_then(|options| options.num_predict?.try_into().ok()),
        stream: stream.unwrap_or(true),
        wish,
    };
    Ok(Asked::Text(call, Box::new(records)))
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

/// The body of an answer that is an error.
pub fn error(_status: u16, message: &str) -> String {
    json!({ "error": message }).to_string()
}

/// Writes one answer.
struct Records {
    /// The beginning of every record.
    head: String,
    shape: Shape,
    prompt_tokens: u64,
}

impl Records {
    /// A record up to its text and after it, without its end.
    fn record(&self, out: &mut Vec<u8>, text: &str) {
        for part in [&self.head, self.shape.before, text, self.shape.after] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// The only record of an answer to a request without a prompt.
    fn without_text(&self, reason: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.record(&mut out, "");
        // Writing to memory cannot fail, here and below.
        let _ = write!(out, r#","done":true,"done_reason":"{reason}"}}"#);
        out
    }
}

impl Format for Records {
    fn content_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn opening(&self, _out: &mut Vec<u8>) {}

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        self.record(out, text);
        out.extend_from_slice(b",\"done\":false}\n");
    }

    fn last(&self, out: &mut Vec<u8>, end: &End) {
        self.whole(out, "", end);
        out.push(b'\n');
    }

    fn error(&self, out: &mut Vec<u8>, message: &str) {
        let _ = writeln!(out, "{}", error(500, message));
    }

    fn malformed(&self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "{}{}", self.head, self.shape.before);
    }

    fn whole(&self, out: &mut Vec<u8>, text: &str, end: &End) {
        self.record(out, text);
        let (reason, context) = (end.reason(), self.shape.context);
        let _ = write!(out, r#","done":true,"done_reason":"{reason}"{context}"#);
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
