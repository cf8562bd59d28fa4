//! Controls in a report: runs joined with their solo runs, and the noise floor of the idle control.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::completeness::fresh;
use super::data::{Cell, Data};
use super::select::value;
use crate::metrics::controls::{Alone, against_solo};
use crate::plan::Plan;
use crate::stats::Sample;
use crate::store::record::RunRecord;
use crate::store::staleness;

/// Adds to every run, and to its calls, what only its solo runs tell. `cells` are those of the plan.
pub(super) fn join(plan: &Plan, cells: &mut [Cell]) {
    for index in 0..cells.len() {
        let solos = u32::try_from(index).map(|cell| plan.solo_cells(cell)).unwrap_or_default();
        if solos.is_empty() {
            continue;
        }
        let mut runs = std::mem::take(&mut cells[index].runs);
        for run in runs.values_mut() {
            let alone: BTreeMap<String, Alone> = solos
                .iter()
                .filter_map(|(stream, cell)| {
                    let comparable = comparable(&cells[*cell as usize], run);
                    Some((stream.clone(), Alone::of(&comparable, run.repeat)?))
                })
                .collect();
            let joined = against_solo(run, &alone);
            run.metrics.extend(joined.run);
            for (call, metrics) in run.calls.iter_mut().zip(joined.calls) {
                call.metrics.extend(metrics);
            }
        }
        cells[index].runs = runs;
    }
}

/// The solo runs of a cell that were measured under the run's own circumstances.
fn comparable<'a>(cell: &'a Cell, run: &RunRecord) -> Vec<&'a RunRecord> {
    fresh(cell).filter(|solo| staleness(&solo.evidence, &run.evidence).is_empty()).collect()
}

/// What the loop-lag probe shows of a loop that does nothing: means over runs.
#[derive(Debug, PartialEq, Serialize)]
pub struct IdleFloor<'a> {
    pub runtime: &'a str,
    /// The runtime's own settings; those at their defaults are left out.
    pub settings: BTreeMap<&'a String, &'a Value>,
    /// Sleep of the probe, as in the run's identity.
    pub sleep: &'a str,
    /// Runs with an idle control, solo runs included.
    pub runs: usize,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub stalls: Option<f64>,
    pub probe_cost_percent: Option<f64>,
}

/// One row per runtime, its settings and the probe's sleep, in the order in which the plan has them.
pub(super) fn idle_floors(data: &Data) -> Vec<IdleFloor<'_>> {
    let mut loops: IndexMap<(&str, String, &str), Vec<&RunRecord>> = IndexMap::new();
    for run in data.cells.iter().flat_map(fresh) {
        if value(run, "idle_loop_lag_p50_ms").is_some() {
            let runtime = run.evidence.agent.runtime.as_str();
            let sleep = run.identity["probes"]["loop_lag"].as_str().unwrap_or("unknown");
            let settings = run.identity["variant"].to_string();
            loops.entry((runtime, settings, sleep)).or_default().push(run);
        }
    }
    loops
        .into_iter()
        .map(|((runtime, _, sleep), runs)| {
            let mean = |metric: &str| {
                let known = runs.iter().filter_map(|run| value(run, metric)).collect();
                Sample::new(known).ok().map(|known| known.mean())
            };
            let variant = runs.first().and_then(|run| run.identity["variant"].as_object());
            IdleFloor {
                runtime,
                settings: variant.into_iter().flatten().collect(),
                sleep,
                runs: runs.len(),
                p50_ms: mean("idle_loop_lag_p50_ms"),
                p99_ms: mean("idle_loop_lag_p99_ms"),
                max_ms: mean("idle_loop_lag_max_ms"),
                stalls: mean("idle_loop_lag_stalls"),
                probe_cost_percent: mean("loop_lag_probe_cost_percent"),
            }
        })
        .collect()
}
