//! The data summary: what `{data}` stands for in a prompt.

use std::fs;

use super::scan::{Kind, Scan};
use super::{csv, json, markdown};

/// Entries listed of one file (columns, keys, headings).
const ENTRIES: usize = 32;
/// Characters shown of a name, key or heading.
const SHOWN: usize = 80;

/// What was read, and the summary of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingested {
    pub summary: String,
    /// Files that could be read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What is said of one file: in its line, and in a line for each entry.
#[derive(Debug, Default)]
pub(super) struct Description {
    pub(super) line: String,
    pub(super) entries: Vec<String>,
}

/// Reads the files of a scan, one after the other.
#[must_use]
pub fn ingest(scan: &Scan) -> Ingested {
    let mut ingested = Ingested::default();
    let mut lines = vec![format!("files: {}, left out: {}", scan.files.len(), scan.left_out)];
    for file in &scan.files {
        let name = shown(&String::from_utf8_lossy(&file.name));
        let Ok(bytes) = fs::read(&file.path) else {
            lines.push(format!("{name}: cannot be read"));
            continue;
        };
        ingested.files += 1;
        ingested.bytes += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        let description = match file.kind {
            Kind::Csv => csv::describe(text),
            Kind::Json => json::describe(text),
            Kind::Markdown => markdown::describe(text),
        };
        lines.push(format!("{name}: {}", description.line));
        let entries = description.entries.len();
        lines.extend(description.entries.iter().take(ENTRIES).map(|entry| format!("- {entry}")));
        if entries > ENTRIES {
            lines.push(format!("- and {} more", entries - ENTRIES));
        }
    }
    ingested.summary = lines.join("\n");
    ingested
}

/// A text of the data on one line of bounded length.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c < ' ' || c == '\u{7f}' { ' ' } else { c };
    let mut shown: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
