//! Why execution stops before its plan is done.

use std::path::{Path, PathBuf};

use simulator::SimulatorError;

use crate::preflight::{Finding, Severity};
use crate::store::StoreError;

/// Why execution stopped. What was sealed before stays.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("runs of an import are read by `runner import`, not executed")]
    Imported,
    /// Nothing was executed; what blocks is to be repaired first, the rest are warnings.
    #[error("nothing was executed, {} must be repaired first", blocking(.0))]
    Preflight(Vec<Finding>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    #[error(
        "the disk of {} has {} MiB left; finished runs are safe, make room and run exec again",
        folder.display(), free / (1024 * 1024)
    )]
    DiskFull { folder: PathBuf, free: u64 },
    #[error("cannot find out which program this is: {0}")]
    Program(std::io::Error),
}

fn blocking(findings: &[Finding]) -> String {
    let count = findings.iter().filter(|one| one.severity == Severity::Blocking).count();
    if count == 1 { "one thing".to_owned() } else { format!("{count} things") }
}

impl ExecError {
    /// The log of the paced endpoint could not be written into the folder.
    pub(super) fn sends(folder: &Path, error: csv::Error) -> Self {
        Self::csv(&folder.join(formats::sends::SENDS_FILE), error)
    }

    /// The table could not be written.
    pub(super) fn csv(path: &Path, error: csv::Error) -> Self {
        let path = path.to_owned();
        Self::Store(match error.into_kind() {
            csv::ErrorKind::Io(source) => StoreError::Io { action: "write", path, source },
            other => StoreError::Malformed { path, reason: format!("{other:?}") },
        })
    }
}
