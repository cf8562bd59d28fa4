//! The metrics of a run that was read from earlier results: of its facts, by the same formulas as those of measured
//! runs.
//!
//! Of tokens, decode duration and their rate two give the third. No file of earlier results names how its engine
//! counts; every engine of which that is known has all tokens but the first in its decode duration, so that is
//! taken for them, too.

use std::collections::BTreeMap;

use formats::protocol::Stage;

use super::agents::{self, OF_AGENTS};
use super::call::sample;
use super::run::{self, Overlap};
use super::{RunMetrics, ratio, warmth};
use crate::store::facts::{CallFacts, Fact, Facts, Figure};
use crate::store::record::{AgentFigures, CallSummary, Metrics};

/// Metrics of runs that are computed from facts: no map gives them by these names.
pub const COMPUTED: [&str; 31] = [
    "agent_ms",
    "agents",
    "aggregate_tokens_per_s",
    "balance",
    "cold_calls",
    "cold_load_ms",
    "cold_ttft_ms",
    "contention",
    "decode_ms",
    "decode_tokens_per_s",
    "e2e_ms",
    "efficiency_drop_pp",
    "efficiency_percent",
    "eval_rate_tokens_per_s",
    "failed_calls",
    "load_ms",
    "measured_calls",
    "prefill_ms",
    "prompt_tokens",
    "queue_ms",
    "sequential_ms",
    "server_total_ms",
    "speedup",
    "stage_analysis_ms",
    "stage_ingest_ms",
    "stage_report_ms",
    "stage_scan_ms",
    "tokens",
    "ttft_delta_ms",
    "ttft_ms",
    "wall_ms",
];

/// Everything that follows from the facts of a run.
#[must_use]
pub fn of_facts(facts: &Facts) -> RunMetrics {
    let calls: Vec<CallSummary> = facts.calls.iter().map(|own| call(own, facts)).collect();
    let agents = agents(facts, &calls);
    let mut run = Metrics::new();
    if facts.knows_calls {
        let counted: Vec<&CallSummary> =
            calls.iter().filter(|call| call.outcome.counts()).collect();
        for name in OF_CALLS {
            run.insert(name.to_owned(), run::mean_of(name, counted.iter().copied()));
        }
        run.insert("measured_calls".to_owned(), Some(counted.len() as f64));
        run.insert("failed_calls".to_owned(), Some((calls.len() - counted.len()) as f64));
        run.extend(warmth::metrics(&calls, false));
    } else if !agents.is_empty() {
        for name in ["ttft_ms", "eval_rate_tokens_per_s"] {
            run.insert(name.to_owned(), mean(&all(&agents, name)));
        }
        run.insert("measured_calls".to_owned(), sum(&all(&agents, "measured_calls")));
    }
    if !agents.is_empty() {
        let told: Vec<Option<f64>> =
            facts.agents.iter().map(|own| value(own.facts.get("tokens"))).collect();
        let own = sum(&told).or_else(|| run.get("tokens").copied().flatten());
        run.insert("tokens".to_owned(), own);
        run.extend(together(facts, &agents, own));
    }
    for stage in Stage::ALL {
        let name = format!("stage_{}_ms", stage.name());
        if let Some(own) = facts.run.get(&name) {
            run.insert(name, own.value);
        }
    }
    if !run.contains_key("wall_ms")
        && let Some(wall) = facts.run.get("wall_ms")
    {
        run.insert("wall_ms".to_owned(), wall.value);
    }
    for (name, figure) in &facts.figures {
        run.insert(name.clone(), of_run(figure, &calls));
    }
    RunMetrics { calls, agents, run, calibration: None }
}

/// Metrics of calls that facts give.
const OF_CALLS: [&str; 11] = [
    "ttft_ms",
    "e2e_ms",
    "tokens",
    "prompt_tokens",
    "decode_ms",
    "prefill_ms",
    "load_ms",
    "server_total_ms",
    "eval_rate_tokens_per_s",
    "decode_tokens_per_s",
    "queue_ms",
];

fn value(fact: Option<&Fact>) -> Option<f64> {
    fact?.value.filter(|value| value.is_finite())
}

fn call(own: &CallFacts, facts: &Facts) -> CallSummary {
    let fact = |name: &str| value(own.facts.get(name));
    let (tokens, decode_ms, rate) =
        (fact("tokens"), fact("decode_ms"), fact("decode_rate_tokens_per_s"));
    let tokens = tokens.or_else(|| Some(rate? * decode_ms? / 1e3));
    let decode_ms = decode_ms.or_else(|| ratio(tokens? * 1e3, rate?));
    let per_second = |tokens: f64| ratio(tokens, decode_ms? / 1e3).filter(|_| tokens > 0.0);
    let eval_rate = rate.filter(|rate| *rate > 0.0).or_else(|| per_second(tokens?));
    let stages = [fact("load_ms"), fact("prefill_ms"), decode_ms];
    let queue = fact("server_total_ms").zip(stages.into_iter().sum::<Option<f64>>());
    let values = [
        fact("ttft_ms"),
        fact("e2e_ms"),
        tokens,
        fact("prompt_tokens"),
        decode_ms,
        fact("prefill_ms"),
        fact("load_ms"),
        fact("server_total_ms"),
        eval_rate,
        tokens.and_then(|tokens| per_second(tokens - 1.0)),
        queue.map(|(total, stages)| total - stages).filter(|rest| *rest >= 0.0),
    ];
    let mut metrics: Metrics =
        OF_CALLS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value)).collect();
    for (name, figure) in &facts.figures {
        let here = figure.calls.iter().find(|of| of.agent == own.agent && of.call == own.call);
        if let Some(here) = here {
            metrics.insert(name.clone(), here.fact.value);
        }
    }
    CallSummary {
        agent: own.agent.clone(),
        call: own.call,
        warmup: false,
        stage: own.stage,
        outcome: own.outcome,
        error: own.because.clone(),
        http_status: None,
        finish_reason: None,
        notes: Vec::new(),
        metrics,
    }
}

/// The agents in the order of the map: the first of two is the one from whose figures the other's are taken off.
fn agents(facts: &Facts, calls: &[CallSummary]) -> Vec<AgentFigures> {
    let durations: BTreeMap<&str, f64> = facts
        .agents
        .iter()
        .filter_map(|own| Some((own.name.as_str(), value(own.facts.get("duration_ms"))?)))
        .collect();
    let of_calls = agents::of_calls(calls, &durations);
    facts
        .agents
        .iter()
        .map(|own| {
            let fact = |name: &str| value(own.facts.get(name));
            let known = of_calls.iter().find(|figures| figures.agent == own.name);
            let mut metrics = match known {
                Some(known) => known.metrics.clone(),
                None => OF_AGENTS.iter().map(|name| ((*name).to_owned(), None)).collect(),
            };
            let mut put = |name: &str, value: Option<f64>| {
                if value.is_some() {
                    metrics.insert(name.to_owned(), value);
                }
            };
            put("agent_ms", fact("duration_ms"));
            put("tokens", fact("tokens"));
            if !facts.knows_calls {
                put("measured_calls", fact("calls"));
                put("ttft_ms", fact("ttft_ms"));
                put("eval_rate_tokens_per_s", fact("decode_rate_tokens_per_s"));
            }
            for (name, figure) in &facts.figures {
                if let Some(own) = figure.agents.get(&own.name) {
                    metrics.insert(name.clone(), own.value);
                }
            }
            AgentFigures { agent: own.name.clone(), metrics }
        })
        .collect()
}

fn together(facts: &Facts, agents: &[AgentFigures], tokens: Option<f64>) -> Metrics {
    let wall_ms = value(facts.run.get("wall_ms"));
    let durations = all(agents, "agent_ms").into_iter().collect::<Option<Vec<f64>>>();
    let pair = <&[AgentFigures; 2]>::try_from(agents).ok();
    let ttfts = pair.and_then(|[a, b]| {
        let ttft = |own: &AgentFigures| own.metrics.get("ttft_ms").copied().flatten();
        Some((ttft(a)?, ttft(b)?))
    });
    let overlap = Overlap {
        agents: agents.len(),
        durations_ms: durations,
        wall: wall_ms.map(|ms| (ms, ms / 1e3)),
        tokens,
    };
    let mut metrics = overlap.metrics();
    metrics.insert("ttft_delta_ms".to_owned(), ttfts.map(|(first, second)| first - second));
    metrics
}

/// What a figure of agents or calls is of their run.
fn of_run(figure: &Figure, calls: &[CallSummary]) -> Option<f64> {
    if let Some(own) = &figure.run {
        return own.value;
    }
    let counts = |agent: &str, number: u32| {
        calls.iter().any(|own| own.agent == agent && own.call == number && own.outcome.counts())
    };
    let values: Vec<Option<f64>> = if figure.calls.is_empty() {
        figure.agents.values().map(|own| own.value).collect()
    } else {
        let counted = figure.calls.iter().filter(|own| counts(&own.agent, own.call));
        counted.map(|own| own.fact.value).collect()
    };
    if figure.summed { sum(&values) } else { mean(&values) }
}

fn all(agents: &[AgentFigures], name: &str) -> Vec<Option<f64>> {
    agents.iter().map(|own| own.metrics.get(name).copied().flatten()).collect()
}

/// Unknown as soon as one of them is.
fn sum(values: &[Option<f64>]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.iter().copied().sum()
}

/// Unknown as soon as one of them is.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let known: Option<Vec<f64>> = values.iter().copied().collect();
    sample(known?).map(|known| known.mean())
}
