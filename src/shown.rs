//! Text from outside (words of servers, runtimes and commands, names in manifests) on its way to a terminal or a
//! page: what would steer those instead of being shown is replaced, and marked as replaced.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What stands for a character that is not shown.
pub const REPLACED: char = '\u{fffd}';

/// Whether a character steers a terminal or the direction of text: control characters, separators of lines, and
/// the marks, embeddings, overrides and isolates of bidirectional text.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// On one line.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, steers)
}

/// On the lines that it has.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| steers(c) && c != '\n' && c != '\t')
}

fn replaced(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_bad(c) { REPLACED } else { c }).collect())
}

/// A JSON document that means the same, with the escapes that JSON has for such characters.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    // Between its texts stand line feeds alone.
    let is_bad = |c: char| steers(c) && c != '\n';
    if !document.contains(is_bad) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 64);
    for c in document.chars() {
        if is_bad(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A source text of which places are known by their bytes: what replaces a character is as long as it.
#[must_use]
pub fn source(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| steers(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let replaced = |c: char| match c.len_utf8() {
        _ if !is_bad(c) => c,
        1 => '?',
        2 => '\u{bf}',
        _ => REPLACED,
    };
    Cow::Owned(text.chars().map(replaced).collect())
}

/// The beginning of a text, of this many bytes at most, with an ellipsis where there is more.
#[must_use]
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", text.get(..boundary(text, most)).unwrap_or_default()))
}

/// The last place up to this byte between two characters.
#[must_use]
pub fn boundary(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first characters of a text on one line, with an ellipsis where there are more.
#[must_use]
pub fn excerpt(text: &str, most: usize) -> String {
    let mut shown = text.chars().filter(|c| !steers(*c));
    let mut excerpt: String = shown.by_ref().take(most).collect();
    if shown.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\u{2066}\u{200f}\u{2028}\r\nb\tc";

    #[test]
    fn nothing_that_steers_is_left() {
        assert!(!line(HOSTILE).contains(steers));
        assert_eq!(lines("a\n\tb"), "a\n\tb");
        assert!(!lines(HOSTILE).replace(['\n', '\t'], "").contains(steers));
        assert_eq!(excerpt(HOSTILE, 80), "a]0;t31mbc");
        assert_eq!(excerpt("\u{7}abc", 2), "ab…");
        assert!(matches!(line("plain é 中"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_source_keeps_its_places() {
        let shown = source(HOSTILE);
        assert_eq!(shown.len(), HOSTILE.len());
        assert!(!shown.replace(['\r', '\n', '\t'], "").contains(steers));
        for (at, c) in HOSTILE.char_indices().filter(|(_, c)| !steers(*c)) {
            assert!(shown.get(at..).unwrap().starts_with(c));
        }
    }

    #[test]
    fn json_says_the_same() {
        let document = serde_json::json!({ "text": HOSTILE, HOSTILE: [HOSTILE] });
        let text = serde_json::to_string_pretty(&document).unwrap();
        let shown = json(&text);
        assert!(!shown.replace('\n', "").contains(steers));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }
}
