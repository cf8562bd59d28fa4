//! Whether a tokenizer's file is there and is one: the same question before a plan and before a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::plan::{CellSpec, CellWork, TokenizeWork};
use crate::store::digest;
use crate::store::record::TokenizerEvidence;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error(
        "the tokenizer `{name}` is missing: there is no {path}; \
         experiments/tokenizers/fetch.py gets those of the studies, and [tokenizer.{name}] \
         file = \"…\" names another"
    )]
    Missing { name: String, path: String },
    #[error("the tokenizer `{name}` cannot be read: {path}: {source}")]
    Read { name: String, path: String, source: std::io::Error },
    #[error(
        "the tokenizer `{name}` is no whole JSON: {path}: {reason}; was it downloaded to its end?"
    )]
    Json { name: String, path: String, reason: String },
    #[error(
        "the tokenizer `{name}` is a GGUF file: {path}; name the tokenizer.json that the model's \
         authors publish beside their weights"
    )]
    Gguf { name: String, path: String },
    #[error("the tokenizer `{name}` is no tokenizer.json: {path} is JSON without the key `model`")]
    Other { name: String, path: String },
    #[error(
        "the tokenizer `{name}`: {path} has the SHA-256 {found}, the manifest declares {declared}"
    )]
    Digest { name: String, path: String, found: String, declared: String },
}

/// What has to be repaired before these cells can be measured, one sentence for each tokenizer.
#[must_use]
pub fn findings<'a>(cells: impl Iterator<Item = &'a CellSpec>) -> Vec<String> {
    let mut asked: BTreeMap<&Path, &TokenizeWork> = BTreeMap::new();
    for cell in cells {
        if let CellWork::Tokenize(work) = &cell.work {
            asked.insert(&work.file.path, work);
        }
    }
    let mut findings: Vec<String> = asked.into_values().filter_map(finding).collect();
    findings.sort();
    findings
}

/// As [`findings`], of one tokenizer.
#[must_use]
pub fn finding(work: &TokenizeWork) -> Option<String> {
    fault(work).map(|fault| fault.to_string())
}

/// What every tokenizer.json has; the rest is looked over.
#[derive(Debug, Deserialize)]
struct Shape {
    model: Option<IgnoredAny>,
}

/// Reads the whole file: what is cut short shows only at its end.
fn fault(work: &TokenizeWork) -> Option<FileFault> {
    look(&work.tokenizer, &work.file.path, work.file.sha256.as_deref()).err()
}

/// Why a run cannot be made, as far as the file's digest tells: it is known already, and whether the
/// content is any good is for the runtime to say.
pub(super) fn refusal(work: &TokenizeWork, met: Option<&TokenizerEvidence>) -> Option<FileFault> {
    let (name, path) = (work.tokenizer.clone(), work.file.path.display().to_string());
    let Some(found) = met.and_then(|met| met.sha256.clone()) else {
        return match File::open(&work.file.path) {
            Ok(_) => None,
            Err(source) => Some(unreadable(name, path, source)),
        };
    };
    let declared = work.file.sha256.clone()?;
    (!found.eq_ignore_ascii_case(&declared)).then_some(FileFault::Digest {
        name,
        path,
        found,
        declared,
    })
}

fn unreadable(name: String, path: String, source: std::io::Error) -> FileFault {
    match source.kind() {
        std::io::ErrorKind::NotFound => FileFault::Missing { name, path },
        _ => FileFault::Read { name, path, source },
    }
}

fn look(name: &str, path: &Path, declared: Option<&str>) -> Result<(), FileFault> {
    let (name, shown) = (|| name.to_owned(), || path.display().to_string());
    let unreadable = |source| unreadable(name(), shown(), source);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = [0; 4];
    if file.read_exact(&mut magic).is_ok() && magic == *b"GGUF" {
        return Err(FileFault::Gguf { name: name(), path: shown() });
    }
    file.rewind().map_err(unreadable)?;
    let parsed: Result<Shape, _> = serde_json::from_reader(BufReader::new(file));
    match parsed {
        // JSON of another shape.
        Err(error) if error.is_data() => {
            return Err(FileFault::Other { name: name(), path: shown() });
        }
        Err(error) if error.is_io() => return Err(unreadable(error.into())),
        Err(error) => {
            let reason = error.to_string();
            return Err(FileFault::Json { name: name(), path: shown(), reason });
        }
        Ok(Shape { model: None }) => {
            return Err(FileFault::Other { name: name(), path: shown() });
        }
        Ok(_) => {}
    }
    let Some(declared) = declared else { return Ok(()) };
    let found = digest::of_file(path).map_err(unreadable)?.sha256;
    if found.eq_ignore_ascii_case(declared) {
        return Ok(());
    }
    Err(FileFault::Digest { name: name(), path: shown(), found, declared: declared.to_owned() })
}

/// A runtime may work in another directory. A path that cannot be made absolute does not exist, which
/// the runtime then says.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
