//! Re-hashing everything that was sealed.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::record::{FileDigest, RUN_FILE, RunRecord};
use super::sealed::{Key, Sealed, Standing};
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
    /// The record is of another run: the folder was copied or moved here.
    Misplaced {
        reason: String,
    },
    /// The journal does not say that it was sealed; `begun`: it says that it was begun, so a kill came before
    /// the line and the next exec adds it. Otherwise it was made elsewhere.
    Unsealed {
        begun: bool,
    },
    /// The journal says that it was sealed, and it is not there.
    Gone,
}

impl Wrong {
    /// A file is not as it was sealed, and nobody has accepted that yet.
    #[must_use]
    pub fn is_unaccepted(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Missing { .. } | Self::Added { .. })
    }

    /// The file that it is about, if it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Changed { file }
            | Self::Missing { file }
            | Self::Added { file }
            | Self::Accepted { file, .. }
            | Self::Restored { file } => Some(file),
            Self::Record { .. } | Self::Misplaced { .. } | Self::Unsealed { .. } | Self::Gone => {
                None
            }
        }
    }
}

/// What a verification saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub runs: usize,
    pub files: usize,
    pub bytes: u64,
    /// Without one that knows every run nobody can tell whether the records are those that were sealed.
    pub journal: bool,
    /// Sorted by run.
    pub findings: Vec<Finding>,
}

/// Hashes every file of every sealed run again and compares: with the run's record, and the record
/// itself with the journal's digest of it; and whether it lies where it belongs.
pub fn verify(layout: &Layout) -> Result<Verification, StoreError> {
    let sealed = Sealed::read(layout)?;
    let folders = index::run_folders(&layout.runs())?;
    let checked: Vec<Checked> =
        folders.par_iter().map(|folder| check(layout, folder, &sealed)).collect();

    let (runs, journal) = (folders.len(), sealed.knows_all());
    let mut result = Verification { runs, journal, ..Verification::default() };
    let mut present: BTreeMap<Key, String> = BTreeMap::new();
    for checked in checked {
        result.files += checked.files;
        result.bytes += checked.bytes;
        result.findings.extend(checked.findings);
        let Some(key) = checked.key else { continue };
        // Two folders under readable names of their own.
        if let Some(first) = present.get(&key) {
            let reason = format!("the same run lies in {first}");
            result.findings.push(Finding { run: checked.run, what: Wrong::Misplaced { reason } });
        } else {
            present.insert(key, checked.run);
        }
    }
    for (cell, repeat) in sealed.keys().filter(|key| !present.contains_key(*key)) {
        let run = format!("{}/{repeat}", cell.get(..8).unwrap_or(cell));
        result.findings.push(Finding { run, what: Wrong::Gone });
    }
    Ok(result)
}

#[derive(Default)]
struct Checked {
    run: String,
    /// Of a record that is where it belongs.
    key: Option<Key>,
    files: usize,
    bytes: u64,
    findings: Vec<Finding>,
}

fn check(layout: &Layout, folder: &Path, sealed: &Sealed) -> Checked {
    let run = layout.relative(folder);
    let mut checked = Checked { run: run.clone(), ..Checked::default() };
    let mut wrong = |what| checked.findings.push(Finding { run: run.clone(), what });
    let record = match index::load(folder) {
        Ok(record) => record,
        Err(error) => {
            wrong(Wrong::Record { reason: error.to_string() });
            return checked;
        }
    };
    if let Some(reason) = index::misplaced(folder, &record) {
        wrong(Wrong::Misplaced { reason });
        return checked;
    }
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
    let own = digest::of_stored(&path).map_err(StoreError::io("read", &path))?;
    let files = seal::digests(folder)?;
    let mut wrong = Vec::new();
    match sealed.standing(&record.cell, record.repeat, &own.sha256) {
        Standing::Changed => wrong.push(Wrong::Changed { file: RUN_FILE.to_owned() }),
        // Of results without a journal, or with one that was begun later, there is one word for all.
        Standing::Unsealed { begun } if begun || sealed.knows_all() => {
            wrong.push(Wrong::Unsealed { begun });
        }
        Standing::Unsealed { .. } | Standing::Sealed => {}
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
