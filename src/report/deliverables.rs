//! The index of raw artifacts: which runs have them, and where they lie.

use serde::Serialize;

use super::completeness::fresh;
use super::data::Data;

/// Runs that are linked before the rest is only counted.
const LINKED: usize = 8;
/// What probes and experiments leave behind for people, in the order of the index.
const FILES: [&str; 9] = [
    "loop_lag.csv",
    "loop_lag_windows.csv",
    "chunk_metrics.csv",
    "gpu_metrics.csv",
    "host_metrics.csv",
    "tokenizer_bench.txt",
    "wire.csv",
    "flamegraph.svg",
    "sends.csv",
];

/// One kind of artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deliverable {
    pub file: &'static str,
    /// Runs that have it, stale ones left out.
    pub runs: usize,
    pub bytes: u64,
    /// Of the first of them.
    pub links: Vec<Link>,
}

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `<id8>/<repeat>`.
    pub run: String,
    /// From the folder of the report.
    pub path: String,
}

/// Every kind, also those that no run has.
pub(super) fn deliverables(data: &Data) -> Vec<Deliverable> {
    let mut found: Vec<Deliverable> = FILES
        .iter()
        .map(|file| Deliverable { file, runs: 0, bytes: 0, links: Vec::new() })
        .collect();
    for cell in &data.cells {
        for run in fresh(cell) {
            for own in &mut found {
                let Some(digest) = run.files.get(own.file) else { continue };
                own.runs += 1;
                own.bytes += digest.bytes;
                let folder = cell.folders.get(&run.repeat);
                if let Some(folder) = folder.filter(|_| own.links.len() < LINKED) {
                    own.links.push(Link {
                        run: format!("{}/{}", cell.short(), run.repeat),
                        path: format!("{}/{}", folder.link, own.file),
                    });
                }
            }
        }
    }
    found
}
