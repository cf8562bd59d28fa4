//! Names and references: what may be a name, and whether what is referred to is there.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::written::{self, Manifest, Scalar};

/// Reports a reference to something that is not declared.
pub(super) fn reference<'n>(
    problems: &mut Problems<'_>,
    at: &At<'_>,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n String>,
    is_key: bool,
) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.contains(&name) {
        return;
    }
    let message = format!("there is no {what} named `{name}`");
    let help = suggest(name, known);
    if is_key {
        problems.key(at, message, help);
    } else {
        problems.value(at, message, help);
    }
}

/// Whether this may be a name. Names become folder names, file names and table headings: letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && !name.starts_with('.')
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// What a name may be.
pub const NAME_HELP: &str =
    "use letters, digits, `.`, `_` and `-`, at most 80, not starting with `.` or `-`";

pub(super) fn name(problems: &mut Problems<'_>, at: &At<'_>, name: &str) {
    if !is_name(name) {
        problems.value(at, format!("{name:?} cannot be a name"), Some(NAME_HELP.into()));
    }
}

pub(super) fn name_of_key(problems: &mut Problems<'_>, at: &At<'_>, name: &str) {
    if !is_name(name) {
        problems.key(at, format!("{name:?} cannot be a name"), Some(NAME_HELP.into()));
    }
}

pub(super) fn named(written: &Manifest) -> [(&'static str, Vec<&str>); 11] {
    fn keys<T>(map: &IndexMap<String, T>) -> Vec<&str> {
        map.keys().map(String::as_str).collect()
    }
    [
        ("endpoint", keys(&written.endpoint)),
        ("options", keys(&written.options)),
        ("prompt", keys(&written.prompt)),
        ("workflow", keys(&written.workflow)),
        ("scenario", keys(&written.scenario)),
        ("runtime", keys(&written.runtime)),
        ("tokenizer", keys(&written.tokenizer)),
        ("corpus", keys(&written.corpus)),
        ("experiment", keys(&written.experiment)),
        ("claim", keys(&written.claim)),
        ("profile", keys(&written.profile)),
    ]
}

pub(super) fn model_names(written: &Manifest) -> BTreeSet<&String> {
    fn text(scalar: &Scalar) -> Option<&String> {
        match scalar {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }
    let mut names = BTreeSet::new();
    let fallbacks = written.experiment.values().flat_map(|experiment| &experiment.fallback);
    let steps = fallbacks.chain(&written.defaults.fallback).flatten();
    names.extend(steps.filter_map(|step| step.get("model")).filter_map(text));
    names.extend(written.scenario.values().flatten().filter_map(|agent| agent.model.as_ref()));
    for experiment in written.experiment.values() {
        names.extend(&experiment.model);
        if let Some(written::Axis::Levels(levels)) = experiment.matrix.get("model") {
            names.extend(levels.iter().filter_map(text));
        }
        let cells = experiment.include.iter().chain(experiment.overrides.iter().map(|o| &o.set));
        names.extend(cells.filter_map(|cell| cell.get("model")).filter_map(text));
    }
    names
}
