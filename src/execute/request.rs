//! What one attempt asks of the agent: a cell in full → the protocol's spec.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use formats::protocol::{AgentSpec, CallSpec, PROTOCOL, ProbeSpec, Spec, Stage, WorkflowSpec};

use super::prompt::{self, Place};
use crate::manifest::inference::EXTRA;
use crate::manifest::study::{Endpoint, Server, Work};
use crate::plan::{CellSpec, ScenarioWork, SpecAgent};

/// One attempt at one repeat of a cell.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub cell: &'a CellSpec,
    /// The cell's work.
    pub scenario: &'a ScenarioWork,
    /// Id of the cell, 32 hex digits.
    pub id: &'a str,
    /// Differs from one `exec` to the next.
    pub session: &'a str,
    /// From 1.
    pub repeat: u32,
    /// From 1.
    pub attempt: u32,
    /// Opaque name of the run, sent to the servers.
    pub run: &'a str,
    /// Existing folder, absolute.
    pub artifacts: &'a Path,
    /// The paced endpoints that were started, by endpoint name.
    pub paced: &'a BTreeMap<String, Server>,
}

/// Length of the idle control.
pub(super) const IDLE: Duration = Duration::from_secs(1);

impl Request<'_> {
    /// The spec as the agent gets it. It holds names of environment variables, never keys.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let (cell, scenario) = (self.cell, self.scenario);
        Spec {
            protocol: PROTOCOL,
            run: self.run.to_owned(),
            artifacts: self.artifacts.to_owned(),
            agents: scenario.agents.iter().map(|agent| self.agent(agent)).collect(),
            tokenize: None,
            timeout_ns: nanoseconds(cell.timeout),
            read_buffer: scenario.read_buffer,
            throttle: scenario.throttle,
            connection: scenario.connection,
            lag_dose: scenario.lag_dose,
            probes: ProbeSpec {
                chunks: cell.probes.chunks,
                loop_lag_ns: cell.probes.loop_lag.map(nanoseconds),
                idle_ns: scenario.idle.then(|| nanoseconds(IDLE)),
            },
            variant: cell.variant.clone(),
        }
    }

    fn agent(&self, agent: &SpecAgent) -> AgentSpec {
        let Server { api, url, api_key_env, headers, route, dialect, answers_as } =
            match &agent.endpoint {
                Endpoint::Server(server) => server.clone(),
                Endpoint::Paced(_) => {
                    let started = self.paced.get(&agent.endpoint_name).cloned();
                    // All of them were started before; without an address the agent refuses its spec.
                    started.unwrap_or_else(|| Server::at(agent.endpoint.api(), ""))
                }
            };
        let mut options: BTreeMap<String, serde_json::Value> =
            agent.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if self.scenario.vary_seed
            && let Some(seed) = options.get_mut("seed")
            && let Some(number) = seed.as_i64()
        {
            *seed = number.wrapping_add(i64::from(self.repeat)).into();
        }
        let extra = match options.remove(EXTRA) {
            Some(serde_json::Value::Object(extra)) => extra.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let workflow = workflow(agent);
        AgentSpec {
            name: agent.name.clone(),
            api,
            url,
            route,
            api_key_env,
            headers,
            model: agent.model.clone(),
            answers_as,
            options,
            extra,
            dialect,
            max_tokens: agent.max_tokens,
            accept_context_full: self.scenario.accept_context_full,
            calls: self.calls(agent),
            workflow,
        }
    }

    /// Every warm-up run and the measured one make the same calls.
    fn calls(&self, agent: &SpecAgent) -> Vec<CallSpec> {
        let prompts = agent.work.prompts();
        let stages = match &agent.work {
            Work::Prompt(_) => vec![None],
            Work::Workflow(_) => vec![Some(Stage::Analysis), Some(Stage::Report)],
        };
        let runs = 0..=self.scenario.warmup;
        let all = runs.flat_map(|run| {
            let warmup = run < self.scenario.warmup;
            prompts.iter().zip(&stages).map(move |(prompt, stage)| (*prompt, *stage, warmup))
        });
        (0..)
            .zip(all)
            .map(|(call, (prompt, stage, warmup))| {
                let place = Place {
                    session: self.session,
                    cell: self.id,
                    repeat: self.repeat,
                    attempt: self.attempt,
                    agent: &agent.name,
                    call,
                };
                let prefix =
                    if self.scenario.vary_prompt { prompt::prefix(place) } else { String::new() };
                CallSpec { prompt: prefix + prompt, warmup, stage }
            })
            .collect()
    }
}

/// The files of an agent's workflow.
fn workflow(agent: &SpecAgent) -> Option<WorkflowSpec> {
    let Work::Workflow(workflow) = &agent.work else { return None };
    let mut scan = workflow.scan.clone();
    // The agent may work in another directory. A path that cannot be made absolute does not
    // exist; the agent then says so.
    scan.folder = std::path::absolute(&scan.folder).unwrap_or(scan.folder);
    Some(WorkflowSpec { scan })
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
