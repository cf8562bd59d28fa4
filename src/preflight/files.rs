//! Open files: a stream is a connection, and each is a file of the agent's process and, to a paced endpoint,
//! one of the executor.

use super::{Facts, Finding, Needs, Subject};
use crate::manifest::study::Endpoint;
use crate::plan::{CellId, CellSpec};

/// Files that the executor has open besides its connections: logs, pipes, what its probes look at.
const EXECUTOR: u64 = 32;
/// The same of the Python runtime (`OWN` in its `descriptors.py`).
const PYTHON: u64 = 48;
/// Files of the Python runtime's first process for each further one, which inherits those before it.
const PER_PROCESS: u64 = 3;
/// What a user's runtime cannot do without: its three standard streams.
const STANDARD_STREAMS: u64 = 3;

/// Files that a cell's runs need at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesNeed {
    pub cell: CellId,
    pub streams: u64,
    /// In the process of the agent that needs most.
    pub agent: u64,
    /// In the executor.
    pub executor: u64,
}

impl FilesNeed {
    /// `None`: nothing in the cell makes calls.
    pub(super) fn of(id: CellId, cell: &CellSpec) -> Option<Self> {
        cell.scenario()?;
        let streams = cell.agents().len() as u64;
        let paced =
            cell.agents().iter().filter(|agent| matches!(agent.endpoint, Endpoint::Paced(_)));
        let apart = cell.variant.get("processes").is_some_and(|processes| processes == "agent");
        let agent = match (cell.runtime.as_str(), &cell.command) {
            (_, Some(_)) => streams + STANDARD_STREAMS,
            ("python", None) if apart => PER_PROCESS * streams + PYTHON,
            ("python", None) => streams + PYTHON,
            (_, None) => streams + agent::os::descriptors::OWN,
        };
        Some(Self { cell: id, streams, agent, executor: paced.count() as u64 + EXECUTOR })
    }

    fn most(&self) -> u64 {
        self.agent.max(self.executor)
    }
}

/// Files that this process and those that it starts need open at the same time.
pub(super) fn most(needs: &Needs) -> u64 {
    needs.files.iter().map(FilesNeed::most).max().unwrap_or(0)
}

/// Runtimes raise their limit by themselves, up to the hard one.
pub(super) fn findings(needs: &Needs, facts: &Facts) -> Option<Finding> {
    let hard = facts.open_files.hard?;
    let without: Vec<&FilesNeed> = needs.files.iter().filter(|need| need.most() > hard).collect();
    let fewest = without.iter().map(|need| need.streams).min()?;
    let largest = without.iter().max_by_key(|need| need.most())?;
    let streams = if fewest == largest.streams {
        format!("{fewest} streams")
    } else {
        format!("{fewest} to {} streams", largest.streams)
    };
    let (who, files) = if largest.agent > hard {
        ("the agent's process", largest.agent)
    } else {
        ("the executor, which serves the paced endpoints,", largest.executor)
    };
    let message = format!(
        "{streams} do not fit: {who} needs {files} open files for {}, and this user's hard limit is {hard}",
        largest.streams
    );
    let advice = format!(
        "raise it: `ulimit -n {0}` (as root), or `* hard nofile {0}` in /etc/security/limits.conf and a \
         new login",
        largest.most()
    );
    let cells: Vec<CellId> = without.iter().map(|need| need.cell).collect();
    Some(Finding::blocking(Subject::OpenFiles, message, advice).about(&cells))
}
