//! `plan.json`: the last plan that was executed, and which criteria were declared when.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{Layout, StoreError, seal};

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
    /// SHA-256 over the compact JSON of [`ExecutedPlan::cells`].
    pub digest: String,
    /// The manifest as it was read.
    pub manifest: String,
    pub cells: Vec<PlannedCell>,
    /// The first criterion by `<experiment>/<hypothesis>`; one that left the manifest is kept.
    pub hypotheses: BTreeMap<String, Declared>,
    /// Further criteria under the same names, in the order in which they were declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Vec<Declared>>,
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

/// SHA-256 over the compact JSON of the cells.
#[must_use]
pub fn cells_digest(cells: &[PlannedCell]) -> String {
    formats::digest::of_bytes(&serde_json::to_vec(cells).unwrap_or_default())
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

/// Replaces the stored plan. What was declared before is kept; a criterion that is new under its name
/// is added.
pub fn write(layout: &Layout, mut plan: ExecutedPlan) -> Result<(), StoreError> {
    if let Some(mut before) = read(layout)? {
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
