//! Markdown: words and headings.

use super::summary::{Description, shown};

const BLANK: [char; 5] = [' ', '\t', '\n', '\u{c}', '\r'];

/// A heading is a line of one to six `#`, a space and something, outside of fenced code.
pub(super) fn describe(text: &str) -> Description {
    let words = text.split(BLANK).filter(|word| !word.is_empty()).count();
    let mut entries = Vec::new();
    let mut fenced = false;
    for line in text.split('\n') {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && is_heading(line) {
            entries.push(shown(line.trim_end_matches(BLANK)));
        }
    }
    let line = format!("Markdown, words: {words}, headings: {}", entries.len());
    Description { line, entries }
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - rest.len()))
        && rest.starts_with(' ')
        && !rest.trim_matches(BLANK).is_empty()
}
