//! Payloads that are almost JSON: what keeps them from being it is taken out where no more is lost than a character or
//! a number.

use std::borrow::Cow;

/// The payload with the last of equal names alone; `None`: it cannot be had. A field that is read by its type
/// fails on an earlier one of another type.
pub(super) fn without_duplicates(payload: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some(value.to_string().into_bytes())
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

/// Calls `visit` with place and value of each byte that is in no string.
pub(super) fn outside_strings(payload: &[u8], mut visit: impl FnMut(usize, u8)) {
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
