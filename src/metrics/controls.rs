//! A run beside its solo controls: what its agents lose by working at the same time.
//!
//! Computed from stored runs when a table is made, since a control may be measured after the run that
//! it interprets. Which runs may be compared is left to the caller.

use std::collections::BTreeMap;

use super::call::sample;
use super::ratio;
use super::run::named;
use crate::store::record::{CallSummary, Metrics, RunRecord};

/// One agent alone: the yardstick of its stream in a run with others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alone {
    aggregate_tokens_per_s: Option<f64>,
    ms_per_token: Option<f64>,
    ttft_ms: Option<f64>,
    /// Of the run's own repeat; otherwise the mean over all repeats stands in.
    same_repeat: bool,
}

impl Alone {
    /// From the agent's solo runs: that of `repeat`, or else the mean of all; `None` without any.
    #[must_use]
    pub fn of(solo_runs: &[&RunRecord], repeat: u32) -> Option<Self> {
        let same = solo_runs.iter().find(|run| run.repeat == repeat);
        let runs = same.map_or(solo_runs, std::slice::from_ref);
        let mean = |figure: &dyn Fn(&RunRecord) -> Option<f64>| {
            sample(runs.iter().filter_map(|run| figure(run)).collect()).map(|known| known.mean())
        };
        let metric = |name: &'static str| mean(&|run| run.metrics.get(name).copied().flatten());
        (!runs.is_empty()).then(|| Self {
            aggregate_tokens_per_s: metric("aggregate_tokens_per_s"),
            ms_per_token: mean(&|run| {
                ms_per_token(&run.calls.iter().filter(|call| counts(call)).collect::<Vec<_>>())
            }),
            ttft_ms: metric("ttft_ms"),
            same_repeat: same.is_some(),
        })
    }
}

/// Metrics of a run and of its calls that need the solo controls.
#[derive(Debug, Clone, PartialEq)]
pub struct AgainstSolo {
    pub run: Metrics,
    /// One per call, in the order of the run's; nothing is known of warm-up calls.
    pub calls: Vec<Metrics>,
}

/// Compares a run with its agents alone, by the names of its streams. A figure of the run needs the
/// control of every stream; one of a call only its own.
#[must_use]
pub fn against_solo(run: &RunRecord, alone: &BTreeMap<String, Alone>) -> AgainstSolo {
    let mut streams: BTreeMap<&str, Vec<&CallSummary>> = BTreeMap::new();
    for call in run.calls.iter().filter(|call| !call.warmup) {
        let counted = streams.entry(&call.agent).or_default();
        counted.extend(Some(call).filter(|call| counts(call)));
    }
    let solos: Option<Vec<(&[&CallSummary], &Alone)>> = streams
        .iter()
        .map(|(stream, calls)| Some((calls.as_slice(), alone.get(*stream)?)))
        .collect();
    let solos = solos.filter(|solos| !solos.is_empty());
    let mean = |figure: &dyn Fn(&[&CallSummary], &Alone) -> Option<f64>| {
        let values = solos.as_ref()?.iter().map(|(calls, alone)| figure(calls, alone));
        sample(values.collect::<Option<Vec<f64>>>()?).map(|known| known.mean())
    };

    let together = run.metrics.get("aggregate_tokens_per_s").copied().flatten();
    let apart: Option<f64> = solos
        .as_ref()
        .and_then(|solos| solos.iter().map(|(_, alone)| alone.aggregate_tokens_per_s).sum());
    let longest = |length: &dyn Fn(&[&CallSummary], &Alone) -> Option<f64>| {
        let lengths = solos.as_ref()?.iter().map(|(calls, alone)| length(calls, alone));
        lengths.collect::<Option<Vec<f64>>>()?.into_iter().max_by(f64::total_cmp)
    };
    let unhindered = longest(&|calls, alone| Some(alone.ms_per_token? * total(calls, "tokens")?));
    let contention = unhindered
        .zip(longest(&|calls, _| total(calls, "e2e_ms")))
        .and_then(|(alone, together)| ratio(100.0 * alone, together));
    let scaling = together.zip(apart).and_then(|(together, apart)| ratio(100.0 * together, apart));
    let same = solos.as_ref().map(|solos| solos.iter().all(|(_, alone)| alone.same_repeat));
    AgainstSolo {
        run: named([
            ("scaling_efficiency_percent", scaling),
            ("contention_efficiency_percent", contention),
            ("slowdown", mean(&slowdown)),
            ("ttft_above_solo_ms", mean(&ttft_above_solo_ms)),
            ("solo_same_repeat", same.map(|same| f64::from(u8::from(same)))),
        ]),
        calls: run
            .calls
            .iter()
            .map(|call| call_metrics(call, alone.get(&call.agent).filter(|_| counts(call))))
            .collect(),
    }
}

fn call_metrics(call: &CallSummary, alone: Option<&Alone>) -> Metrics {
    named([
        ("slowdown", alone.and_then(|alone| slowdown(&[call], alone))),
        ("ttft_above_solo_ms", alone.and_then(|alone| ttft_above_solo_ms(&[call], alone))),
    ])
}

fn slowdown(calls: &[&CallSummary], alone: &Alone) -> Option<f64> {
    ratio(ms_per_token(calls)?, alone.ms_per_token?)
}

fn ttft_above_solo_ms(calls: &[&CallSummary], alone: &Alone) -> Option<f64> {
    let known = calls.iter().filter_map(|call| metric(call, "ttft_ms"));
    Some(sample(known.collect())?.mean() - alone.ttft_ms?)
}

/// Durations of the calls over their tokens; unknown as soon as one of them is.
fn ms_per_token(calls: &[&CallSummary]) -> Option<f64> {
    ratio(total(calls, "e2e_ms")?, total(calls, "tokens")?)
}

fn total(calls: &[&CallSummary], name: &str) -> Option<f64> {
    calls.iter().map(|call| metric(call, name)).sum()
}

fn metric(call: &CallSummary, name: &str) -> Option<f64> {
    call.metrics.get(name).copied().flatten()
}

fn counts(call: &CallSummary) -> bool {
    !call.warmup && call.outcome.counts()
}
