//! Reading payloads as JSON, of which only some names matter.
//!
//! Servers and the gateways before them write much that is not quite JSON, or not quite of the type that
//! is documented. What is of no concern decides nothing here: it is skipped as it stands.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::object::object;
use super::repair::{outside_strings, repaired, without_duplicates};
use super::words::{error_words, is, is_filled};
use super::{DecodeError, Ending};

/// Deepest nesting of a payload that is read.
const DEPTH_LIMIT: usize = 512;
/// Bytes of a line that an error shows.
const SHOWN_LIMIT: usize = 200;

/// The first `limit` bytes of a text, cut between characters.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let start = (0..=limit).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    format!("{start}…")
}

/// A line that is not what its protocol allows.
pub(super) fn not_allowed(reason: impl Into<String>, payload: &[u8]) -> DecodeError {
    let line = shortened(&String::from_utf8_lossy(payload), SHOWN_LIMIT);
    DecodeError::NotJson { reason: reason.into(), line }
}

/// What the payloads of one protocol mean.
pub(super) trait Payload {
    type Event<'a>: Deserialize<'a>;

    /// The text of an event; what it says of the answer's end goes to `ending`.
    fn read<'a>(
        event: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError>;
}

/// Text of one payload, which is borrowed unless the payload had to be repaired.
///
/// A payload that is an error is that, however the rest of it looks.
pub(super) fn read<'a, P: Payload>(
    payload: &'a [u8],
    ending: &mut Ending,
) -> Result<Cow<'a, str>, DecodeError> {
    let understood = parse(payload).and_then(|event| P::read(event, payload, ending));
    let error = match understood {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let repaired = repaired(payload);
    if let Some(repaired) = &repaired
        && let Ok(text) = parse(repaired).and_then(|event| P::read(event, repaired, ending))
    {
        return Ok(Cow::Owned(text.into_owned()));
    }
    let payload = repaired.as_deref().unwrap_or(payload);
    if let Some(single) = without_duplicates(payload)
        && let Ok(text) = parse(&single).and_then(|event| P::read(event, &single, ending))
    {
        return Ok(Cow::Owned(text.into_owned()));
    }
    if let Ok(told) = parse::<Told<'_>>(payload) {
        if told.is_error() {
            ending.error = Some(error_words(payload));
            return Ok(Cow::Borrowed(""));
        }
        ending.names(told.model.known());
    }
    Err(error)
}

object! {
    /// What is looked for in a payload that is not understood otherwise.
    struct Told {
        error as "error": &'a RawValue,
        error_code as "error_code": &'a RawValue,
        object as "object": &'a RawValue,
        kind as "type": &'a RawValue,
        model as "model": &'a RawValue,
    }
}

impl Told<'_> {
    fn is_error(&self) -> bool {
        is_error(
            self.error.known(),
            self.error_code.known(),
            self.object.known(),
            self.kind.known(),
        )
    }
}

/// Whether bytes are JSON from its beginning on, whose end is missing.
pub(super) fn is_cut(bytes: &[u8]) -> bool {
    let error = |bytes: &[u8]| serde_json::from_slice::<IgnoredAny>(bytes).err();
    if !matches!(bytes.first(), Some(b'{' | b'[' | b'"')) || is_too_deep(bytes) {
        return false;
    }
    let is_eof = |error: serde_json::Error| error.is_eof();
    error(bytes).is_some_and(|wrong| {
        wrong.is_eof()
            // Within a number.
            || error(&[bytes, b"0"].concat()).is_some_and(is_eof)
            || repaired(bytes).is_some_and(|repaired| error(&repaired).is_some_and(is_eof))
    })
}

/// Whether bytes are JSON, of whatever kind.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let is_whole = |bytes: &[u8]| serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    is_whole(bytes) || repaired(bytes).is_some_and(|repaired| is_whole(&repaired))
}

/// Whether an object is an error, by the fields that say so.
pub(super) fn is_error(
    error: Option<&RawValue>,
    code: Option<&RawValue>,
    object: Option<&RawValue>,
    kind: Option<&RawValue>,
) -> bool {
    is_filled(error) || is_filled(code) || is(object, "error") || is(kind, "error")
}

/// One payload as a JSON object.
fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|_| DecodeError::NotUtf8)?;
    // A struct is also read from an array; servers never mean that.
    if !text.trim_start().starts_with('{') {
        return Err(not_allowed("no JSON object", payload));
    }
    if is_too_deep(payload) {
        return Err(not_allowed(format!("nested deeper than {DEPTH_LIMIT} levels"), payload));
    }
    serde_json::from_str(text).map_err(|error| not_allowed(error.to_string(), payload))
}

fn is_too_deep(payload: &[u8]) -> bool {
    // That many levels need two brackets each.
    if payload.len() <= 2 * DEPTH_LIMIT {
        return false;
    }
    let (mut depth, mut deepest) = (0_usize, 0);
    outside_strings(payload, |_, byte| match byte {
        b'{' | b'[' => {
            depth += 1;
            deepest = deepest.max(depth);
        }
        b'}' | b']' => depth = depth.saturating_sub(1),
        _ => {}
    });
    deepest > DEPTH_LIMIT
}
