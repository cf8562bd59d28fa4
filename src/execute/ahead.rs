//! What can be said of an execution before it starts: for `plan`, which changes nothing.

use super::agenda::{self, Agenda, StaleRuns};
use super::runtimes::PYTHON;
use super::surroundings::{Surroundings, questions};
use super::{preflight, tokenize};
use crate::agent::python;
use crate::plan::Plan;
use crate::store::Store;

/// Finished runs of the plan whose evidence differs from today's, as far as that can be known without
/// asking a server.
#[must_use]
pub fn stale(plan: &Plan, store: &Store, python: &python::Setup) -> StaleRuns {
    agenda::stale(plan, store, &mut Surroundings::collect(plan.study(), python))
}

/// What has to be repaired before the runs that are left can be made: asks the servers they need.
#[must_use]
pub fn preflight(plan: &Plan, store: &Store, python: &python::Setup) -> Vec<String> {
    let agenda = Agenda::new(plan, store);
    let mut surroundings = Surroundings::collect(plan.study(), python);
    let mut findings = preflight::servers(&questions(agenda.specs()), &mut surroundings);
    findings.extend(tokenize::findings(agenda.specs()));
    if agenda.specs().any(|cell| cell.runtime == PYTHON)
        && let Err(error) = python.interpreter()
    {
        findings.push(error.to_string());
    }
    findings.extend(preflight::disk(store.layout().root()));
    findings
}
