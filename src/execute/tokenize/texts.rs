//! The texts of a study on disk: made once, shared by all runs, and kept with the results.
//!
//! A corpus that is a file stays where it is; only its cuts are written. Everything is checked or
//! written anew once per session, so that what lies about from before cannot be mistaken for it.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use formats::digest;
use formats::protocol::{PART_COLUMNS, TokenizeMode};

use super::files::absolute;
use crate::corpus::{self, CorpusError, Source};
use crate::store::{Layout, StoreError};

/// A text with its cuts.
#[derive(Debug, Clone)]
pub struct Text {
    /// Absolute.
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
    whole: Cut,
    lines: Cut,
    pieces: Cut,
}

/// The parts of one mode.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Names the parts, absolute; `None`: the text is one part.
    pub file: Option<PathBuf>,
    pub parts: u64,
    pub bytes: u64,
}

impl Text {
    #[must_use]
    pub fn cut(&self, mode: TokenizeMode) -> &Cut {
        match mode {
            TokenizeMode::Whole => &self.whole,
            TokenizeMode::Lines => &self.lines,
            TokenizeMode::Pieces => &self.pieces,
        }
    }
}

/// Those that this session has needed so far.
#[derive(Debug, Default)]
pub struct Texts {
    known: Vec<(Source, Text)>,
}

impl Texts {
    /// The text, made now if it is needed for the first time. The inner error is the text's, the outer
    /// one means that nothing can be stored.
    pub fn get(
        &mut self,
        layout: &Layout,
        source: &Source,
    ) -> Result<Result<&Text, CorpusError>, StoreError> {
        if let Some(place) = self.known.iter().position(|(known, _)| known == source) {
            return Ok(Ok(&self.known[place].1));
        }
        let content = match source.text() {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let text = write(layout, source, &content)?;
        self.known.push((source.clone(), text));
        Ok(Ok(&self.known[self.known.len() - 1].1))
    }
}

fn write(layout: &Layout, source: &Source, content: &str) -> Result<Text, StoreError> {
    let sha256 = digest::of_bytes(content.as_bytes());
    let folder = absolute(&layout.corpus(&sha256));
    fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let path = match source {
        Source::File { path, .. } => absolute(path),
        Source::Generated { .. } => {
            let path = folder.join("corpus.txt");
            put(&path, content.as_bytes())?;
            path
        }
    };
    let whole = Cut { file: None, parts: 1, bytes: content.len() as u64 };
    let lines = cut(&folder.join("lines.csv"), &corpus::lines(content))?;
    let pieces = cut(&folder.join("pieces.csv"), &corpus::pieces(content))?;
    Ok(Text { path, bytes: content.len() as u64, sha256, whole, lines, pieces })
}

fn cut(path: &Path, parts: &[Range<usize>]) -> Result<Cut, StoreError> {
    let mut table = PART_COLUMNS.join(",");
    table.push('\n');
    for part in parts {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{},{}", part.start, part.len());
    }
    put(path, table.as_bytes())?;
    Ok(Cut {
        file: Some(path.to_owned()),
        parts: parts.len() as u64,
        bytes: parts.iter().map(|part| part.len() as u64).sum(),
    })
}

/// Writes a file unless it is there already, so that a finished study's folder keeps its times.
fn put(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    fs::write(path, content).map_err(StoreError::io("write", path))
}
