//! `plan.json`: the last plan that was executed, and when each hypothesis was first declared.

use std::collections::BTreeMap;
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
    /// By `<experiment>/<hypothesis>`; one that left the manifest is kept.
    pub hypotheses: BTreeMap<String, Declared>,
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

/// A hypothesis as it stood when it was first executed. A criterion that differs from it today was
/// chosen after data existed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// When it was first seen; RFC 3339, UTC.
    pub since: String,
    pub criterion: serde_json::Value,
    /// SHA-256 of the criterion's canonical JSON (RFC 8785).
    pub digest: String,
}

impl Declared {
    #[must_use]
    pub fn new(since: &str, criterion: &serde_json::Value) -> Self {
        Self {
            since: since.to_owned(),
            criterion: criterion.clone(),
            digest: criterion_digest(criterion),
        }
    }
}

/// SHA-256 of a criterion's canonical JSON.
#[must_use]
pub fn criterion_digest(criterion: &serde_json::Value) -> String {
    crate::digest::of_bytes(&serde_json_canonicalizer::to_vec(criterion).unwrap_or_default())
}

/// SHA-256 over the compact JSON of the cells.
#[must_use]
pub fn cells_digest(cells: &[PlannedCell]) -> String {
    crate::digest::of_bytes(&serde_json::to_vec(cells).unwrap_or_default())
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

/// Replaces the stored plan. Hypotheses that were declared before keep their first criterion.
pub fn write(layout: &Layout, mut plan: ExecutedPlan) -> Result<(), StoreError> {
    if let Some(before) = read(layout)? {
        plan.hypotheses.extend(before.hypotheses);
    }
    let text = serde_json::to_vec_pretty(&plan).map_err(|error| StoreError::Malformed {
        path: layout.plan(),
        reason: error.to_string(),
    })?;
    seal::write_whole(&layout.plan(), &text)
}
