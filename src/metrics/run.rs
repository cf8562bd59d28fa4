//! Metrics of one run. The run is the unit of replication, so its calls are aggregated here, before
//! any statistics over runs.

use std::collections::{BTreeMap, BTreeSet};

use formats::protocol::{AgentRecord, Stage};

use super::call::{gaps_ms, read_delays_ms, sample};
use super::catalogue::{Scope, catalogue};
use super::errors::CallErrors;
use super::wire::{self, CallWire};
use super::{ms, ratio, seconds};
use crate::stats::Sample;
use crate::store::record::{AgentFigures, CallSummary, Metrics, ProcessUsage};

/// Speed-up of two agents below which the researchers call the endpoint contended.
const CONTENTION_BELOW: f64 = 1.5;
/// Call metrics that a run adds up; it takes the mean of the others.
const COUNTS: [&str; 5] = ["tokens", "made_tokens", "chunks", "prompt_tokens", "cached_tokens"];

/// One agent's measured calls that count.
struct Agent {
    /// Of its first call or, in a workflow, of its first stage.
    start_ns: u64,
    end_ns: u64,
    ttft_ms: Option<f64>,
    client_tokens_per_s: Option<f64>,
}

impl Agent {
    fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Every metric of the catalogue that a run has. The four slices run in parallel.
pub fn metrics(
    record: &AgentRecord,
    calls: &[CallSummary],
    errors: &[CallErrors],
    wire: &[CallWire],
    process: &ProcessUsage,
) -> Metrics {
    let counted: Vec<usize> =
        (0..calls.len()).filter(|i| !calls[*i].warmup && calls[*i].outcome.counts()).collect();
    let mut metrics = means(calls, &counted);
    metrics.extend(pooled(record, errors, &counted));
    metrics.extend(named(wire::of_chunks(counted.iter().map(|i| &wire[*i]))));
    metrics.extend(concurrency(record, calls, &counted));
    metrics.extend(usage(calls, process));
    metrics.extend(Stage::ALL.map(|stage| stage_ms(record, stage)));
    let failed = calls.iter().filter(|call| !call.warmup && !call.outcome.counts()).count();
    metrics.insert("failed_calls".into(), Some(failed as f64));
    metrics.insert("measured_calls".into(), Some(counted.len() as f64));
    metrics
}

/// Call metrics under the same name: the mean of the calls where it is known; counts are added up,
/// and unknown as soon as one call's is.
fn means(calls: &[CallSummary], counted: &[usize]) -> Metrics {
    let shared = catalogue().iter().filter(|info| info.scope == Scope::CallAndRun);
    shared
        .map(|info| {
            let calls = counted.iter().map(|i| &calls[*i]);
            (info.name.to_owned(), mean_of(info.name, calls))
        })
        .collect()
}

/// What a metric of calls is over several that count: the mean where it is known; counts are added up, and unknown
/// as soon as one call's is.
pub(super) fn mean_of<'c>(
    name: &str,
    counted: impl Iterator<Item = &'c CallSummary>,
) -> Option<f64> {
    let values = counted.map(|call| call.metrics.get(name).copied().flatten());
    if COUNTS.contains(&name) {
        values.collect::<Option<Vec<f64>>>().filter(|all| !all.is_empty()).map(sum)
    } else {
        sample(values.flatten().collect()).map(|known| known.mean())
    }
}

/// Agents that worked at the same time.
#[derive(Debug, Clone)]
pub(super) struct Overlap {
    /// How many.
    pub agents: usize,
    /// Of the work of each; `None`: not all of them are known.
    pub durations_ms: Option<Vec<f64>>,
    /// From the first start to the last end, milliseconds and seconds.
    pub wall: Option<(f64, f64)>,
    /// That all of them made.
    pub tokens: Option<f64>,
}

impl Overlap {
    /// What follows from how long each worked and how long all of them did.
    pub fn metrics(&self) -> Metrics {
        let durations = self.durations_ms.as_deref().filter(|own| !own.is_empty());
        let wall_ms = self.wall.map(|(ms, _)| ms);
        let sequential = durations.map(|own| own.iter().sum::<f64>());
        let speedup = sequential.zip(wall_ms).and_then(|(all, wall)| ratio(all, wall));
        let efficiency = speedup.and_then(|s| ratio(100.0 * s, self.agents as f64));
        let several = durations.filter(|own| own.len() > 1);
        let balance = several.and_then(|own| {
            let (least, most) = own.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), own| {
                (least.min(*own), most.max(*own))
            });
            ratio(least, most)
        });
        let contended = speedup.filter(|_| self.agents == 2);
        named([
            ("wall_ms", wall_ms),
            ("agents", Some(self.agents as f64)),
            ("agent_ms", sequential.and_then(|all| ratio(all, self.agents as f64))),
            ("sequential_ms", sequential),
            ("balance", balance),
            ("speedup", speedup),
            ("efficiency_percent", efficiency),
            ("efficiency_drop_pp", efficiency.map(|percent| 100.0 - percent)),
            (
                "aggregate_tokens_per_s",
                self.tokens.zip(self.wall).and_then(|(tokens, (_, wall_s))| ratio(tokens, wall_s)),
            ),
            (
                "contention",
                contended.map(|speedup| f64::from(u8::from(speedup < CONTENTION_BELOW))),
            ),
        ])
    }
}

/// Percentiles over all gaps of the run: those of single calls cannot be averaged.
fn pooled(record: &AgentRecord, errors: &[CallErrors], counted: &[usize]) -> Metrics {
    let gaps = sample(counted.iter().flat_map(|i| gaps_ms(&record.calls[*i])).collect());
    let delays = sample(counted.iter().flat_map(|i| read_delays_ms(&record.calls[*i])).collect());
    let errors = sample(counted.iter().flat_map(|i| errors[*i].gap_sizes_ms()).collect());
    let percentile =
        |sample: &Option<Sample>, p| sample.as_ref().map(|sample| sample.percentile(p));
    named([
        ("itl_p50_ms", percentile(&gaps, 50.0)),
        ("itl_p95_ms", percentile(&gaps, 95.0)),
        ("itl_p99_ms", percentile(&gaps, 99.0)),
        ("itl_max_ms", gaps.as_ref().map(Sample::max)),
        ("read_delay_p50_ms", percentile(&delays, 50.0)),
        ("read_delay_p99_ms", percentile(&delays, 99.0)),
        ("read_delay_max_ms", delays.as_ref().map(Sample::max)),
        ("gap_error_p50_ms", percentile(&errors, 50.0)),
        ("gap_error_p99_ms", percentile(&errors, 99.0)),
        ("gap_error_max_ms", errors.as_ref().map(Sample::max)),
    ])
}

fn concurrency(record: &AgentRecord, calls: &[CallSummary], counted: &[usize]) -> Metrics {
    let agents = agents(record, calls, counted);
    let wall_ns = agents
        .iter()
        .flatten()
        .map(|agent| agent.end_ns)
        .max()
        .zip(agents.iter().flatten().map(|agent| agent.start_ns).min())
        .map(|(end, start)| end.saturating_sub(start));
    // an agent without a call that counts took part in the load, so its share is unknown, not 0
    let whole: Option<Vec<&Agent>> = agents.iter().map(Option::as_ref).collect();
    let pair = whole.as_ref().and_then(|agents| <&[&Agent; 2]>::try_from(agents.as_slice()).ok());
    let overlap = Overlap {
        agents: agents.len(),
        durations_ms: whole
            .as_ref()
            .map(|agents| agents.iter().map(|agent| ms(agent.duration_ns())).collect()),
        wall: wall_ns.map(|wall| (ms(wall), seconds(wall))),
        tokens: tokens(counted.iter().map(|i| &calls[*i])),
    };
    let mut metrics = overlap.metrics();
    metrics.extend(named([
        (
            "throughput_delta",
            pair.and_then(|[a, b]| Some(b.client_tokens_per_s? - a.client_tokens_per_s?)),
        ),
        ("ttft_delta_ms", pair.and_then(|[a, b]| Some(a.ttft_ms? - b.ttft_ms?))),
    ]));
    metrics
}

/// Figures of each agent.
pub(super) fn figures(record: &AgentRecord, calls: &[CallSummary]) -> Vec<AgentFigures> {
    let counted: Vec<usize> =
        (0..calls.len()).filter(|i| !calls[*i].warmup && calls[*i].outcome.counts()).collect();
    let names: BTreeSet<&str> =
        calls.iter().filter(|call| !call.warmup).map(|call| call.agent.as_str()).collect();
    let agents = agents(record, calls, &counted);
    let durations = names
        .into_iter()
        .zip(agents)
        .filter_map(|(name, own)| Some((name, ms(own?.duration_ns()))));
    super::agents::of_calls(calls, &durations.collect())
}

/// The agents with measured calls, in the order of their names (the order of starts is chance);
/// `None` for one none of whose calls counts.
fn agents(record: &AgentRecord, calls: &[CallSummary], counted: &[usize]) -> Vec<Option<Agent>> {
    let measured = calls.iter().filter(|call| !call.warmup);
    let mut by_name: BTreeMap<&str, Vec<usize>> =
        measured.map(|call| (call.agent.as_str(), Vec::new())).collect();
    for i in counted {
        by_name.entry(calls[*i].agent.as_str()).or_default().push(*i);
    }
    let mean = |own: &[usize], name: &str| {
        sample(own.iter().filter_map(|i| calls[*i].metrics.get(name).copied().flatten()).collect())
            .map(|known| known.mean())
    };
    by_name
        .into_iter()
        .map(|(name, own)| {
            let raw = || own.iter().map(|i| &record.calls[*i]);
            let stages = record.stages.iter().filter(|stage| stage.agent == name && !stage.warmup);
            let starts = stages.map(|stage| stage.start_ns);
            Some(Agent {
                start_ns: raw()
                    .map(|call| call.start_ns)
                    .min()?
                    .min(starts.min().unwrap_or(u64::MAX)),
                end_ns: raw().map(|call| call.end_ns).max()?,
                ttft_ms: mean(&own, "ttft_ms"),
                client_tokens_per_s: mean(&own, "client_tokens_per_s"),
            })
        })
        .collect()
}

/// Mean over the measured stages of this kind.
fn stage_ms(record: &AgentRecord, stage: Stage) -> (String, Option<f64>) {
    let measured = record.stages.iter().filter(|made| made.stage == stage && !made.warmup);
    let times = measured.map(|made| ms(made.end_ns.saturating_sub(made.start_ns)));
    let mean = sample(times.collect()).map(|times| times.mean());
    (format!("stage_{}_ms", stage.name()), mean)
}

fn usage(calls: &[CallSummary], process: &ProcessUsage) -> Metrics {
    // the process's CPU time covers warm-up and failed calls too, so their tokens count here
    let per_thousand = process
        .cpu_s
        .zip(tokens(calls.iter()))
        .and_then(|(cpu, tokens)| ratio(1000.0 * cpu, tokens));
    let mut metrics = self::process(process);
    metrics.insert("cpu_s_per_1000_tokens".to_owned(), per_thousand);
    metrics
}

/// What the executor saw of the process, whatever its work was.
pub(super) fn process(process: &ProcessUsage) -> Metrics {
    named([
        ("startup_ms", process.startup_ms),
        ("peak_rss_mb", process.peak_rss_mb),
        ("cpu_s", process.cpu_s),
    ])
}

/// Tokens that were made, added up; unknown as soon as one call's are.
fn tokens<'a>(calls: impl Iterator<Item = &'a CallSummary>) -> Option<f64> {
    calls.map(|call| call.metrics.get("made_tokens").copied().flatten()).sum()
}

fn sum(values: Vec<f64>) -> f64 {
    values.into_iter().sum()
}

pub(super) fn named<const N: usize>(metrics: [(&str, Option<f64>); N]) -> Metrics {
    metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
