//! Raw artifacts → metrics: the one implementation for every runtime.

use std::path::Path;

use crate::store::record::{CallSummary, Metrics, ProcessUsage};

/// Metrics of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMetrics {
    /// One per call, warm-up included, in the order of the record.
    pub calls: Vec<CallSummary>,
    pub run: Metrics,
}

/// Computes everything from the artifacts in a run's folder (`agent.json` and, on the paced
/// endpoint, `sends.csv`) and what the executor saw of the process.
pub fn from_folder(_folder: &Path, _process: &ProcessUsage) -> Result<RunMetrics, MetricsError> {
    todo!()
}

/// Artifacts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {reason}")]
pub struct MetricsError {
    pub path: std::path::PathBuf,
    pub reason: String,
}

/// (being built)
#[must_use]
pub fn catalogue_markdown() -> String {
    String::new()
}
