//! Re-hashing everything that was sealed.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::journal::{self, What};
use super::record::{RUN_FILE, RunRecord};
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
    /// The record cannot be read.
    Record {
        reason: String,
    },
    /// The journal says that it was sealed, and it is not there.
    Gone,
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
    let sealed = sealed_digests(layout)?;
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
    for ((cell, repeat), _) in sealed.iter().filter(|(key, _)| !present.contains(*key)) {
        let run = format!("{}/{repeat}", cell.get(..8).unwrap_or(cell));
        result.findings.push(Finding { run, what: Wrong::Gone });
    }
    Ok(result)
}

type Key = (String, u32);

/// Digest of each run's record by the journal's last word on it; runs that were superseded are out.
fn sealed_digests(layout: &Layout) -> Result<BTreeMap<Key, String>, StoreError> {
    let mut sealed = BTreeMap::new();
    for entry in journal::read(&layout.journal())? {
        match entry.what {
            What::Finished { cell, repeat, sha256, .. } => {
                sealed.insert((cell, repeat), sha256);
            }
            What::Superseded { cell, repeat, .. } => {
                sealed.remove(&(cell, repeat));
            }
            _ => {}
        }
    }
    Ok(sealed)
}

#[derive(Default)]
struct Checked {
    key: Option<Key>,
    files: usize,
    bytes: u64,
    findings: Vec<Finding>,
}

fn check(layout: &Layout, folder: &Path, sealed: &BTreeMap<Key, String>) -> Checked {
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
    let key = (record.cell.clone(), record.repeat);
    if let Some(expected) = sealed.get(&key) {
        let found = digest::of_file(&folder.join(RUN_FILE)).map(|digest| digest.sha256);
        if found.ok().as_ref() != Some(expected) {
            wrong(Wrong::Changed { file: RUN_FILE.to_owned() });
        }
    }
    match seal::digests(folder) {
        Ok(found) => {
            compare(&record, &found, &mut wrong);
            checked.files = found.len() + 1;
            checked.bytes = found.values().map(|digest| digest.bytes).sum();
        }
        Err(error) => wrong(Wrong::Record { reason: error.to_string() }),
    }
    checked.key = Some(key);
    checked
}

fn compare(
    record: &RunRecord,
    found: &BTreeMap<String, super::record::FileDigest>,
    wrong: &mut impl FnMut(Wrong),
) {
    for (file, digest) in &record.files {
        match found.get(file) {
            None => wrong(Wrong::Missing { file: file.clone() }),
            Some(now) if now != digest => wrong(Wrong::Changed { file: file.clone() }),
            Some(_) => {}
        }
    }
    for file in found.keys().filter(|file| !record.files.contains_key(*file)) {
        wrong(Wrong::Added { file: file.clone() });
    }
}
