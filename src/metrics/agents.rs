//! Metrics of the agents of a run, each for itself.

use std::collections::BTreeMap;

use super::run::mean_of;
use super::warmth;
use crate::store::record::{AgentFigures, CallSummary, Metrics};

/// The metrics of the catalogue that an agent has for itself. A metric of calls is the mean over its calls that
/// count; tokens are added up.
pub const OF_AGENTS: [&str; 14] = [
    "agent_ms",
    "client_tokens_per_s",
    "cold_calls",
    "decode_ms",
    "decode_tokens_per_s",
    "e2e_ms",
    "eval_rate_tokens_per_s",
    "failed_calls",
    "load_ms",
    "measured_calls",
    "prefill_ms",
    "prompt_tokens",
    "tokens",
    "ttft_ms",
];

/// Figures of the agents with measured calls, in the order of their names. `durations_ms`: of the work of each, where
/// it is known.
pub(super) fn of_calls(
    calls: &[CallSummary],
    durations_ms: &BTreeMap<&str, f64>,
) -> Vec<AgentFigures> {
    let mut by_agent: BTreeMap<&str, Vec<&CallSummary>> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.warmup) {
        by_agent.entry(&call.agent).or_default().push(call);
    }
    by_agent
        .into_iter()
        .map(|(agent, calls)| AgentFigures {
            agent: agent.to_owned(),
            metrics: metrics(&calls, durations_ms.get(agent).copied()),
        })
        .collect()
}

/// Of one agent, from its measured calls.
fn metrics(calls: &[&CallSummary], duration_ms: Option<f64>) -> Metrics {
    let counted: Vec<&CallSummary> =
        calls.iter().copied().filter(|call| call.outcome.counts()).collect();
    let value = |name: &str| match name {
        "agent_ms" => duration_ms,
        "cold_calls" => warmth::cold_calls(calls.iter().copied()),
        "failed_calls" => Some((calls.len() - counted.len()) as f64),
        "measured_calls" => Some(counted.len() as f64),
        _ => mean_of(name, counted.iter().copied()),
    };
    OF_AGENTS.iter().map(|name| ((*name).to_owned(), value(name))).collect()
}
