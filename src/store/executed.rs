//! `plan.json`: the last plan that was executed, and which criteria were declared when.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{Layout, StoreError, seal};
use crate::manifest::study::Until;

/// The version of `plan.json` that this program writes.
pub const PLAN_FORMAT: u32 = 1;

/// The plan of the last exec that had something to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutedPlan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    pub study: String,
    pub profile: Option<String>,
    /// RFC 3339, UTC.
    pub executed: String,
    /// [`digest`]: over the cells, the criteria of the manifest and the planned repeats.
    pub digest: String,
    /// The manifest as it was read.
    pub manifest: String,
    pub cells: Vec<PlannedCell>,
    /// The first criterion by `<experiment>/<hypothesis>`; one that left the manifest is kept.
    pub hypotheses: BTreeMap<String, Declared>,
    /// Further criteria under the same names, in the order in which they were declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Vec<Declared>>,
    /// By experiment, how many repeats were planned when, in the order of the changes. Empty in plans of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<String, Vec<PlannedRepeats>>,
}

/// The repeats of an experiment as they were planned when an exec began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRepeats {
    /// When they were first seen; RFC 3339, UTC.
    pub since: String,
    pub repeats: u32,
    /// Repeats at which the data may be looked at; empty: at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Runs of the experiment's cells that were finished by then.
    pub runs_before: usize,
}

impl PlannedRepeats {
    /// Whether the same is planned.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        (self.repeats, &self.looks, &self.until) == (other.repeats, &other.looks, &other.until)
    }
}

impl ExecutedPlan {
    /// Every criterion that was declared under a name, the first one first.
    pub fn declared(&self, name: &str) -> impl Iterator<Item = &Declared> {
        self.hypotheses.get(name).into_iter().chain(self.changed.get(name).into_iter().flatten())
    }
}

/// A cell of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCell {
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    pub repeats: u32,
    /// Names of the experiments it belongs to, or that need it as a control.
    pub experiments: Vec<String>,
}

/// A criterion as it stood when an exec began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// When it was first seen; RFC 3339, UTC.
    pub since: String,
    pub criterion: serde_json::Value,
    /// SHA-256 of the criterion's canonical JSON (RFC 8785).
    pub digest: String,
    /// Runs of the cells that it concerns which were finished by then, those included that were
    /// measured again later; 0: declared before there were data. `None`: written by a version that did
    /// not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_before: Option<usize>,
}

impl Declared {
    #[must_use]
    pub fn new(since: &str, criterion: &serde_json::Value, runs_before: usize) -> Self {
        Self {
            runs_before: Some(runs_before),
            since: since.to_owned(),
            criterion: criterion.clone(),
            digest: criterion_digest(criterion),
        }
    }
}

/// The name under which the criterion of a hypothesis is kept.
#[must_use]
pub fn name(experiment: &str, hypothesis: &str) -> String {
    format!("{experiment}/{hypothesis}")
}

/// SHA-256 of a criterion's canonical JSON.
#[must_use]
pub fn criterion_digest(criterion: &serde_json::Value) -> String {
    formats::digest::of_bytes(&serde_json_canonicalizer::to_vec(criterion).unwrap_or_default())
}

/// SHA-256 over the compact JSON of what is planned and predicted: the cells, each criterion by its name, and
/// the repeats, looks and widths of each experiment. When it was first seen is no part of it.
#[must_use]
pub fn digest(
    cells: &[PlannedCell],
    hypotheses: &BTreeMap<String, Declared>,
    repeats: &BTreeMap<String, Vec<PlannedRepeats>>,
) -> String {
    let criteria: BTreeMap<&String, &String> =
        hypotheses.iter().map(|(name, declared)| (name, &declared.digest)).collect();
    let planned = |own: &PlannedRepeats| (own.repeats, own.looks.clone(), own.until.clone());
    let repeats: BTreeMap<&String, Vec<_>> =
        repeats.iter().map(|(name, all)| (name, all.iter().map(planned).collect())).collect();
    let whole = (cells, criteria, repeats);
    formats::digest::of_bytes(&serde_json::to_vec(&whole).unwrap_or_default())
}

/// The stored plan; `None` if none was executed yet.
pub fn read(layout: &Layout) -> Result<Option<ExecutedPlan>, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let path = layout.plan();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        path: path.clone(),
        reason: error.to_string(),
    };
    let Format { format } = serde_json::from_slice(&text).map_err(malformed)?;
    if format > u64::from(PLAN_FORMAT) {
        return Err(StoreError::NewerFormat { path, found: format, known: PLAN_FORMAT });
    }
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

/// Replaces the stored plan. What was declared before is kept where `has_data` says that data existed under it,
/// by its name: it could have been chosen by them. A criterion that is new under its name is added, and so are
/// repeats that changed.
pub fn write(
    layout: &Layout,
    mut plan: ExecutedPlan,
    has_data: impl Fn(&str, &Declared) -> bool,
) -> Result<(), StoreError> {
    if let Some(mut before) = read(layout)? {
        drop_undated(&mut before, &plan, has_data);
        for (name, planned) in std::mem::take(&mut plan.repeats) {
            let known = before.repeats.entry(name).or_default();
            for now in planned {
                if known.last().is_some_and(|last| last.runs_before == 0) && now.runs_before == 0 {
                    known.clear();
                }
                if known.last().is_none_or(|last| !last.is_as(&now)) {
                    known.push(now);
                }
            }
        }
        plan.repeats = std::mem::take(&mut before.repeats);
        for (name, declared) in std::mem::take(&mut plan.hypotheses) {
            if before.declared(&name).any(|earlier| earlier.digest == declared.digest) {
                continue;
            }
            match before.hypotheses.entry(name) {
                Entry::Vacant(first) => {
                    first.insert(declared);
                }
                Entry::Occupied(first) => {
                    before.changed.entry(first.key().clone()).or_default().push(declared);
                }
            }
        }
        (plan.hypotheses, plan.changed) = (before.hypotheses, before.changed);
    }
    let text = serde_json::to_vec_pretty(&plan).map_err(|error| StoreError::Malformed {
        path: layout.plan(),
        reason: error.to_string(),
    })?;
    seal::write_whole(&layout.plan(), &text)
}

/// Takes out the criteria that left the manifest before there were data: whoever changes their mind before the
/// first run has looked at nothing.
fn drop_undated(
    before: &mut ExecutedPlan,
    plan: &ExecutedPlan,
    has_data: impl Fn(&str, &Declared) -> bool,
) {
    let today: std::collections::BTreeSet<&String> =
        plan.hypotheses.values().map(|declared| &declared.digest).collect();
    let stays = |name: &str, declared: &Declared| {
        today.contains(&declared.digest) || has_data(name, declared)
    };
    let names: Vec<String> =
        before.hypotheses.keys().chain(before.changed.keys()).cloned().collect();
    for name in names {
        let kept: Vec<Declared> =
            before.declared(&name).filter(|declared| stays(&name, declared)).cloned().collect();
        before.hypotheses.remove(&name);
        before.changed.remove(&name);
        let mut kept = kept.into_iter();
        if let Some(first) = kept.next() {
            before.hypotheses.insert(name.clone(), first);
        }
        let further: Vec<Declared> = kept.collect();
        if !further.is_empty() {
            before.changed.insert(name, further);
        }
    }
}
