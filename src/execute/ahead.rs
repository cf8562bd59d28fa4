//! What can be said of an execution before it starts: for `plan`, which changes nothing.

use super::agenda::{self, Agenda, StaleRuns};
use super::surroundings::Surroundings;
use crate::agent::python;
use crate::plan::Plan;
use crate::preflight::{self, Facts, Finding, Place};
use crate::store::Store;

/// Finished runs of the plan whose evidence differs from today's, as far as that can be known without
/// asking a server.
#[must_use]
pub fn stale(plan: &Plan, store: &Store, python: &python::Setup) -> StaleRuns {
    agenda::stale(plan, store, &mut Surroundings::collect(plan.study(), python))
}

/// What stands against the runs that are left: asks the servers they need, and changes nothing.
#[must_use]
pub fn preflight(plan: &Plan, store: &Store, python: &python::Setup) -> Vec<Finding> {
    let needs = Agenda::new(plan, store).needs(plan);
    let study_folder = &plan.study().dir;
    let place = Place { results: store.layout().root(), study_folder, python };
    preflight::judge(&needs, &Facts::gather(&needs, place))
}
