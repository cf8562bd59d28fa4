//! Tokenizers: whether their files are there, whole, those that the manifest declares, and can be loaded.
//! A corpus that is a file needs no look: reading the manifest reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use formats::digest;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::needs::TokenizerNeed;
use super::{Facts, Finding, Needs, Subject};

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
    #[error("cannot be loaded: {path}: {reason}")]
    Load { path: String, reason: String },
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
            Self::Load { .. } => {
                "is it of a newer version than the library knows? `runner` and the Python runtime load \
                 it alike"
            }
            Self::Digest { .. } => "put the declared file in its place, or correct `sha256`",
        }
    }
}

/// Looks at each once; a large one takes a second or two.
pub(super) fn faults(needs: &Needs) -> BTreeMap<String, FileFault> {
    let faults = needs.tokenizers.iter().filter_map(|(name, need)| {
        let problem = look(need).err()?;
        Some((name.clone(), FileFault { name: name.clone(), problem }))
    });
    faults.collect()
}

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let faults = facts.tokenizers.iter().filter_map(|(name, fault)| {
        let need = needs.tokenizers.get(name)?;
        let (message, advice) = (format!("it {}", fault.problem), fault.problem.advice());
        let subject = Subject::Tokenizer(name.clone());
        let cells = match fault.problem {
            // A user's runtime may know what these do not.
            FileProblem::Load { .. } => &need.loaded,
            _ => &need.cells,
        };
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
fn look(need: &TokenizerNeed) -> Result<(), FileProblem> {
    let path = need.file.path.display().to_string();
    let content = match fs::read(&need.file.path) {
        Ok(content) => content,
        Err(source) => return Err(FileProblem::unreadable(path, source)),
    };
    if content.starts_with(b"GGUF") {
        return Err(FileProblem::Gguf { path });
    }
    match serde_json::from_slice(&content) {
        Ok(Shape { model: Some(_) }) => {}
        // JSON of another shape.
        Ok(Shape { model: None }) => return Err(FileProblem::Other { path }),
        Err(error) if error.is_data() => return Err(FileProblem::Other { path }),
        Err(error) => return Err(FileProblem::Json { path, reason: error.to_string() }),
    }
    if let Some(declared) = &need.file.sha256 {
        let found = digest::of_bytes(&content);
        if !found.eq_ignore_ascii_case(declared) {
            return Err(FileProblem::Digest { path, found, declared: declared.clone() });
        }
    }
    if !need.loaded.is_empty()
        && let Err(reason) = agent::tokenize::load(&content)
    {
        return Err(FileProblem::Load { path, reason });
    }
    Ok(())
}
