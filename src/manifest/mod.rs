//! The manifest: TOML as the researcher wrote it → a checked [`Study`].
//!
//! Strict: everything unknown is an error with its place and the nearest known name, and all errors
//! of a file are reported at once. Knows nothing of plans, stores or servers. In three passes, each
//! of which needs the one before: syntax (`source`), keys and types (`structure`), meaning (`check`).

mod check;
pub mod command;
pub mod criterion;
pub mod factor;
pub mod import;
pub mod inference;
pub mod nearest;
pub mod problem;
pub mod sign;
pub mod source;
mod structure;
pub mod study;
pub mod template;
pub mod units;
pub mod written;

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::de::DeserializeOwned;

use crate::encoding::{self, NotUtf8};

pub use check::{NAME_HELP, PatternPart, is_name, pattern};
pub use problem::ManifestErrors;
pub use source::Source;
pub use study::Study;

/// Loads a manifest, checks all of it, and applies a profile.
pub fn load(path: &Path, profile: Option<&str>) -> Result<Study, LoadError> {
    load_with(path, profile, None)
}

/// As [`load`]; maps that are gone from beside the manifest are looked for among those that an import kept in the
/// study's folder below `results`.
pub fn load_with(
    path: &Path,
    profile: Option<&str>,
    results: Option<&Path>,
) -> Result<Study, LoadError> {
    let bytes =
        std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let text = encoding::decode(bytes)
        .map_err(|reason| LoadError::Encoding { path: path.to_owned(), reason })?;
    checked(path, &text, profile, results)
}

/// As [`load`], from a text; `path` names it in errors and is where relative paths start.
///
/// How the file ends its lines does not get into texts of several lines, as TOML allows: a checkout on
/// another system must not change what is measured.
pub fn parse(path: &Path, text: &str, profile: Option<&str>) -> Result<Study, LoadError> {
    checked(path, text, profile, None)
}

fn checked(
    path: &Path,
    text: &str,
    profile: Option<&str>,
    results: Option<&Path>,
) -> Result<Study, LoadError> {
    let text = &*encoding::unix_lines(text);
    let (source, structure, written) = read(path, text, &written::schema())?;
    check::check(source, &written, profile, results, structure)
}

/// The first two passes over a file: what it says as far as its structure is right, and what is wrong with that.
fn read<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    schema: &serde_json::Value,
) -> Result<(Source, Vec<problem::Problem>, T), ManifestErrors> {
    let (source, syntax) = Source::parse(path, text);
    if !syntax.is_empty() {
        return Err(ManifestErrors::new(&source, syntax));
    }
    let structure = structure::check(&source, schema);
    match without(text, &structure) {
        Ok(written) => Ok((source, structure, written)),
        // What was left out was needed: the problems that are known say so.
        Err(_) if !structure.is_empty() => Err(ManifestErrors::new(&source, structure)),
        Err(error) => Err(ManifestErrors::new(
            &source,
            vec![problem::Problem {
                message: error.message().to_owned(),
                span: error.span().unwrap_or(0..0),
                label: "here".into(),
                help: None,
            }],
        )),
    }
}

/// The file without what the structure pass found wrong, so that the checks can go on and all problems are reported
/// at once.
fn without<T: DeserializeOwned>(
    text: &str,
    wrong: &[problem::Problem],
) -> Result<T, toml::de::Error> {
    let mut table = toml::de::DeTable::parse(text)?;
    let spans: Vec<_> = wrong.iter().map(|problem| problem.span.clone()).collect();
    source::prune(table.get_mut(), &spans);
    T::deserialize(toml::de::Deserializer::from(table))
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum LoadError {
    #[error("cannot read the manifest {path}: {source}")]
    #[diagnostic(help("is the path right? `runner init` writes a starter manifest"))]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the manifest {path} is not UTF-8, as TOML must be: {reason}")]
    #[diagnostic(help("{}", encoding::HELP))]
    Encoding { path: PathBuf, reason: NotUtf8 },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] ManifestErrors),
    #[error("the manifest {path} has no profile `{profile}`")]
    UnknownProfile {
        path: PathBuf,
        profile: String,
        #[help]
        help: Option<String>,
    },
}
