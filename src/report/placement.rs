//! Where the models lay during the runs: in the memory of GPUs, on the processor, or both, by what their servers
//! told right after each run.

use std::collections::BTreeMap;

use formats::endpoint::is_tag_of;
use serde::Serialize;

use super::completeness::fresh;
use super::data::Data;
use crate::store::record::{HeldModel, RunRecord};

/// A model on an endpoint, over its runs that are not stale.
#[derive(Debug, PartialEq, Serialize)]
pub struct Placement {
    pub endpoint: String,
    pub model: String,
    pub runs: usize,
    /// Runs after which its server told.
    pub told: usize,
    /// Share of it in the memory of GPUs, %, over those runs; `None`: none told.
    pub least_percent: Option<f64>,
    pub most_percent: Option<f64>,
}

/// Of every model whose server can tell: those that speak Ollama's protocol, paced endpoints aside.
pub(super) fn placements(data: &Data) -> Vec<Placement> {
    let mut found: BTreeMap<(&str, &str), Vec<Option<f64>>> = BTreeMap::new();
    for run in data.cells.iter().flat_map(fresh) {
        for (endpoint, memory) in &run.servers {
            for model in models(run, endpoint) {
                let held = memory.loaded.iter().flatten();
                let mut held = held.filter(|held| is_tag_of(&held.name, model));
                found.entry((endpoint, model)).or_default().push(held.find_map(gpu_percent));
            }
        }
    }
    let placement = |((endpoint, model), shares): ((&str, &str), Vec<Option<f64>>)| {
        let told = || shares.iter().flatten().copied();
        Placement {
            endpoint: endpoint.to_owned(),
            model: model.to_owned(),
            runs: shares.len(),
            told: told().count(),
            least_percent: told().reduce(f64::min),
            most_percent: told().reduce(f64::max),
        }
    };
    found.into_iter().map(placement).collect()
}

/// The models that a run's calls asked of an endpoint; none of a paced one, which has no model.
fn models<'r>(run: &'r RunRecord, endpoint: &str) -> impl Iterator<Item = &'r str> {
    let met = run.evidence.endpoints.get(endpoint).filter(|met| met.kind == "ollama");
    met.into_iter().flat_map(|met| met.models.keys().map(String::as_str))
}

/// Share of a model in the memory of GPUs, %; `None`: its server does not tell.
fn gpu_percent(held: &HeldModel) -> Option<f64> {
    let (vram, size) = (held.vram_bytes?, held.size_bytes?);
    (size > 0).then(|| (100.0 * vram as f64 / size as f64).min(100.0))
}
