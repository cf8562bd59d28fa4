//! The wire protocols of inference servers as a client speaks them: one file each, with the body of a
//! request and the decoder of an answer.
//!
//! Decoders are incremental and touch no socket: bytes are pushed as they come, chunks are taken. What
//! is recorded of a call, and what its outcome is, is decided in `runtime`. The packet capture of
//! `runner` reads answers by the same decoders.

mod anthropic;
mod figures;
pub mod headers;
mod json;
mod lines;
mod names;
mod object;
mod ollama;
mod openai;
mod opening;
mod refusal;
mod repair;
pub mod secrets;
mod sse;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;

use formats::endpoint::{Api, Dialect, Family};
use formats::protocol::ServerCounts;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[cfg(test)]
use lines::LINE_LIMIT;
pub use names::is_same_model;
use object::Word;
pub use refusal::{moved, web_page};
pub use words::error_body;

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

/// The decoder of one answer. `content_type`: what the server says that the body is.
#[must_use]
pub fn decoder(api: Api, content_type: Option<&str>) -> Box<dyn Decoder> {
    match api.family() {
        Family::Ollama => {
            let kind = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
            let is_document = kind.trim().eq_ignore_ascii_case("application/json");
            Box::new(ollama::Decoder::new(api, is_document))
        }
        Family::Openai => Box::new(sse::Decoder::<openai::OpenAi>::default()),
        Family::Anthropic => Box::new(sse::Decoder::<anthropic::Anthropic>::default()),
    }
}

/// What a server's reason for ending means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The model had said all, up to a stop sequence or a tool's call.
    Stopped,
    /// So many tokens came as were asked for, or as the context holds.
    Length,
    /// The context was full.
    Full,
    /// Any other: the answer is no good one.
    Other,
}

/// What a reason means in a protocol's words.
#[must_use]
pub fn reason(api: Api, word: &str) -> Reason {
    match (api.family(), word) {
        (Family::Ollama | Family::Openai, "stop" | "tool_calls")
        | (Family::Openai, "eos_token" | "stop_sequence" | "function_call")
        | (Family::Anthropic, "end_turn" | "stop_sequence" | "tool_use") => Reason::Stopped,
        (Family::Openai, "model_length") | (Family::Anthropic, "model_context_window_exceeded") => {
            Reason::Full
        }
        (Family::Ollama | Family::Openai, "length") | (Family::Anthropic, "max_tokens") => {
            Reason::Length
        }
        _ => Reason::Other,
    }
}

/// Reads an answer as it comes: push bytes, take chunks until there is none.
pub trait Decoder: std::fmt::Debug + Send {
    /// Adds bytes of the response body.
    fn push(&mut self, bytes: &[u8]);

    /// The next whole chunk; `None`: more bytes are needed, or the stream has said its last word.
    fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError>;

    /// After the end of the body: a last chunk whose line end is missing, if it is whole otherwise, or all
    /// of a body that is no stream.
    fn last_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError>;

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

/// Most names that are kept of a stream's model.
const NAMES_LIMIT: usize = 64;

/// What the stream has told of itself and its own end so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// The server said that the answer is whole.
    pub complete: bool,
    /// The answer came as one JSON document.
    pub not_streamed: bool,
    /// An error object inside the stream, in the server's words.
    pub error: Option<String>,
    /// In the server's words; the last that is not empty.
    pub finish_reason: Option<String>,
    /// Name that the stream gives the model; the last that is not empty.
    pub model: Option<String>,
    /// Each name that it gives, in their order.
    pub models: Vec<String>,
    pub counts: ServerCounts,
}

impl Ending {
    /// Notes a name of the model.
    fn names(&mut self, model: Option<&RawValue>) {
        let Some(told) = model else { return };
        // Most events repeat it.
        let plain = told.get().strip_prefix('"').and_then(|told| told.strip_suffix('"'));
        if plain.is_some() && plain == self.model.as_deref() {
            return;
        }
        let Some(name) = text::text_of(told).filter(|name| !name.is_empty()) else { return };
        if !self.models.contains(&name) && self.models.len() < NAMES_LIMIT {
            self.models.push(name.clone());
        }
        self.model = Some(name);
    }

    /// Notes a reason for ending.
    fn reasons<'w>(&mut self, reason: impl Into<Option<&'w Word<'w>>>) {
        if let Some(Word(reason)) = reason.into()
            && !reason.is_empty()
        {
            self.finish_reason = Some(reason.clone().into_owned());
        }
    }
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
    #[error("an HTML page came in place of an answer{}",
        .title.as_deref().map(|title| format!(", titled \"{title}\"")).unwrap_or_default())]
    Page { title: Option<String> },
}

impl DecodeError {
    fn page(title: Option<String>) -> Self {
        Self::Page { title }
    }
}
