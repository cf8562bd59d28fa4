//! What decoders share in reading JSON: objects of which only some names matter, texts that are borrowed
//! where they can be, counts and durations as servers write them.
//!
//! Servers and the gateways before them write much that is not quite JSON, or not quite of the type that
//! is documented. What is of no concern decides nothing here: it is skipped as it stands.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::words::{error_words, is, is_filled};
use super::{DecodeError, Ending};

/// Deepest nesting of a payload that is read.
const DEPTH_LIMIT: usize = 512;
/// The largest count that is one: above it a double no longer tells whole numbers apart.
const COUNT_LIMIT: u64 = 1 << 53;
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

/// The payload with the last of equal names alone; `None`: it cannot be had. A field that is read by its type
/// fails on an earlier one of another type.
fn without_duplicates(payload: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some(value.to_string().into_bytes())
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

/// Calls `visit` with place and value of each byte that is in no string.
fn outside_strings(payload: &[u8], mut visit: impl FnMut(usize, u8)) {
    let (mut in_string, mut escaped) = (false, false);
    for (place, &byte) in payload.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            _ => visit(place, byte),
        }
    }
}

/// The payload without what keeps it from being JSON and loses no more than a character or a number;
/// `None`: there is nothing of that kind.
pub(super) fn repaired(payload: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(payload);
    let unicode = matches!(text, Cow::Borrowed(_));
    let mut repaired = text.into_owned().into_bytes();
    let numbers = without_no_numbers(&mut repaired);
    let halves = without_halves(&mut repaired);
    (!unicode || numbers || halves).then_some(repaired)
}

/// Replaces `NaN` and infinities, which no JSON has, by null; whether there were any.
fn without_no_numbers(payload: &mut Vec<u8>) -> bool {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut found: Vec<(usize, usize)> = Vec::new();
    outside_strings(payload, |place, _| {
        let rest = payload.get(place..).unwrap_or_default();
        if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word))
            && found.last().is_none_or(|(start, length)| start + length <= place)
        {
            found.push((place, word.len()));
        }
    });
    for (start, length) in found.iter().rev() {
        payload.splice(*start..start + length, *b"null");
    }
    !found.is_empty()
}

/// Replaces escapes of halves of surrogate pairs, which are no characters, by U+FFFD; whether there were any.
fn without_halves(payload: &mut [u8]) -> bool {
    let (mut place, mut found) = (0, false);
    while let Some(offset) = payload[place..].iter().position(|&byte| byte == b'\\') {
        place += offset;
        let low = |unit: Option<u16>| unit.is_some_and(|unit| (0xDC00..0xE000).contains(&unit));
        place += match unit_at(payload, place) {
            Some(0xD800..0xDC00) if low(unit_at(payload, place + 6)) => 12,
            Some(0xD800..0xE000) => {
                payload[place + 2..place + 6].copy_from_slice(b"fffd");
                found = true;
                6
            }
            // An escaped backslash begins no escape.
            _ => 2,
        };
        if place >= payload.len() {
            break;
        }
    }
    found
}

/// The UTF-16 unit that is escaped as `\uXXXX` at a place.
fn unit_at(payload: &[u8], place: usize) -> Option<u16> {
    let digits = payload.get(place..place + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What an object has under a name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Null,
    Is(T),
}

impl<T> Field<T> {
    /// Whether the name is there, be it null.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    pub(super) fn known(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Is(value) => Some(value),
        }
    }

    pub(super) fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Is(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Field<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Is)
    }
}

/// Defines an object of which these names matter; all others are skipped, and the last of equal ones
/// holds.
macro_rules! object {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$note:meta])* $field:ident as $key:literal: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> {
            $($(#[$note])* pub(super) $field: $crate::wire::json::Field<$kind>,)*
            lifetime: std::marker::PhantomData<&'a ()>,
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Names<'a>(std::marker::PhantomData<&'a ()>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Names<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<M: serde::de::MapAccess<'de>>(
                        self,
                        mut map: M,
                    ) -> Result<$name<'a>, M::Error> {
                        let mut read = $name::default();
                        while let Some($crate::wire::json::Key(key)) = map.next_key()? {
                            match key.as_ref() {
                                $($key => read.$field = map.next_value::<Option<$kind>>()?.into(),)*
                                _ => { map.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok(read)
                    }
                }
                from.deserialize_map(Names(std::marker::PhantomData))
            }
        }
    };
}
pub(super) use object;

/// A name in an object.
#[derive(Debug, Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A string that is borrowed from the payload where it has no escapes, also inside an `Option`.
#[derive(Debug, Deserialize)]
pub(super) struct Word<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// An entry of a list that may not be the one that is looked for.
pub(super) trait Entry {
    fn is_looked_for(&self) -> bool;
}

/// The first entry of a list that is looked for; the others are skipped.
#[derive(Debug)]
pub(super) struct First<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de> + Entry> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Entry> Visitor<'de> for Entries<T> {
            type Value = First<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<First<T>, S::Error> {
                let mut first: Option<T> = list.next_element()?;
                while first.as_ref().is_some_and(|entry| !entry.is_looked_for()) {
                    first = list.next_element()?;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

/// Text for the reader: a string, nothing, or a list of parts, which are strings or objects with a text.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Parts<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'a>, E> {
                Ok(Text::default())
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Text<'a>, S::Error> {
                let mut all = Text::default();
                while let Some(Part(part)) = list.next_element()? {
                    all.0 = joined(all.0, part);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Parts(PhantomData))
    }
}

/// A part of a text that is given as a list.
struct Part<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kinds<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Kinds<'a> {
            type Value = Part<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part of a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Part<'a>, E> {
                Ok(Part(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Part<'a>, E> {
                Ok(Part(Cow::Owned(text.to_owned())))
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Part<'a>, M::Error> {
                let from = serde::de::value::MapAccessDeserializer::new(map);
                let told = PartFields::deserialize(from)?;
                let texts = [told.text, told.thinking, told.reasoning, told.summary, told.content];
                filled(texts).map(Part).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_any(Kinds(PhantomData))
    }
}

object! {
    struct PartFields {
        text as "text": &'a RawValue,
        thinking as "thinking": &'a RawValue,
        reasoning as "reasoning": &'a RawValue,
        summary as "summary": &'a RawValue,
        content as "content": &'a RawValue,
    }
}

/// The first text that is not empty. What stands behind it is not looked at.
pub(super) fn filled<const N: usize>(
    told: [Field<&RawValue>; N],
) -> serde_json::Result<Cow<'_, str>> {
    for raw in told.into_iter().filter_map(Field::known) {
        let Text(text) = serde_json::from_str(raw.get())?;
        if !text.is_empty() {
            return Ok(text);
        }
    }
    Ok(Cow::Borrowed(""))
}

/// A text, whatever it is of; `None`: it is no text.
pub(super) fn text_of(told: &RawValue) -> Option<String> {
    let text = told.get();
    let word: Option<Word<'_>> = serde_json::from_str(text).ok();
    word.map(|Word(word)| word.into_owned())
        .or_else(|| serde_json::from_slice(&repaired(text.as_bytes())?).ok())
}

/// One text after the other, without copying where only one is filled.
pub(super) fn joined<'a>(first: Cow<'a, str>, second: Cow<'a, str>) -> Cow<'a, str> {
    if first.is_empty() {
        second
    } else if second.is_empty() {
        first
    } else {
        first + second
    }
}

/// An object whose figures may be told; what is none tells nothing.
pub(super) fn figures<'a, T: Deserialize<'a>>(told: Field<&'a RawValue>) -> Option<T> {
    serde_json::from_str(told.known()?.get()).ok()
}

/// A count or duration; servers write `1000`, some `1e3`. What is no number from 0 to 2^53 is unknown.
pub(super) fn count(told: Field<&RawValue>) -> Option<u64> {
    let text = number(told)?;
    match text.parse() {
        Ok(count) => Some(count).filter(|count| *count <= COUNT_LIMIT),
        Err(_) => text.parse().ok().and_then(rounded),
    }
}

/// Milliseconds with a fraction as whole nanoseconds.
pub(super) fn milliseconds(told: Field<&RawValue>) -> Option<u64> {
    let ms: f64 = number(told)?.parse().ok()?;
    rounded(ms * 1e6)
}

/// The sum of counts, as a count; unknown where the first is.
pub(super) fn sum([first, second, third]: [Option<u64>; 3]) -> Option<u64> {
    let sum = first?.checked_add(second.unwrap_or(0))?.checked_add(third.unwrap_or(0))?;
    (sum <= COUNT_LIMIT).then_some(sum)
}

/// Whether it is a number other than 0.
pub(super) fn is_other_than_zero(told: Field<&RawValue>) -> bool {
    let number = number(told).and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(|number| number != 0.0)
}

/// Whatever is written like a number.
fn number(told: Field<&RawValue>) -> Option<&str> {
    let text = told.known()?.get();
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(text)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative or too large is refused before"
)]
fn rounded(value: f64) -> Option<u64> {
    let rounded = (value + 0.5).floor();
    (value >= 0.0 && rounded <= COUNT_LIMIT as f64).then_some(rounded as u64)
}
