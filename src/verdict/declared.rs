//! Whether a criterion was chosen before there were data to choose it by.

use super::words;
use crate::manifest::criterion::Criterion;
use crate::manifest::study::Hypothesis;
use crate::store::executed::{self, Declared, ExecutedPlan};

/// When a criterion was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Before the first run of the cells that it concerns.
    Before { since: String },
    /// After it.
    PostHoc {
        why: String,
        /// The criterion that was declared first under its name, in words, where it was another one.
        replaced: Option<String>,
    },
    /// There are no data yet, and no exec has seen it.
    Open,
}

/// What could be known when a criterion was chosen.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Stored runs of the cells that it concerns.
    pub runs: usize,
    /// When the first of them began; RFC 3339, UTC.
    pub first_started: Option<&'a str>,
}

/// How a criterion stands. Words around it do not matter, nor does a change that was taken back: it is
/// the criterion of today that counts, and when it was first declared under its name, or under a name
/// that is `gone` from the manifest (a hypothesis or an experiment that was renamed).
#[must_use]
pub fn standing(
    plan: Option<&ExecutedPlan>,
    experiment: &str,
    hypothesis: &Hypothesis,
    known: Known,
    gone: impl Fn(&str) -> bool,
) -> Standing {
    let name = executed::name(experiment, &hypothesis.name);
    let digest = executed::criterion_digest(&hypothesis.document);
    let under = |name: &str| -> Vec<&Declared> {
        plan.into_iter().flat_map(|plan| plan.declared(name)).collect()
    };
    let own = under(&name);
    let same = |declared: &&&Declared| declared.digest == digest;
    if let Some(declared) = own.iter().find(same) {
        return of(declared, own[0], known);
    }
    let renamed = plan
        .into_iter()
        .flat_map(|plan| plan.hypotheses.keys())
        .filter(|other| gone(other))
        .flat_map(|other| under(other))
        .find(|declared| declared.digest == digest);
    if let Some(declared) = renamed {
        return of(declared, declared, known);
    }
    if known.runs == 0 {
        return Standing::Open;
    }
    match own.first() {
        None => Standing::PostHoc {
            why: "it was not declared before its first run".to_owned(),
            replaced: None,
        },
        Some(first) => Standing::PostHoc {
            why: format!("it was changed after {}", first.since),
            replaced: Some(in_words(first)),
        },
    }
}

fn of(declared: &Declared, first: &Declared, known: Known) -> Standing {
    let since = declared.since.clone();
    // a version that did not count runs said only when
    let before = match (declared.runs_before, known.first_started) {
        (Some(runs), _) => runs == 0,
        (None, Some(started)) => since.as_str() <= started,
        (None, None) => true,
    };
    if before {
        return Standing::Before { since };
    }
    let runs = declared.runs_before.map_or_else(String::new, |runs| format!("{runs} of "));
    Standing::PostHoc {
        why: format!("it was declared on {since}, after {runs}its runs were made"),
        replaced: (first.digest != declared.digest).then(|| in_words(first)),
    }
}

/// As it would be read in a manifest; as it is stored where this version cannot read it.
fn in_words(declared: &Declared) -> String {
    match Criterion::stored(&declared.criterion) {
        Some((criterion, alpha)) => format!("{}, at alpha {alpha}", words::criterion(&criterion)),
        None => declared.criterion.to_string(),
    }
}
