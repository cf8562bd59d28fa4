//! The wire protocols that the paced endpoint speaks: a table of paths, what a request asks for, how
//! its answer is written.
//!
//! Bytes in and bytes out: when they are sent and what goes wrong is decided elsewhere.

mod anthropic;
mod ollama;
mod openai;

use std::time::Duration;

use serde_json::Value;

#[cfg(test)]
mod tests;

/// A path that generates text.
#[derive(Debug)]
pub struct Wire {
    path: &'static str,
    understand: fn(&[u8], u64) -> Result<Asked, String>,
    error: ErrorBody,
}

/// Status and message to the body of an answer that is an error.
type ErrorBody = fn(u16, &str) -> String;

static WIRES: [Wire; 5] = [
    Wire { path: "/api/generate", understand: ollama::generate, error: ollama::error },
    Wire { path: "/api/chat", understand: ollama::chat, error: ollama::error },
    Wire { path: "/v1/chat/completions", understand: openai::chat, error: openai::error },
    Wire { path: "/v1/completions", understand: openai::completions, error: openai::error },
    Wire { path: "/v1/messages", understand: anthropic::messages, error: anthropic::error },
];

impl Wire {
    /// Understands the body of the request with this number, or says what is wrong with it. The
    /// number makes the answer's id, where the protocol has one.
    pub fn understand(&self, body: &[u8], number: u64) -> Result<Asked, String> {
        (self.understand)(body, number)
    }
}

/// The protocol of a path, or `None` when it generates nothing.
pub fn at(path: &str) -> Option<&'static Wire> {
    WIRES.iter().find(|wire| wire.path == path)
}

/// The body of an answer that is an error, in the dialect of the path.
pub fn error_body(path: &str, status: u16, message: &str) -> Vec<u8> {
    let error = match at(path) {
        Some(wire) => wire.error,
        None if path.starts_with("/v1/") => openai::error,
        None => ollama::error,
    };
    error(status, message).into_bytes()
}

/// What a request is for.
pub enum Asked {
    /// Text, and how its answer is written.
    Text(Call, Box<dyn Format>),
    /// A model is to be loaded; the answer comes when it is.
    Load { model: String, wish: Wish, answer: Vec<u8> },
    /// A model is to be put out of memory.
    Unload { model: String, answer: Vec<u8> },
}

/// What a request for text asks for, whatever its protocol.
#[derive(Debug)]
pub struct Call {
    pub model: String,
    /// Words of the prompt; a real server would count its tokens.
    pub prompt_tokens: u64,
    /// Tokens after which the answer is cut; `None`: the request sets no limit.
    pub limit: Option<u64>,
    pub stream: bool,
    /// What it says of the model's life.
    pub wish: Wish,
}

/// What a request wants of the model's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    pub context: Option<u64>,
    pub keep: Option<Keep>,
}

/// How long a model stays after its last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    For(Duration),
    ForEver,
}

/// What the server knows at the end of an answer.
#[derive(Debug)]
pub struct End {
    pub tokens: u64,
    /// The request's limit ended it.
    pub limited: bool,
    /// From the request's arrival to the end.
    pub total_ns: u64,
    pub load_ns: u64,
    /// From the start of the prefill to the first text, or to the end if there was none.
    pub prefill_ns: u64,
    /// From the first text to the last.
    pub decode_ns: u64,
}

impl End {
    /// `length` or `stop`, as Ollama and OpenAI say it.
    fn reason(&self) -> &'static str {
        if self.limited { "length" } else { "stop" }
    }
}

/// How one answer is written. All methods append; `text` needs no escaping.
pub trait Format {
    /// Of a stream.
    fn content_type(&self) -> &'static str;
    /// What precedes the first text and is sent with the head; nothing in some formats.
    fn opening(&self, out: &mut Vec<u8>);
    fn text(&self, out: &mut Vec<u8>, text: &str);
    /// Everything after the last text.
    fn last(&self, out: &mut Vec<u8>, end: &End);
    /// An error inside the stream.
    fn error(&self, out: &mut Vec<u8>, message: &str);
    /// A record that is not JSON.
    fn malformed(&self, out: &mut Vec<u8>);
    /// The answer to a request without streaming.
    fn whole(&self, out: &mut Vec<u8>, text: &str, end: &End);
}

/// Words of a text, the measure of prompts here.
fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// A JSON string with its quotes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
