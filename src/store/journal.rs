//! The journal: what happened, in order, one line and one sync each.
//!
//! It is a history for people and for recovery after a crash, and holds the digest that each record was
//! sealed with. What exists is decided by the folders alone; whether it is what was sealed, by the digest.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use formats::clock;
use serde::{Deserialize, Serialize};

use super::{Layout, StoreError, index, seal};
use crate::os::{disk, files};

/// One line of `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339, UTC.
    pub time: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened. Runs are named by cell (32 hex digits), repeat and attempt, both from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// What came before is not known: there were runs and no journal of them, or a part of it was lost. Until
    /// [`What::Settled`], a run that the journal does not know may be one of its own.
    Incomplete,
    /// Every run that was there is sealed by now, but those of which files are not as their records say.
    Settled { without: Vec<RunName> },
    /// An exec began with this many runs to make.
    Exec { runner: String, pid: u32, todo: usize },
    /// An agent process was started. `mark` tells it from a later process with the same id.
    Started { cell: String, repeat: u32, attempt: u32, pid: u32, mark: Option<u64> },
    /// A process of this runtime was started to calibrate it.
    Calibrating { runtime: String, pid: u32, mark: Option<u64> },
    /// The run is sealed; `sha256` is that of its `run.json`.
    Finished { cell: String, repeat: u32, attempt: u32, sha256: String },
    /// These runs were read from earlier results and are about to be sealed.
    Importing { runs: Vec<RunName> },
    /// A run that was read from earlier results is sealed; `sha256` is that of its `run.json`.
    Imported { cell: String, repeat: u32, sha256: String },
    /// The attempt failed; what it left lies in `kept`, relative to the study's folder.
    Failed { cell: String, repeat: u32, attempt: u32, cause: String, kept: String },
    /// The attempt failed and another one follows.
    Retried { cell: String, repeat: u32, attempt: u32 },
    /// After a failure the cell `to` is measured instead: this step of the fallbacks, from 1.
    FellBack { cell: String, repeat: u32, step: usize, to: String, because: String },
    /// No fallback worked either: the run failed, and the next exec tries it anew.
    FallbacksUsedUp { cell: String, repeat: u32 },
    /// What an earlier exec left unfinished, or what lay at the place of a run without being it, was moved to
    /// `kept`; `cell` is known of the second.
    Abandoned {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<String>,
        repeat: u32,
        kept: String,
    },
    /// A stale run was moved to `kept`, to be measured again.
    Superseded { cell: String, repeat: u32, kept: String, because: Vec<String> },
    /// A run that no cell of the manifest asked for any more was removed, as the user wanted. Written
    /// before it is removed, so it may still be there.
    Collected { cell: String, repeat: u32 },
    /// The metrics of a sealed run were computed again. `sha256` is that of its new `run.json`; the one
    /// that it replaces is kept in `kept`. Written before it is replaced, so either may be there.
    Recomputed { cell: String, repeat: u32, before: String, sha256: String, kept: String },
    /// The exec ended; `interrupted` by the user.
    Ended { made: usize, failed: usize, interrupted: bool },
}

/// A run by its cell (32 hex digits) and repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    pub cell: String,
    pub repeat: u32,
}

/// The open journal of the exec that holds the lock.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens it for appending. A line that a crash cut short is closed, so that it spoils no other. One that is
    /// made where there are runs begins with the word that it does not know them.
    pub fn open(layout: &Layout) -> Result<Self, StoreError> {
        let path = layout.journal();
        let mut options = File::options();
        options.read(true).append(true).create(true);
        let mut file =
            files::open_own(&path, &mut options).map_err(StoreError::io("write", &path))?;
        let end = end(&mut file).map_err(StoreError::io("read", &path))?;
        if end == End::MidLine {
            file.write_all(b"\n").map_err(StoreError::io("write", &path))?;
        }
        if end == End::Empty {
            // It may have been made just now.
            disk::sync_folder(layout.root()).map_err(StoreError::io("sync", layout.root()))?;
        }
        let mut journal = Self { file, path };
        if end == End::Empty && !index::run_folders(&layout.runs())?.is_empty() {
            journal.write(What::Incomplete)?;
        }
        Ok(journal)
    }

    /// Appends one line and waits until it is on the disk.
    pub fn write(&mut self, what: What) -> Result<(), StoreError> {
        self.note(what)?;
        self.sync()
    }

    /// Appends one line, which outlasts this program at once, and the machine from [`Journal::sync`] on: for what
    /// must not be waited for.
    pub fn note(&mut self, what: What) -> Result<(), StoreError> {
        let line = line(&self.path, what)?;
        self.file.write_all(&line).map_err(StoreError::io("write", &self.path))
    }

    /// Waits until all lines are on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io("write", &self.path))
    }
}

/// An entry of now, with its line feed.
fn line(path: &Path, what: What) -> Result<Vec<u8>, StoreError> {
    let entry = Entry { time: clock::utc_now(), what };
    let mut line = serde_json::to_vec(&entry).map_err(|error| StoreError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// What a journal ends with.
#[derive(PartialEq)]
enum End {
    Empty,
    Line,
    MidLine,
}

fn end(file: &mut File) -> std::io::Result<End> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(End::Empty);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(if last[0] == b'\n' { End::Line } else { End::MidLine })
}

/// All entries that can be read, in order; none if there is no journal. Lines that a crash cut short
/// and events of later versions are passed over.
pub fn read(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let text = match files::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    Ok(entries(&text))
}

/// The entries of a journal's text that can be read.
#[must_use]
pub fn entries(text: &[u8]) -> Vec<Entry> {
    lines(text).filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Its lines, without the zeros that a loss of power leaves before or behind what was being written.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
        let from = line.iter().position(is_text).unwrap_or(line.len());
        let until = line.iter().rposition(is_text).map_or(from, |last| last + 1);
        line.get(from..until).unwrap_or_default()
    })
}

/// What a crash or a loss of power did to a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Lines that hold zeros or are no JSON.
    pub lines: usize,
    /// The first of them, from 1.
    pub first: usize,
    /// Where the journal is kept as it was.
    pub kept: PathBuf,
}

/// Takes out of the journal what is no entry of any version, and notes in it that something is gone; the journal
/// as it was is kept beside it.
pub fn repair(layout: &Layout) -> Result<Option<Damage>, StoreError> {
    let path = layout.journal();
    let text = match files::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let is_entry = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    let raw = text.split(|byte| *byte == b'\n');
    let damaged = raw
        .zip(lines(&text))
        .map(|(raw, line)| raw.contains(&0) || !line.is_empty() && !is_entry(line));
    let damaged: Vec<usize> = (1..).zip(damaged).filter(|own| own.1).map(|own| own.0).collect();
    let Some(first) = damaged.first().copied() else { return Ok(None) };
    let kept = super::layout::free_place(&layout.root().join("journal.jsonl.damaged"));
    seal::write_whole(&kept, &text)?;
    let sound: Vec<&[u8]> = lines(&text).filter(|line| is_entry(line)).collect();
    let mut sound = sound.join(&b'\n');
    if !sound.is_empty() {
        sound.push(b'\n');
    }
    sound.extend(line(&path, What::Incomplete)?);
    seal::write_whole(&path, &sound)?;
    Ok(Some(Damage { lines: damaged.len(), first, kept }))
}
