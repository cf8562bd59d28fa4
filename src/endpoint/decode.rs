//! What all stream decoders have in common: chunks, the way a stream ended, and its errors.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::{ollama, openai};
use crate::agent::protocol::{Api, ServerCounts};

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
    pub finish_reason: Option<String>,
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

/// An incremental decoder: push bytes as they come, take chunks until there is none.
#[derive(Debug)]
pub enum Decoder {
    Ollama(ollama::Decoder),
    Openai(openai::Decoder),
}

impl Decoder {
    #[must_use]
    pub fn new(api: Api) -> Self {
        match api {
            Api::Ollama => Self::Ollama(ollama::Decoder::default()),
            Api::OpenaiChat | Api::OpenaiCompletions => Self::Openai(openai::Decoder::default()),
        }
    }

    /// Adds bytes of the response body.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Ollama(decoder) => decoder.push(bytes),
            Self::Openai(decoder) => decoder.push(bytes),
        }
    }

    /// The next whole chunk; `None`: more bytes are needed, or the stream has said its last word.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        match self {
            Self::Ollama(decoder) => decoder.next_chunk(),
            Self::Openai(decoder) => decoder.next_chunk(),
        }
    }

    /// After the end of the body: a last chunk whose line end is missing, if it is whole otherwise.
    pub fn last_chunk(&mut self) -> Option<Chunk<'_>> {
        match self {
            Self::Ollama(decoder) => decoder.last_chunk(),
            Self::Openai(decoder) => decoder.last_chunk(),
        }
    }

    #[must_use]
    pub fn ending(&self) -> &Ending {
        match self {
            Self::Ollama(decoder) => decoder.ending(),
            Self::Openai(decoder) => decoder.ending(),
        }
    }

    /// Whether an answer whose connection was closed now is whole.
    #[must_use]
    pub fn complete_at_close(&self) -> bool {
        match self {
            Self::Ollama(decoder) => decoder.ending().complete,
            Self::Openai(decoder) => decoder.complete_at_close(),
        }
    }
}

/// Longest text of an error that is kept, bytes.
const ERROR_LIMIT: usize = 2048;

/// The message inside an error object (`"…"`, `{"message": "…"}`), shortened.
#[must_use]
pub fn error_message(error: &serde_json::Value) -> String {
    let message = error.as_str().or_else(|| error.get("message")?.as_str());
    match message {
        Some(message) => shortened(message, ERROR_LIMIT),
        None => shortened(&error.to_string(), ERROR_LIMIT),
    }
}

/// The message in the body of a response whose status is an error, shortened.
#[must_use]
pub fn error_body(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) => ["error", "detail", "message"]
            .iter()
            .find_map(|key| value.get(key))
            .map_or_else(|| error_message(&value), error_message),
        Err(_) => shortened(text.trim(), ERROR_LIMIT),
    };
    (!message.is_empty()).then_some(message)
}

/// The first `limit` bytes of a text, cut between characters.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// One payload as a JSON object.
pub(super) fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|_| DecodeError::NotUtf8)?;
    // A struct is also read from an array; servers never mean that.
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        Err("no JSON object".to_owned())
    };
    parsed.map_err(|reason| DecodeError::NotJson { reason, line: shortened(text, 200) })
}

/// A string that is borrowed from the payload where it has no escapes, also inside an `Option`.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Text of up to two fields, in this order, without copying where only one is filled.
pub(super) fn joined<'a>(first: Option<Text<'a>>, second: Option<Text<'a>>) -> Cow<'a, str> {
    match (first, second) {
        (None, None) => Cow::Borrowed(""),
        (Some(Text(text)), None) | (None, Some(Text(text))) => text,
        (Some(Text(first)), Some(Text(second))) => {
            if first.is_empty() {
                second
            } else if second.is_empty() {
                first
            } else {
                first + second
            }
        }
    }
}

/// A count or duration; servers write `1000`, some `1e3`. Negative or not finite is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(Some(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(value).ok()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Count, E> {
                Ok(Count(rounded(value)))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

/// The value of an optional count.
pub(super) fn known(count: Option<Count>) -> Option<u64> {
    count.and_then(|Count(value)| value)
}

/// Milliseconds with a fraction as whole nanoseconds.
pub(super) fn nanoseconds(ms: Option<f64>) -> Option<u64> {
    ms.and_then(|ms| rounded(ms * 1e6))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative values are refused before, and the cast saturates"
)]
fn rounded(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then(|| value.round() as u64)
}
