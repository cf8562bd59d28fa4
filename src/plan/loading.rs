//! What servers must hold in memory for a cell: models, with the options that make a server load one
//! again when they change. Orders keep cells together that need the same, and plans count the rest.
//!
//! A paced endpoint is started for each run, so nothing is carried over there.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use formats::endpoint::Family;

use super::resolve::{Resolved, ResolvedAgent};
use super::{Plan, RunKey};
use crate::manifest::factor::COLD;
use crate::manifest::inference::RELOADING;
use crate::manifest::study::{Endpoint, Level};

/// Loads that an order of runs causes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Loads {
    /// Since a run needs another model, or the same one with other options, than the run before it left
    /// on its server. A server with room for several models makes fewer.
    pub changes: usize,
    /// Since runs are to find their servers empty.
    pub cold: usize,
}

/// Equal for cells that servers serve with the same models loaded.
pub(super) fn key(resolved: &Resolved<'_>) -> u64 {
    hash(&loads(resolved))
}

/// Server and load of every agent, each pair once.
fn loads(resolved: &Resolved<'_>) -> Vec<(u64, u64)> {
    let mut loads: Vec<(u64, u64)> = resolved.agents.iter().filter_map(load).collect();
    loads.sort_unstable();
    loads.dedup();
    loads
}

fn load(agent: &ResolvedAgent<'_>) -> Option<(u64, u64)> {
    match &*agent.endpoint {
        Endpoint::Server(server) if server.api.family() == Family::Ollama => {
            let options = agent.options.iter().flatten();
            let options: Vec<(&str, String)> = options
                .filter(|(name, _)| RELOADING.contains(name))
                .map(|(name, value)| (*name, value.json().to_string()))
                .collect();
            Some((hash(&server.url), hash(&(agent.model, options))))
        }
        // What it is started with, no request can change; some load the model that is asked for.
        Endpoint::Server(server) => Some((hash(&server.url), hash(agent.model))),
        Endpoint::Paced(_) => None,
    }
}

/// The same for every start of the program.
fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Plan {
    /// Loads that runs in this order cause, beyond each server's first.
    #[must_use]
    pub fn loads(&self, order: &[RunKey]) -> Loads {
        let mut found = Loads::default();
        let mut needs: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        let mut held: HashMap<u64, Vec<u64>> = HashMap::new();
        for run in order {
            let key = self.cells[run.cell as usize].load;
            let needed = needs.entry(key).or_insert_with(|| loads(&self.resolved(run.cell).1));
            let is_cold = self.is_cold(run.cell);
            for (server, load) in &*needed {
                let before = held.get(server);
                if is_cold {
                    found.cold += 1;
                } else if before.is_some_and(|before| !before.contains(load)) {
                    found.changes += 1;
                }
            }
            for (server, _) in &*needed {
                held.remove(server);
            }
            for (server, load) in &*needed {
                held.entry(*server).or_default().push(*load);
            }
        }
        found
    }

    fn is_cold(&self, cell: u32) -> bool {
        let (experiment, row) = self.home(cell);
        let levels = self.matrices[experiment].levels(row);
        let fixed = &self.study.experiments[experiment].fixed;
        let level = levels.into_iter().find(|(name, _)| *name == COLD).map(|(_, level)| level);
        level.or_else(|| fixed.get(COLD)) == Some(&Level::Bool(true))
    }
}
