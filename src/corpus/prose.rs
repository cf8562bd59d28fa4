//! English-like prose: long paragraphs, wrapped ones, lists of short lines.

use std::fmt::Write as _;

use super::draw::Draw;
use super::words::{capital, word};

/// Where wrapped text is broken, bytes.
const WIDTH: usize = 78;

/// A paragraph in one long line.
pub(super) fn paragraph(draw: &mut Draw, text: &mut String) {
    for _ in 0..draw.between(3, 14) {
        sentence(draw, text);
        text.push(' ');
    }
    text.pop();
    text.push('\n');
}

/// Paragraphs broken into lines of a printed page.
pub(super) fn wrapped(draw: &mut Draw, text: &mut String) {
    let mut whole = String::new();
    paragraph(draw, &mut whole);
    let mut column = 0;
    for word in whole.split_whitespace() {
        if column + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
        }
        text.push_str(word);
        column += word.len() + 1;
    }
    text.push('\n');
}

/// A heading and short lines.
pub(super) fn list(draw: &mut Draw, text: &mut String) {
    text.push_str(draw.of(&["# ", "## ", "### "]));
    let at = text.len();
    words(draw, text, 4);
    capital(text, at);
    text.push_str("\n\n");
    let numbered = draw.once_in(3);
    for number in 1..=draw.between(3, 12) {
        if numbered {
            let _ = write!(text, "{number}. ");
        } else {
            text.push_str("- ");
        }
        words(draw, text, 6);
        text.push('\n');
    }
}

fn words(draw: &mut Draw, text: &mut String, most: usize) {
    for _ in 0..draw.between(1, most) {
        word(draw, text);
        text.push(' ');
    }
    text.pop();
}

fn sentence(draw: &mut Draw, text: &mut String) {
    let spoken = draw.once_in(9);
    if spoken {
        text.push('"');
    }
    let start = text.len();
    let length = draw.between(4, 22);
    for place in 0..length {
        let at = text.len();
        match draw.below(60) {
            0 => {
                let _ = write!(text, "{}", draw.below(3000));
            }
            1 => {
                let _ = write!(text, "{}.{} %", draw.below(100), draw.below(10));
            }
            2 => {
                word(draw, text);
                text.push_str(draw.of(&["'s", "n't", "'ll", "'ve", "-like"]));
            }
            3 => {
                word(draw, text);
                capital(text, at);
            }
            _ => word(draw, text),
        }
        if place + 1 < length {
            text.push_str(match draw.below(40) {
                0..=2 => ", ",
                3 => "; ",
                4 => " – ",
                5 => ": ",
                _ => " ",
            });
        }
    }
    capital(text, start);
    text.push_str(draw.of(&[".", ".", ".", ".", ".", "?", "!", "…"]));
    if spoken {
        text.push('"');
    }
}
