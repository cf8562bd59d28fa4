//! Re-hashing everything that was sealed.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::journal::{self, What};
use super::record::{FileDigest, RUN_FILE, RunRecord};
use super::{Layout, StoreError, digest, index, seal};

/// What is wrong with one run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The run's folder, relative to the study's.
    pub run: String,
    #[serde(flatten)]
    pub what: Wrong,
}

/// How a folder differs from what was sealed. Files are named by their paths in the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Wrong {
    Changed {
        file: String,
    },
    Missing {
        file: String,
    },
    Added {
        file: String,
    },
    /// It is not as it was measured (or, of the record, as it was sealed), and metrics were computed from
    /// it all the same, knowingly.
    Accepted {
        file: String,
        /// When; RFC 3339, UTC.
        on: String,
    },
    /// It is as it was measured, but the metrics were computed from something else that was accepted.
    Restored {
        file: String,
    },
    /// The record cannot be read.
    Record {
        reason: String,
    },
    /// The journal says that it was sealed, and it is not there.
    Gone,
}

impl Wrong {
    /// The file that it is about, if it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Changed { file }
            | Self::Missing { file }
            | Self::Added { file }
            | Self::Accepted { file, .. }
            | Self::Restored { file } => Some(file),
            Self::Record { .. } | Self::Gone => None,
        }
    }
}

/// What a verification saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub runs: usize,
    pub files: usize,
    pub bytes: u64,
    /// Sorted by run.
    pub findings: Vec<Finding>,
}

/// Hashes every file of every sealed run again and compares: with the run's record, and the record
/// itself with the journal's digest of it (where the journal has one).
pub fn verify(layout: &Layout) -> Result<Verification, StoreError> {
    let sealed = Sealed::read(layout)?;
    let folders = index::run_folders(&layout.runs())?;
    let checked: Vec<Checked> =
        folders.par_iter().map(|folder| check(layout, folder, &sealed)).collect();

    let mut result = Verification { runs: folders.len(), ..Verification::default() };
    let mut present = std::collections::BTreeSet::new();
    for checked in checked {
        result.files += checked.files;
        result.bytes += checked.bytes;
        result.findings.extend(checked.findings);
        present.extend(checked.key);
    }
    for (cell, repeat) in sealed.0.keys().filter(|key| !present.contains(*key)) {
        let run = format!("{}/{repeat}", cell.get(..8).unwrap_or(cell));
        result.findings.push(Finding { run, what: Wrong::Gone });
    }
    Ok(result)
}

type Key = (String, u32);

/// Digests that the record of each run may have by the journal's last word on it; runs that were
/// superseded or collected are out.
#[derive(Debug, Default)]
pub struct Sealed(BTreeMap<Key, Vec<String>>);

impl Sealed {
    pub fn read(layout: &Layout) -> Result<Self, StoreError> {
        let mut sealed: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for entry in journal::read(&layout.journal())? {
            match entry.what {
                What::Finished { cell, repeat, sha256, .. } => {
                    sealed.insert((cell, repeat), vec![sha256]);
                }
                What::Recomputed { cell, repeat, before, sha256, .. } => {
                    let known =
                        sealed.entry((cell, repeat)).or_insert_with(|| vec![before.clone()]);
                    // A crash may have left the one that was to be replaced, unless somebody had edited it.
                    known.retain(|known| *known == before);
                    known.push(sha256);
                }
                What::Superseded { cell, repeat, .. } | What::Collected { cell, repeat } => {
                    sealed.remove(&(cell, repeat));
                }
                _ => {}
            }
        }
        Ok(Self(sealed))
    }
}

#[derive(Default)]
struct Checked {
    key: Option<Key>,
    files: usize,
    bytes: u64,
    findings: Vec<Finding>,
}

fn check(layout: &Layout, folder: &Path, sealed: &Sealed) -> Checked {
    let run = layout.relative(folder);
    let mut checked = Checked::default();
    let mut wrong = |what| checked.findings.push(Finding { run: run.clone(), what });
    let record = match index::load(folder) {
        Ok(record) => record,
        Err(error) => {
            wrong(Wrong::Record { reason: error.to_string() });
            return checked;
        }
    };
    match compare(folder, &record, sealed) {
        Ok(compared) => {
            checked.files = compared.files.len() + 1;
            checked.bytes = compared.files.values().map(|digest| digest.bytes).sum();
            compared.wrong.into_iter().for_each(&mut wrong);
        }
        Err(error) => wrong(Wrong::Record { reason: error.to_string() }),
    }
    checked.key = Some((record.cell, record.repeat));
    checked
}

/// A run's folder against its record, and the record against the journal.
#[derive(Debug)]
pub struct Compared {
    /// Of `run.json`.
    pub record: FileDigest,
    /// Every other file.
    pub files: BTreeMap<String, FileDigest>,
    pub wrong: Vec<Wrong>,
}

/// Hashes every file of a run again.
pub fn compare(folder: &Path, record: &RunRecord, sealed: &Sealed) -> Result<Compared, StoreError> {
    let path = folder.join(RUN_FILE);
    let own = digest::of_file(&path).map_err(StoreError::io("read", &path))?;
    let files = seal::digests(folder)?;
    let mut wrong = Vec::new();
    let known = sealed.0.get(&(record.cell.clone(), record.repeat));
    if known.is_some_and(|known| !known.contains(&own.sha256)) {
        wrong.push(Wrong::Changed { file: RUN_FILE.to_owned() });
    }
    // What was edited in a record stays in those that followed from it.
    if let Some(by) = record.recomputed.iter().find(|by| by.accepted.contains_key(RUN_FILE)) {
        wrong.push(Wrong::Accepted { file: RUN_FILE.to_owned(), on: by.time.clone() });
    }
    let last = record.recomputed.last();
    let accepted = |file: &str| {
        let by = last?;
        by.accepted.get(file).map(|then| (then.as_ref(), by.time.clone()))
    };
    for (file, measured) in &record.files {
        let found = files.get(file);
        let file = file.clone();
        wrong.extend(match (found, accepted(&file)) {
            (Some(now), Some(_)) if now == measured => Some(Wrong::Restored { file }),
            (Some(now), _) if now == measured => None,
            (found, Some((then, on))) if found == then => Some(Wrong::Accepted { file, on }),
            (Some(_), _) => Some(Wrong::Changed { file }),
            (None, _) => Some(Wrong::Missing { file }),
        });
    }
    for (file, now) in files.iter().filter(|(file, _)| !record.files.contains_key(*file)) {
        let file = file.clone();
        wrong.push(match accepted(&file) {
            Some((Some(then), on)) if then == now => Wrong::Accepted { file, on },
            _ => Wrong::Added { file },
        });
    }
    Ok(Compared { record: own, files, wrong })
}
