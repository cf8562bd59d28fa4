//! Text from outside (model output, error messages, names) made harmless in Markdown.

use std::fmt::Write;

use super::mark;
use crate::shown;

/// As running text or a table's cell: shown as it is, on one line, without any markup.
#[must_use]
pub fn text(raw: &str) -> String {
    within(raw.trim(), true)
}

/// As running text in which what stands between backticks is code.
#[must_use]
pub fn prose(raw: &str) -> String {
    let parts: Vec<&str> = raw.trim().split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text(raw);
    }
    let part = |(place, part): (usize, &&str)| match place {
        place if place % 2 == 1 => code(part),
        place => within(part, place == 0),
    };
    parts.iter().enumerate().map(part).collect()
}

/// Text that may begin a line.
fn within(raw: &str, first: bool) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for (position, c) in raw.chars().enumerate() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // would begin a list or underline a heading
            '-' | '+' | '=' if first && position == 0 => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c if shown::steers(c) => escaped.push(shown::REPLACED),
            c if mark::is_reserved(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// As code within a line or a table's cell.
#[must_use]
pub fn code(raw: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ._:/@=+,%-()#~^*".contains(c);
    if !raw.trim().is_empty() && raw.trim() == raw && raw.chars().all(plain) {
        return format!("`{raw}`");
    }
    // a code span has no escapes, an element has
    let mut element = String::from("<code>");
    for c in raw.chars() {
        match c {
            c if c.is_control() => element.push(' '),
            c if shown::steers(c) => element.push(shown::REPLACED),
            c if mark::is_reserved(c) => element.push('\u{fffd}'),
            c if plain(c) && !"_*~#".contains(c) => element.push(c),
            c => {
                let _ = write!(element, "&#{};", u32::from(c));
            }
        }
    }
    element + "</code>"
}

/// As the address of a link: what could end it is written as its bytes.
#[must_use]
pub fn link(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_ascii_alphanumeric() || "/._-~+=,@".contains(c) {
            address.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(address, "%{byte:02X}");
            }
        }
    }
    address
}

/// As one word of a shell command inside a fenced block, on one line.
#[must_use]
pub fn shell(raw: &str) -> String {
    let harmless = |c: char| if shown::steers(c) || mark::is_reserved(c) { ' ' } else { c };
    let line: String = raw.chars().map(harmless).collect();
    let plain = |c: char| c.is_alphanumeric() || "._:/@=+,%-".contains(c);
    if !line.is_empty() && line.chars().all(plain) {
        return line;
    }
    format!("'{}'", line.replace('\'', "'\\''"))
}
