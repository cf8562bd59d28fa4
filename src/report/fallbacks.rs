//! Runs that failed: with which configuration, and what was measured in their place.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::collect::assemble;
use super::data::{Cell, NamedText, StandIn};
use crate::manifest::study::Control;
use crate::plan::{CellId, Plan};
use crate::store::fallback::Decision;
use crate::store::record::Metrics;
use crate::store::{Store, against_newest};

/// A decision to measure another cell in place of a run that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FallbackTaken {
    /// `<id8>/<repeat>` of the run that was asked for.
    pub asked: String,
    pub asked_name: String,
    pub repeat: u32,
    /// From 1.
    pub step: usize,
    /// `<id8>/<repeat>` of the run that was to be made instead.
    pub taken: String,
    pub taken_name: String,
    /// What differs from the cell that was asked for.
    pub changes: Vec<NamedText>,
    /// Why what was tried before failed.
    pub because: String,
    /// Of the run that was made; `None`: there is none.
    pub metrics: Option<Metrics>,
    /// It is the last word on this run, and the manifest still says so.
    pub stands: bool,
}

/// By cell of the plan, the repeats that failed and in whose place a fallback stands, each with its step.
pub type Settled = BTreeMap<u32, BTreeMap<u32, usize>>;

/// What fallbacks stand for.
#[must_use]
pub fn settled(plan: &Plan, store: &Store) -> Settled {
    collect(plan, store).1
}

/// What was decided for cells of the plan, in order, and what fallbacks stand for.
pub(super) fn collect(plan: &Plan, store: &Store) -> (Vec<FallbackTaken>, Settled) {
    let mut taken = Vec::new();
    let mut settled = Settled::new();
    // A journal that cannot be read is `verify`'s business; the runs then count as missing.
    let decisions = store.decisions().unwrap_or_default();
    if decisions.is_empty() {
        return (taken, settled);
    }
    let cells: BTreeMap<String, u32> =
        (0..).take(plan.cells()).map(|cell| (plan.id(cell).hex(), cell)).collect();
    for decision in decisions {
        let Some(cell) = cells.get(&decision.cell).copied() else { continue };
        let one = one(plan, store, cell, decision);
        if one.stands && one.metrics.is_some() {
            settled.entry(cell).or_default().insert(one.repeat, one.step);
        }
        taken.push(one);
    }
    (taken, settled)
}

/// The runs that stand in, by their cells. Those of the plan's own cells are there anyway.
pub(super) fn stand_ins(plan: &Plan, store: &Store, settled: &Settled) -> Vec<StandIn> {
    let mut asked: IndexMap<(u32, usize), Vec<u32>> = IndexMap::new();
    for (cell, repeats) in settled {
        for (repeat, step) in repeats {
            asked.entry((*cell, *step)).or_default().push(*repeat);
        }
    }
    let mut found: IndexMap<CellId, StandIn> = IndexMap::new();
    for ((cell, step), repeats) in asked {
        let Some(other) = plan.fallback(cell, step) else { continue };
        if plan.find(other.id).is_some() {
            continue;
        }
        let stored = store.runs(&other.id.hex());
        let runs = repeats.iter().filter_map(|repeat| Some((*repeat, stored.get(repeat)?.clone())));
        let factors = plan.fallback_factors(cell, step);
        let (id, name) = (other.id.hex(), other.name);
        let new = assemble(store, id, name, &other.spec, factors, runs.collect());
        let study = plan.study();
        let mut experiments = plan.experiments_of(cell);
        if experiments.is_empty() {
            // Of a control.
            experiments.push(plan.home_experiment(cell));
        }
        let own = found.entry(other.id).or_insert_with(|| StandIn {
            cell: Cell { runs: BTreeMap::new(), ..new.clone() },
            experiments: Vec::new(),
            control: plan.control_of(cell).map(Control::name),
            asked: BTreeMap::new(),
        });
        let id = plan.id(cell).hex();
        own.asked.extend(repeats.into_iter().map(|repeat| (repeat, format!("{id}/{repeat}"))));
        own.cell.runs.extend(new.runs);
        own.cell.folders.extend(new.folders);
        own.cell.stale = against_newest(&own.cell.runs);
        for experiment in experiments {
            let name = &study.experiments[experiment].name;
            if !own.experiments.contains(name) {
                own.experiments.push(name.clone());
            }
        }
    }
    found.into_values().collect()
}

fn one(plan: &Plan, store: &Store, cell: u32, decision: Decision) -> FallbackTaken {
    let Decision { repeat, step, to, because, stands, .. } = decision;
    let today = plan.fallback(cell, step).filter(|today| today.id.hex() == to);
    let run = store.runs(&to).get(&repeat);
    let short = |id: &str| format!("{}/{repeat}", id.get(..8).unwrap_or(id));
    FallbackTaken {
        asked: short(&decision.cell),
        asked_name: plan.name(cell),
        repeat,
        step,
        taken: short(&to),
        taken_name: match (&today, run) {
            (_, Some(run)) => run.cell_name.clone(),
            (Some(today), None) => today.name.clone(),
            (None, None) => "unknown".to_owned(),
        },
        stands: stands && today.is_some(),
        changes: today
            .into_iter()
            .flat_map(|today| today.changes)
            .map(|(name, level)| NamedText::new(name, level))
            .collect(),
        because,
        metrics: run.map(|run| run.metrics.clone()),
    }
}

/// What was asked for, in words: every agent's model and options, or a command's words.
pub(super) fn configuration(identity: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(words) = identity.get("command").and_then(Value::as_array) {
        return words.iter().map(text).collect::<Vec<_>>().join(" ");
    }
    let agents = identity.get("agents").and_then(Value::as_array).into_iter().flatten();
    let agents: Vec<String> = agents
        .map(|agent| {
            let mut parts: Vec<String> = agent.get("model").map(text).into_iter().collect();
            let options = agent.get("options").and_then(Value::as_object).into_iter().flatten();
            parts.extend(options.map(|(name, value)| format!("{name} {}", text(value))));
            let name = agent.get("name").map(text).unwrap_or_default();
            format!("{name}: {}", parts.join(", "))
        })
        .collect();
    agents.join("; ")
}
