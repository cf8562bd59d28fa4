//! Calls that had to load their model apart from those that found it loaded.
//!
//! A call is known to be cold when the servers were emptied right before it, or when its server says that it loaded
//! the model for a second and more; and warm when the server says that it loaded it for less, or when it says nothing
//! and the same agent had called before in the run. Of the first call of any other run neither is known: it counts
//! for none.

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
    let is_cold = |call: &CallSummary| cold && call.call == 0 || loaded(call) == Some(true);
    let is_warm =
        |call: &CallSummary| !is_cold(call) && loaded(call).map_or(call.call > 0, |loaded| !loaded);
    let measured = calls.iter().filter(|call| !call.warmup);
    named([
        ("cold_calls", cold_calls(measured)),
        ("cold_ttft_ms", mean("ttft_ms", &is_cold)),
        ("cold_load_ms", mean("load_ms", &is_cold)),
        ("warm_ttft_ms", mean("ttft_ms", &is_warm)),
    ])
}

/// Loading that takes so long is that of a model, and no look at one that is there; milliseconds.
const LOADING_MS: f64 = 1000.0;

/// Whether its server loaded the model for the call; `None`: it does not tell.
fn loaded(call: &CallSummary) -> Option<bool> {
    call.metrics.get("load_ms").copied().flatten().map(|load| load >= LOADING_MS)
}

/// How many of these calls had their model loaded; unknown where no server tells.
pub(super) fn cold_calls<'c>(calls: impl Iterator<Item = &'c CallSummary>) -> Option<f64> {
    let known: Vec<bool> = calls.filter_map(loaded).collect();
    (!known.is_empty()).then(|| known.into_iter().filter(|loaded| *loaded).count() as f64)
}
