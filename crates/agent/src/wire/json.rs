//! What decoders share in reading JSON: texts that are borrowed where they can be, counts and durations
//! as servers write them, and the words of an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::DecodeError;
use super::refusal::web_page;

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

/// The message in the body of a response whose status is an error, shortened; a web page by its title.
#[must_use]
pub fn error_body(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) => ["error", "detail", "message"]
            .iter()
            .find_map(|key| value.get(key))
            .map_or_else(|| error_message(&value), error_message),
        Err(_) => web_page(&text).unwrap_or_else(|| shortened(text.trim(), ERROR_LIMIT)),
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
