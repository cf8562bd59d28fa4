//! What can be said of an execution before it starts: for `plan`, which changes nothing.

use std::collections::BTreeMap;

use super::agenda::{self, Agenda, StaleRuns};
use super::surroundings::{self, Surroundings};
use crate::plan::Plan;
use crate::preflight::{self, Facts, Finding, Place};
use crate::python;
use crate::store::Store;
use crate::store::record::EndpointEvidence;

/// Finished runs of the plan whose evidence differs from today's, as far as that can be known without
/// asking a server.
#[must_use]
pub fn stale(plan: &Plan, store: &Store, python: &python::Setup) -> StaleRuns {
    agenda::stale(plan, store, &mut Surroundings::collect(plan.study(), python))
}

/// What preflight finds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preflight {
    pub findings: Vec<Finding>,
    /// The servers that answered, by their endpoints' names.
    pub servers: BTreeMap<String, EndpointEvidence>,
}

/// What stands against the runs that are left: asks the servers they need, and changes nothing.
#[must_use]
pub fn preflight(plan: &Plan, store: &Store, python: &python::Setup) -> Preflight {
    let needs = Agenda::new(plan, store).needs(plan);
    let study_folder = &plan.study().dir;
    let place = Place { results: store.layout().root(), study_folder, python };
    let facts = Facts::gather(&needs, place);
    let servers = needs.endpoints.iter().filter_map(|(name, need)| {
        let server = facts.servers.get(name)?.as_ref().ok()?;
        Some((name.clone(), surroundings::met(&need.endpoint, server)))
    });
    Preflight { servers: servers.collect(), findings: preflight::judge(&needs, &facts) }
}
