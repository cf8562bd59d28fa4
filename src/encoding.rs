//! Text files as people's editors and shells save them.
//!
//! The mark of UTF-8 at the start of a file is no part of its text, and neither is the way in which a
//! checkout ends its lines. What is no UTF-8 is refused in words that say what it seems to be: a guess at
//! another encoding would change what is measured, and nobody would see it.

use std::borrow::Cow;

/// The mark with which some editors begin a file of UTF-8.
const MARK: char = '\u{feff}';

/// A file that is no UTF-8. A sentence about it, to be put behind its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUtf8 {
    #[error("it is {0}, as Notepad's \"Unicode\" and the `>` of Windows PowerShell 5 write it")]
    Wide(&'static str),
    #[error("line {line} has the byte 0x{byte:02X}, which is not UTF-8{}", .letter.map(|letter| format!(
        "; in Latin-1 and Windows-1252 it is `{letter}`")).unwrap_or_default())]
    Other {
        /// From 1.
        line: usize,
        byte: u8,
        /// What the byte is in Latin-1, where that is a printable character.
        letter: Option<char>,
    },
}

/// What to do about a file that is no UTF-8.
pub const HELP: &str = "save it as UTF-8: editors offer that under \"Save with encoding\"; in \
                        PowerShell write `| Out-File -Encoding utf8` in place of `>`";

/// The text of a file, without the mark of UTF-8.
pub fn decode(bytes: Vec<u8>) -> Result<String, NotUtf8> {
    if let Some(name) = wide(&bytes) {
        return Err(NotUtf8::Wide(name));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let (before, after) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let byte = after.first().copied().unwrap_or_default();
        NotUtf8::Other {
            line: before.split(|byte| *byte == b'\n').count(),
            byte,
            letter: (byte > 0xa0).then(|| char::from(byte)),
        }
    })?;
    if text.starts_with(MARK) {
        text.remove(0);
    }
    Ok(text)
}

/// As [`decode`], of files whose author cannot be asked to save them again: UTF-16 with its mark is read, too.
pub fn decode_any(bytes: Vec<u8>) -> Result<String, NotUtf8> {
    let little = match bytes.get(..2) {
        Some([0xff, 0xfe]) if bytes.get(2..4) != Some(&[0, 0]) => true,
        Some([0xfe, 0xff]) => false,
        _ => return decode(bytes),
    };
    let units = bytes.get(2..).unwrap_or_default().chunks(2).map(|pair| match *pair {
        [low, high] if little => u16::from_le_bytes([low, high]),
        [high, low] => u16::from_be_bytes([high, low]),
        // Half a unit is no character.
        _ => 0xd800,
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.map_err(|_| {
        NotUtf8::Wide(if little { "UTF-16 (little endian)" } else { "UTF-16 (big endian)" })
    })
}

/// As [`decode`], with what is no UTF-8 replaced: for files of which only some cells are read.
pub fn decode_lossy(bytes: &[u8]) -> Result<Cow<'_, str>, NotUtf8> {
    if let Some(name) = wide(bytes) {
        return Err(NotUtf8::Wide(name));
    }
    let bytes = bytes.strip_prefix(MARK.to_string().as_bytes()).unwrap_or(bytes);
    Ok(String::from_utf8_lossy(bytes))
}

/// The text with its lines ended alike on all systems, by a line feed alone.
#[must_use]
pub fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { text.replace("\r\n", "\n").into() } else { text.into() }
}

/// The name of an encoding with more than one byte to every character: by its mark, or by the zeros
/// around the first character, which no text of UTF-8 begins with.
fn wide(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [1..=255, 0, 1..=255, 0, ..] => Some("UTF-16 (little endian)"),
        [0xfe, 0xff, ..] | [0, 1..=255, 0, 1..=255, ..] => Some("UTF-16 (big endian)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, little: bool) -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn the_mark_is_no_part_of_a_text() {
        assert_eq!(decode("\u{feff}a\u{feff}b".into()).unwrap(), "a\u{feff}b");
        assert_eq!(decode("\u{feff}".into()).unwrap(), "");
        assert_eq!(decode_lossy(b"\xef\xbb\xbfms,caf\xe9\n").unwrap(), "ms,caf\u{fffd}\n");
    }

    #[test]
    fn other_encodings_are_named() {
        for mark in [true, false] {
            for (little, name) in [(true, "little"), (false, "big")] {
                let bytes = utf16("schema = 1\n", mark, little);
                assert!(decode_lossy(&bytes).is_err());
                let message = decode(bytes).unwrap_err().to_string();
                assert!(message.contains("UTF-16") && message.contains(name), "{message}");
            }
        }
        assert_eq!(decode(b"\xff\xfe\0\0a\0\0\0".into()), Err(NotUtf8::Wide("UTF-32")));
        let message = decode(b"a\nb = \"\xfc\"".into()).unwrap_err().to_string();
        assert!(
            message.starts_with("line 2 has the byte 0xFC") && message.contains("`ü`"),
            "{message}"
        );
        let message = decode(b"\x80".into()).unwrap_err().to_string();
        assert!(message.ends_with("which is not UTF-8"), "{message}");
    }

    #[test]
    fn lines_end_alike() {
        assert_eq!(unix_lines("a\r\nb\rc\n"), "a\nb\rc\n");
        assert!(matches!(unix_lines("a\n"), Cow::Borrowed(_)));
    }
}
