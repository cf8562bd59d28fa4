//! The wire formats that the paced endpoint speaks: what a request asks for, how an answer is written.

pub mod ollama;
pub mod openai;

use super::load::Wish;

/// What a request for generation asks for, whatever its format.
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
    /// `length` or `stop`, as all formats say it.
    pub fn reason(&self) -> &'static str {
        if self.limited { "length" } else { "stop" }
    }
}

/// How one answer is written. All methods append; `text` needs no escaping.
pub trait Format {
    /// Of a stream.
    fn content_type(&self) -> &'static str;
    /// What precedes the first text; nothing in most formats.
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

/// The body of an answer that is an error, in the dialect of the path.
pub fn error_body(path: &str, status: u16, message: &str) -> Vec<u8> {
    let body = if path.starts_with("/v1/") {
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        serde_json::json!({ "error": { "message": message, "type": kind, "code": status } })
    } else {
        serde_json::json!({ "error": message })
    };
    body.to_string().into_bytes()
}

/// A JSON string with its quotes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
