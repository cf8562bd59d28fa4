//! What the servers of one attempt hold in memory: emptied before a cold run, looked at after every
//! run. Both outside of the measured window; only servers that speak Ollama's protocol tell. And what
//! this machine's GPUs hold when an attempt has failed.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use formats::endpoint::{Family, Server, is_tag_of};

use super::fault::AttemptFault;
use crate::plan::ScenarioWork;
use crate::probe::gpu::Driver;
use crate::probe::sampling::Unavailable;
use crate::server::{self, LoadedModel, ServerError};
use crate::store::failed::GpuMemory;
use crate::store::record::{Evidence, HeldModel, ServerMemory, UnloadedModels};

/// The servers that tell, by their endpoints' names.
#[derive(Debug)]
pub struct Servers {
    servers: BTreeMap<String, Server>,
    memory: BTreeMap<String, ServerMemory>,
}

/// A model that is not the one that was met when the session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedModel {
    pub endpoint: String,
    pub model: String,
    pub was: String,
    pub digest: String,
}

impl ChangedModel {
    /// For people.
    pub fn sentence(&self) -> String {
        let Self { endpoint, model, was, digest } = self;
        format!(
            "model `{model}` on `{endpoint}` was replaced during this exec: its digest was {was}, is \
             {digest}; each run's evidence names the one that it measured"
        )
    }
}

impl Servers {
    /// Those that the agents of a scenario call; `paced` are the addresses of the paced endpoints.
    pub fn of(scenario: &ScenarioWork, paced: &BTreeMap<String, Server>) -> Self {
        let servers = scenario.agents.iter().filter_map(|agent| {
            let name = agent.endpoint_name.clone();
            let server = agent.endpoint.server().or_else(|| paced.get(&name))?;
            (server.api.family() == Family::Ollama).then(|| (name, server.clone()))
        });
        Self { servers: servers.collect(), memory: BTreeMap::new() }
    }

    /// Has all of them put every model out of their memory.
    pub fn unload(&mut self, limit: Duration) -> Result<(), AttemptFault> {
        for (name, unloaded) in self.ask(|server| server::unload(server, limit)) {
            let unloaded = unloaded
                .map_err(|source| AttemptFault::Unload { endpoint: name.clone(), source })?;
            let took_ms = unloaded.took.as_secs_f64() * 1e3;
            let unloaded = UnloadedModels { models: unloaded.models, took_ms };
            self.memory.entry(name).or_default().unloaded = Some(unloaded);
        }
        Ok(())
    }

    /// Looks at what they hold now. One that does not answer any more has told nothing.
    pub fn look(mut self) -> BTreeMap<String, ServerMemory> {
        for (name, loaded) in self.ask(server::loaded) {
            let loaded = loaded.ok().map(|models| models.into_iter().map(held).collect());
            self.memory.entry(name).or_default().loaded = loaded;
        }
        self.memory
    }

    /// Asks all at once.
    fn ask<T: Send>(
        &self,
        question: impl Fn(&Server) -> Result<T, ServerError> + Sync,
    ) -> Vec<(String, Result<T, ServerError>)> {
        thread::scope(|scope| {
            let asked: Vec<_> = self
                .servers
                .iter()
                .map(|(name, server)| (name, server, scope.spawn(|| question(server))))
                .collect();
            asked
                .into_iter()
                .map(|(name, server, answer)| {
                    let broken_off = |_| Err(ServerError::broken_off(server));
                    (name.clone(), answer.join().unwrap_or_else(broken_off))
                })
                .collect()
        })
    }
}

/// Memory of this machine's GPUs now. Without a driver, or with one that does not tell, it is unknown.
pub fn of_gpus(driver: &OnceCell<Result<Driver, Unavailable>>) -> Option<Vec<GpuMemory>> {
    let devices = driver.get_or_init(Driver::find).as_ref().ok()?.devices().ok()?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let memory = devices.into_iter().map(|device| {
        let (free, total) = (device.memory_free_bytes, device.memory_total_bytes);
        let used = total.zip(free).map(|(total, free)| mb(total.saturating_sub(free)));
        GpuMemory { index: device.index, name: device.name, used_mb: used, total_mb: total.map(mb) }
    });
    Some(memory.collect())
}

fn held(model: LoadedModel) -> HeldModel {
    HeldModel {
        name: model.name,
        digest: model.digest,
        size_bytes: model.size_bytes,
        vram_bytes: model.vram_bytes,
        context_length: model.context_length,
    }
}

/// Puts the digests of the models that were held into the evidence: they are what was measured, also
/// when somebody replaced a model since the session began. Returns those that changed.
pub fn correct(
    evidence: &mut Evidence,
    servers: &BTreeMap<String, ServerMemory>,
) -> Vec<ChangedModel> {
    let mut changed = Vec::new();
    for (name, memory) in servers {
        let Some(endpoint) = evidence.endpoints.get_mut(name) else { continue };
        // A paced endpoint is known by what was asked of it.
        if endpoint.kind != "ollama" {
            continue;
        }
        for (model, known) in &mut endpoint.models {
            let held = memory.loaded.iter().flatten();
            let mut held = held.filter(|held| is_tag_of(&held.name, model));
            let Some(digest) = held.find_map(|held| held.digest.clone()) else { continue };
            match known.digest.replace(digest.clone()) {
                Some(was) if was != digest => changed.push(ChangedModel {
                    endpoint: name.clone(),
                    model: model.clone(),
                    was,
                    digest,
                }),
                _ => {}
            }
        }
    }
    changed
}
