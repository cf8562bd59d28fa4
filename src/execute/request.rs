//! What one attempt asks of the agent: a cell in full → the protocol's spec.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::prompt::{self, Place};
use crate::agent::protocol::{AgentSpec, CallSpec, PROTOCOL, ProbeSpec, Spec};
use crate::manifest::study::Endpoint;
use crate::plan::{CellSpec, SpecAgent};

/// One attempt at one repeat of a cell.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub cell: &'a CellSpec,
    /// From 1.
    pub repeat: u32,
    /// From 1.
    pub attempt: u32,
    /// Opaque name of the run, sent to the servers.
    pub run: &'a str,
    /// Existing folder, absolute.
    pub artifacts: &'a Path,
    /// Base addresses of the paced endpoints that were started, by endpoint name.
    pub paced: &'a BTreeMap<String, String>,
}

/// Length of the idle control.
pub(super) const IDLE: Duration = Duration::from_secs(1);

impl Request<'_> {
    /// The spec as the agent gets it. It holds names of environment variables, never keys.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let cell = self.cell;
        Spec {
            protocol: PROTOCOL,
            run: self.run.to_owned(),
            artifacts: self.artifacts.to_owned(),
            agents: (0..)
                .zip(&cell.agents)
                .map(|(index, agent)| self.agent(index, agent))
                .collect(),
            timeout_ns: nanoseconds(cell.timeout),
            read_buffer: cell.read_buffer,
            throttle: cell.throttle,
            probes: ProbeSpec {
                chunks: cell.probes.chunks,
                loop_lag_ns: cell.probes.loop_lag.map(nanoseconds),
                idle_ns: cell.idle.then(|| nanoseconds(IDLE)),
            },
            variant: cell.variant.clone(),
        }
    }

    fn agent(&self, index: usize, agent: &SpecAgent) -> AgentSpec {
        let (url, api_key_env) = match &agent.endpoint {
            Endpoint::Ollama { url } => (url.clone(), None),
            Endpoint::OpenAi { url, api_key_env, .. } => (url.clone(), api_key_env.clone()),
            Endpoint::Simulated(_) => {
                (self.paced.get(&agent.endpoint_name).cloned().unwrap_or_default(), None)
            }
        };
        let mut options: BTreeMap<String, serde_json::Value> =
            agent.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if self.cell.vary_seed
            && let Some(seed) = options.get_mut("seed")
            && let Some(number) = seed.as_i64()
        {
            *seed = number.wrapping_add(i64::from(self.repeat)).into();
        }
        let calls = 0..=self.cell.warmup;
        AgentSpec {
            name: agent.name.clone(),
            api: agent.api,
            url,
            api_key_env,
            model: agent.model.clone(),
            options,
            max_tokens: agent.max_tokens,
            calls: calls.map(|call| self.call(index, call, agent)).collect(),
        }
    }

    fn call(&self, index: usize, call: u32, agent: &SpecAgent) -> CallSpec {
        let place = Place { repeat: self.repeat, attempt: self.attempt, agent: index, call };
        let prompt = if self.cell.vary_prompt {
            prompt::prefix(place) + &agent.prompt
        } else {
            agent.prompt.clone()
        };
        CallSpec { prompt, warmup: call < self.cell.warmup }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
