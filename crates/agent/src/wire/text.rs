//! Text in the forms in which servers give it: a string, nothing, or a list of parts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::object::{Field, Word, object};
use super::repair::repaired;

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
