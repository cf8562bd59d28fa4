//! The wire protocols of inference servers as a client speaks them: one file each, with the body of a
//! request and the decoder of an answer.
//!
//! Decoders are incremental and touch no socket: bytes are pushed as they come, chunks are taken. What
//! is recorded of a call, and what its outcome is, is decided in `runtime`. The packet capture of
//! `runner` reads answers by the same decoders.

mod anthropic;
pub mod headers;
mod json;
mod lines;
mod ollama;
mod openai;
mod refusal;
mod sse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use formats::endpoint::{Api, Dialect, Family};
use formats::protocol::ServerCounts;
use serde_json::{Map, Value};

pub use json::{error_body, error_message};
#[cfg(test)]
use lines::LINE_LIMIT;
pub use refusal::{moved, moved_base, web_page};

/// One prompt with everything that shapes its answer.
#[derive(Debug, Clone, Copy)]
pub struct Prompt<'a> {
    pub api: Api,
    pub model: &'a str,
    pub text: &'a str,
    /// By Ollama's names; see [`formats::protocol::AgentSpec::options`].
    pub options: &'a BTreeMap<String, Value>,
    /// Keys of the body as they are; no key that a protocol has itself is overwritten by them.
    pub extra: &'a BTreeMap<String, Value>,
    pub dialect: Dialect,
    pub max_tokens: Option<u32>,
}

impl Prompt<'_> {
    /// The JSON body of a streaming request.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let own: Map<String, Value> = match self.api.family() {
            Family::Ollama => ollama::body(self),
            Family::Openai => openai::body(self),
            Family::Anthropic => anthropic::body(self),
        };
        let extra = self.extra.iter().map(|(name, value)| (name.clone(), value.clone()));
        let mut body: Map<String, Value> = extra.collect();
        body.extend(own);
        Value::Object(body).to_string().into_bytes()
    }
}

/// Several stop texts as the list that some protocols want, whether one or several were given.
fn listed(stop: Value) -> Value {
    if stop.is_array() { stop } else { Value::Array(vec![stop]) }
}

/// The decoder of one answer.
#[must_use]
pub fn decoder(api: Api) -> Box<dyn Decoder> {
    match api.family() {
        Family::Ollama => Box::new(ollama::Decoder::default()),
        Family::Openai => Box::new(sse::Decoder::<openai::OpenAi>::default()),
        Family::Anthropic => Box::new(sse::Decoder::<anthropic::Anthropic>::default()),
    }
}

/// Reads an answer as it comes: push bytes, take chunks until there is none.
pub trait Decoder: Send {
    /// Adds bytes of the response body.
    fn push(&mut self, bytes: &[u8]);

    /// The next whole chunk; `None`: more bytes are needed, or the stream has said its last word.
    fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError>;

    /// After the end of the body: a last chunk whose line end is missing, if it is whole otherwise.
    fn last_chunk(&mut self) -> Option<Chunk<'_>>;

    /// What the stream has told of its own end so far.
    fn ending(&self) -> &Ending;

    /// Whether an answer whose connection was closed now is whole.
    fn complete_at_close(&self) -> bool {
        self.ending().complete
    }
}

/// One line or event with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Length of the payload, without line ends and field names.
    pub bytes: usize,
    /// Text for the reader, thinking included; empty: the chunk carried none.
    pub text: Cow<'a, str>,
}

/// What the stream has told of its own end so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// The server said that the answer is whole.
    pub complete: bool,
    /// An error object inside the stream, in the server's words.
    pub error: Option<String>,
    /// In the server's words.
    pub finish_reason: Option<String>,
    /// The reason says that the answer was cut at the limit that was asked for.
    pub limited: bool,
    pub counts: ServerCounts,
}

/// A stream that breaks its own protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a line of the stream is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("a line of the stream is not UTF-8")]
    NotUtf8,
    #[error("a line of the stream is not what its protocol allows ({reason}): {line}")]
    NotJson { reason: String, line: String },
}
