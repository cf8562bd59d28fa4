//! What must hold before the first call, found out all at once.
//!
//! Three steps, each testable without the one before: what cells need ([`Needs`], from a plan), what
//! there is ([`Facts`], asked of servers and of the machine), and what that comes to ([`judge`], pure).
//! What is done about it is left to `execute`, what is printed to `cli`. [`doctor`] says the same of the
//! machine alone.

mod context;
mod disk;
pub mod doctor;
mod endpoints;
mod facts;
mod files;
mod finding;
mod life;
mod machine;
mod memory;
mod models;
mod needs;
mod probes;
mod programs;
mod python;
mod threads;
mod tokenizers;

use std::collections::HashMap;

pub use disk::{MIN_FREE_BYTES, RUN_BYTES, Room, free_below};
pub use facts::{Disk, Facts, Place, PySpy, Python, ask};
pub use files::FilesNeed;
pub use finding::{Finding, Severity, Subject};
pub use needs::{EndpointNeed, FallbackStep, ModelNeed, Needs, ProgramNeed, TokenizerNeed};
pub use threads::{ModelThreads, ThreadsNeed};
pub use tokenizers::{FileFault, FileProblem};

use crate::os::open_files;
use crate::plan::CellId;

/// Everything that stands against the needs: what blocks first, then warnings.
#[must_use]
pub fn judge(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = disk::findings(needs, facts).into_iter().collect();
    findings.extend(endpoints::findings(needs, facts));
    findings.extend(models::findings(needs, facts));
    findings.extend(life::findings(needs));
    findings.extend(files::findings(needs, facts));
    findings.extend(python::findings(needs, facts));
    findings.extend(programs::findings(needs, facts));
    findings.extend(tokenizers::findings(needs, facts));
    findings.extend(probes::findings(needs, facts));
    findings.extend(context::findings(needs, facts));
    findings.extend(memory::findings(needs, facts));
    findings.extend(threads::findings(needs, facts));
    findings.extend(machine::findings(&facts.machine));
    findings = findings.into_iter().map(|finding| finding.sparing(needs)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Lets this process open the files that the needs ask of it. Where it may not, findings say so.
pub fn make_room(needs: &Needs) {
    let _ = open_files::prepare(files::most(needs));
}

/// Cells that cannot be made, those of fallbacks among them, each with what stands against it. With `try_all`
/// only those that no request can be made for: a server may do what it was found not to do.
#[must_use]
pub fn doomed(findings: &[Finding], try_all: bool) -> HashMap<CellId, String> {
    let mut doomed: HashMap<CellId, String> = HashMap::new();
    for finding in findings.iter().filter(|finding| !(try_all && finding.can_be_tried)) {
        let cells = finding.cells.iter().filter(|_| finding.severity == Severity::Blocking);
        for cell in cells.chain(&finding.fallbacks) {
            let reasons = doomed.entry(*cell).or_default();
            if !reasons.is_empty() {
                reasons.push_str("; ");
            }
            reasons.push_str(&finding.reason());
        }
    }
    doomed
}

#[cfg(test)]
mod tests;
