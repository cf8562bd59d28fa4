//! Calls that had to load their model apart from those that found it loaded.
//!
//! A call is known to be cold when the servers were emptied right before it, and warm when the same
//! agent had called before it in the run. Of the first call of any other run neither is known: it
//! counts for none.

use super::call::sample;
use super::run::named;
use crate::store::record::{CallSummary, Metrics};

/// `cold`: the servers held no model when the run began.
pub fn metrics(calls: &[CallSummary], cold: bool) -> Metrics {
    let counted = || calls.iter().filter(|call| !call.warmup && call.outcome.counts());
    let mean = |name: &str, of: &dyn Fn(&CallSummary) -> bool| {
        let known = counted().filter(|call| of(call));
        let known = known.filter_map(|call| call.metrics.get(name).copied().flatten());
        sample(known.collect()).map(|known| known.mean())
    };
    let first = |call: &CallSummary| cold && call.call == 0;
    let later = |call: &CallSummary| call.call > 0;
    named([
        ("cold_ttft_ms", mean("ttft_ms", &first)),
        ("cold_load_ms", mean("load_ms", &first)),
        ("warm_ttft_ms", mean("ttft_ms", &later)),
    ])
}
