//! Models that compute at the same time on the processor of this machine.
//!
//! Ollama gives each model a thread for every core unless it is told otherwise, and its threads wait for each
//! other in busy loops. Two models on two cores made 1 token/s together that made 34 and 74 alone.

use std::collections::BTreeMap;

use formats::endpoint::is_tag_of;

use super::{Facts, Finding, Needs, Subject};
use crate::manifest::study::Server;
use crate::plan::{CellId, CellSpec};

/// The models that a cell has at work at the same time on Ollama servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadsNeed {
    pub cell: CellId,
    pub scenario: String,
    /// At least two; streams of one model on one server share its threads.
    pub models: Vec<ModelThreads>,
}

/// A model on a server and what its calls ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelThreads {
    /// Name of an endpoint of the server.
    pub endpoint: String,
    pub model: String,
    /// `num_thread`, the most of its agents; `None`: at least one of them leaves it to the server.
    pub threads: Option<u64>,
    /// `num_gpu = 0` keeps it off the GPUs that there may be.
    pub off_gpu: bool,
}

impl ThreadsNeed {
    /// `None`: no more than one model computes at a time.
    pub(super) fn of(id: CellId, cell: &CellSpec) -> Option<Self> {
        let scenario = cell.scenario()?.name.clone();
        let mut models: BTreeMap<(&str, &str), ModelThreads> = BTreeMap::new();
        for agent in cell.agents().iter().filter(|agent| agent.endpoint.is_ollama_server()) {
            let option = |name: &str| agent.options.get(name).and_then(serde_json::Value::as_u64);
            let own = ModelThreads {
                endpoint: agent.endpoint_name.clone(),
                model: agent.model.clone(),
                // 0 leaves it to the server, too.
                threads: option("num_thread").filter(|threads| *threads > 0),
                off_gpu: option("num_gpu") == Some(0),
            };
            let url = agent.endpoint.server().map_or("", |server: &Server| &server.url);
            models
                .entry((url, &agent.model))
                .and_modify(|known| {
                    let both = known.threads.zip(own.threads);
                    known.threads = both.map(|(one, other)| one.max(other));
                    known.off_gpu &= own.off_gpu;
                })
                .or_insert(own);
        }
        let models: Vec<ModelThreads> = models.into_values().collect();
        (models.len() > 1).then_some(Self { cell: id, scenario, models })
    }
}

/// What the cells of one scenario come to.
#[derive(Default)]
struct Crowd {
    models: u64,
    threads: u64,
    unset: bool,
    cells: Vec<CellId>,
}

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let Some(cores) = facts.machine.cores.map(|cores| cores as u64) else { return Vec::new() };
    let mut crowds: BTreeMap<&str, Crowd> = BTreeMap::new();
    for need in &needs.threads {
        let on_cpu: Vec<_> = need.models.iter().filter(|model| is_on_cpu(model, facts)).collect();
        let models = on_cpu.len() as u64;
        let threads = on_cpu.iter().map(|model| model.threads.unwrap_or(cores)).sum::<u64>();
        if models < 2 || threads <= cores {
            continue;
        }
        let crowd = crowds.entry(&need.scenario).or_default();
        crowd.models = crowd.models.max(models);
        crowd.threads = crowd.threads.max(threads);
        crowd.unset |= on_cpu.iter().any(|model| model.threads.is_none());
        crowd.cells.push(need.cell);
    }
    crowds.into_iter().map(|(scenario, crowd)| crowd.finding(scenario, cores)).collect()
}

impl Crowd {
    fn finding(&self, scenario: &str, cores: u64) -> Finding {
        let Self { models, threads, .. } = self;
        let unset = if self.unset {
            " (Ollama takes one for every core where `num_thread` is not set)"
        } else {
            ""
        };
        let message = format!(
            "scenario `{scenario}` has {models} models compute at the same time on the {cores} cores of \
             this machine, with {threads} threads together{unset}: they wait for each other, and all of \
             them may be a hundred times slower than alone"
        );
        let share = cores / models;
        let advice = if share > 0 {
            format!(
                "set `num_thread = {share}` for each of its agents, in a table of [options] that they name"
            )
        } else {
            "let fewer agents work at the same time: there are fewer cores than models".to_owned()
        };
        Finding::warning(Subject::Cpu, message, advice).about(&self.cells)
    }
}

/// Whether the model will compute on this machine's processor, as far as can be told before it is loaded:
/// by what its server holds now, else by whether a GPU is seen.
fn is_on_cpu(own: &ModelThreads, facts: &Facts) -> bool {
    if !facts.own_servers.contains(&own.endpoint) {
        return false;
    }
    if own.off_gpu {
        return true;
    }
    let told = facts.servers.get(&own.endpoint).and_then(|told| told.as_ref().ok());
    let held: Vec<_> = told.and_then(|told| told.loaded.as_ref()).into_iter().flatten().collect();
    let of_it = held.iter().find(|held| is_tag_of(&held.name, &own.model));
    if let Some(bytes) = of_it.and_then(|held| held.vram_bytes) {
        return bytes == 0;
    }
    let uses_gpu = held.iter().any(|held| held.vram_bytes.is_some_and(|bytes| bytes > 0));
    let none_seen = matches!(&facts.gpus, Some(gpus) if gpus.as_ref().map_or(true, Vec::is_empty));
    none_seen && !uses_gpu && !facts.machine.other_gpu
}
