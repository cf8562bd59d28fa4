//! Memory of this machine's GPUs against the size of the models that servers on it are to hold.
//!
//! A rough comparison, hence never more than a warning: a model takes more than its file (context,
//! buffers), and less when layers stay on the CPU.

use std::collections::{BTreeMap, BTreeSet};

use super::needs::EndpointNeed;
use super::{Facts, Finding, Needs, Subject};
use crate::plan::CellId;
use crate::server::{self, ServerFacts};

const GB: f64 = 1e9;

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Option<Finding> {
    let Some(Ok(gpus)) = &facts.gpus else { return None };
    let free: u64 = gpus.iter().map(|gpu| gpu.memory_free_bytes).sum::<Option<u64>>()?;
    let total: u64 = gpus.iter().map(|gpu| gpu.memory_total_bytes).sum::<Option<u64>>()?;
    let servers: Vec<(&EndpointNeed, &ServerFacts)> = needs
        .servers()
        .filter(|(_, server, _)| server::is_local(server))
        .filter_map(|(name, _, need)| Some((need, facts.servers.get(name)?.as_ref().ok()?)))
        .collect();
    // What the servers hold now is the same models, or makes room for them.
    let room = free + held(&servers);
    let large: Vec<(CellId, u64)> =
        sizes(&servers).into_iter().filter(|(_, size)| *size > room).collect();
    let largest = large.iter().map(|(_, size)| *size).max()?;
    let message = format!(
        "the models of one run take {:.1} GB, and {:.1} of {:.1} GB are free for them",
        largest as f64 / GB,
        room as f64 / GB,
        total as f64 / GB
    );
    let advice = "free it, or expect layers on the CPU and answers that are out of memory";
    let cells: Vec<CellId> = large.into_iter().map(|(cell, _)| cell).collect();
    Some(Finding::warning(Subject::Gpu, message, advice).about(&cells))
}

/// In the memory of GPUs; two endpoints may be one server.
fn held(servers: &[(&EndpointNeed, &ServerFacts)]) -> u64 {
    let mut seen = BTreeSet::new();
    servers
        .iter()
        .filter(|(need, _)| seen.insert(need.url()))
        .flat_map(|(_, server)| server.loaded.iter().flatten())
        .filter_map(|model| model.vram_bytes)
        .sum()
}

/// Of the models that one run of each cell needs at the same time, as far as servers tell.
fn sizes(servers: &[(&EndpointNeed, &ServerFacts)]) -> BTreeMap<CellId, u64> {
    let mut models: BTreeMap<(&str, &str), (u64, &[CellId])> = BTreeMap::new();
    for (need, server) in servers {
        for (name, model) in &need.models {
            let size = server.models.get(name).and_then(|known| known.size_bytes);
            if let Some(size) = size {
                models.insert((need.url(), name), (size, &model.cells));
            }
        }
    }
    let mut sizes: BTreeMap<CellId, u64> = BTreeMap::new();
    for (size, cells) in models.into_values() {
        for cell in cells {
            *sizes.entry(*cell).or_default() += size;
        }
    }
    sizes
}
