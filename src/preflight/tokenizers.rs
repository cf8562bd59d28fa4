//! Tokenizers: whether their files are there, whole, and those that the manifest declares. A corpus that
//! is a file needs no look: reading the manifest reads it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Facts, Finding, Needs, Subject};
use crate::manifest::study::TokenizerFile;
use crate::store::digest;

/// A tokenizer whose file is none.
#[derive(Debug, thiserror::Error)]
#[error("the tokenizer `{name}` {problem}{}", then(.problem))]
pub struct FileFault {
    pub name: String,
    pub problem: FileProblem,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    #[error("is missing: there is no {path}")]
    Missing { path: String },
    #[error("cannot be read: {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("is no whole JSON: {path}: {reason}")]
    Json { path: String, reason: String },
    #[error("is a GGUF file: {path}")]
    Gguf { path: String },
    #[error("is no tokenizer.json: {path} is JSON without the key `model`")]
    Other { path: String },
    #[error("is another one: {path} has the SHA-256 {found}, the manifest declares {declared}")]
    Digest { path: String, found: String, declared: String },
}

fn then(problem: &FileProblem) -> String {
    format!("; {}", problem.advice())
}

impl FileProblem {
    /// The file could not be opened or read.
    #[must_use]
    pub fn unreadable(path: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Read { path, source },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "experiments/tokenizers/fetch.py gets those of the studies, and [tokenizer.NAME] \
                 file = \"…\" names another"
            }
            Self::Read { .. } => "make it readable, or name another file",
            Self::Json { .. } => "was it downloaded to its end?",
            Self::Gguf { .. } | Self::Other { .. } => {
                "name the tokenizer.json that the model's authors publish beside their weights"
            }
            Self::Digest { .. } => "put the declared file in its place, or correct `sha256`",
        }
    }
}

pub(super) fn faults(needs: &Needs) -> BTreeMap<String, FileFault> {
    let faults = needs.tokenizers.iter().filter_map(|(name, (file, _))| {
        let problem = look(file).err()?;
        Some((name.clone(), FileFault { name: name.clone(), problem }))
    });
    faults.collect()
}

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let faults = facts.tokenizers.iter().filter_map(|(name, fault)| {
        let (_, cells) = needs.tokenizers.get(name)?;
        let (message, advice) = (format!("it {}", fault.problem), fault.problem.advice());
        let subject = Subject::Tokenizer(name.clone());
        Some(Finding::blocking(subject, message, advice).about(cells))
    });
    faults.collect()
}

/// What every tokenizer.json has; the rest is looked over.
#[derive(Debug, Deserialize)]
struct Shape {
    model: Option<IgnoredAny>,
}

/// Reads the whole file: what is cut short shows only at its end.
fn look(file: &TokenizerFile) -> Result<(), FileProblem> {
    let path = file.path.as_path();
    let shown = || path.display().to_string();
    let unreadable = |source| FileProblem::unreadable(shown(), source);
    let mut reader = File::open(path).map_err(unreadable)?;
    let mut magic = [0; 4];
    if reader.read_exact(&mut magic).is_ok() && magic == *b"GGUF" {
        return Err(FileProblem::Gguf { path: shown() });
    }
    reader.rewind().map_err(unreadable)?;
    let parsed: Result<Shape, _> = serde_json::from_reader(BufReader::new(reader));
    match parsed {
        // JSON of another shape.
        Err(error) if error.is_data() => return Err(FileProblem::Other { path: shown() }),
        Err(error) if error.is_io() => return Err(unreadable(error.into())),
        Err(error) => {
            return Err(FileProblem::Json { path: shown(), reason: error.to_string() });
        }
        Ok(Shape { model: None }) => return Err(FileProblem::Other { path: shown() }),
        Ok(_) => {}
    }
    let Some(declared) = &file.sha256 else { return Ok(()) };
    let found = digest::of_file(path).map_err(unreadable)?.sha256;
    if found.eq_ignore_ascii_case(declared) {
        return Ok(());
    }
    Err(FileProblem::Digest { path: shown(), found, declared: declared.clone() })
}
