//! Repeats that go on until a mean is known well enough: how many are asked for now.
//!
//! The number follows from the plan and the stored runs alone, so that every command says the same, and an exec
//! that was interrupted goes on where it was.

use super::agenda;
use crate::manifest::ManifestErrors;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Experiment, HalfWidth, Study, Until};
use crate::metrics;
use crate::plan::{Plan, RunKey};
use crate::stats::{self, Sample};
use crate::store::{self, Store};

/// Confidence of the interval whose half width is looked at.
const LEVEL: f64 = 0.95;

/// An experiment that asks for one repeat more, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct More {
    pub experiment: String,
    /// Repeats that it asks for now.
    pub repeats: u32,
    pub most: u32,
    /// The cell whose interval is too wide after the repeat before.
    pub because: String,
}

/// The plan with the repeats that its stored runs ask for. Cells that a filter leaves out count where they are
/// there: a selection never shows fewer repeats than the whole.
#[must_use]
pub fn adapted(plan: Plan, store: &Store) -> Plan {
    if plan.study().experiments.iter().all(|own| own.settings.until.is_none()) {
        return plan;
    }
    let asked: Vec<Option<u32>> = (0..plan.study().experiments.len())
        .map(|index| {
            let of = |plan: &Plan| asked(plan, store, index).map(|(repeats, _)| repeats);
            of(&plan).max(of(plan.whole()))
        })
        .collect();
    let mut plan = plan;
    for (index, repeats) in asked.into_iter().enumerate() {
        if let Some(repeats) = repeats {
            plan.raise_repeats(index, repeats);
        }
    }
    plan
}

/// The experiments that ask for more than `before` holds.
#[must_use]
pub fn more(before: &Plan, now: &Plan, store: &Store) -> Vec<More> {
    let experiments = now.study().experiments.iter().enumerate();
    experiments
        .filter_map(|(index, experiment)| {
            let until = experiment.settings.until.as_ref()?;
            let (repeats, because) = asked(now, store, index)?;
            let more = now.experiment_repeats(index) > before.experiment_repeats(index);
            more.then(|| More {
                experiment: experiment.name.clone(),
                repeats,
                most: until.max,
                because: because.unwrap_or_default(),
            })
        })
        .collect()
}

/// How many repeats an experiment asks for, and which cell made it more than the fewest.
fn asked(plan: &Plan, store: &Store, index: usize) -> Option<(u32, Option<String>)> {
    let experiment = &plan.study().experiments[index];
    let until = experiment.settings.until.as_ref()?;
    let cells = plan.experiment_cells(index);
    if cells.is_empty() {
        return None;
    }
    let controls = plan.experiment_controls(index);
    let settled = agenda::standing(plan, store);
    let is_there = |cell: u32, repeat: u32| {
        store.runs(&plan.id(cell).hex()).contains_key(&repeat)
            || settled.contains_key(&RunKey { cell, repeat })
    };
    let metrics = named(experiment, until);
    let mut because = None;
    for repeats in experiment.settings.repeats..until.max {
        let whole = |cell: &u32| (1..=repeats).all(|repeat| is_there(*cell, repeat));
        if !cells.iter().chain(&controls).all(whole) {
            return Some((repeats, because));
        }
        let wide = cells.iter().find_map(|cell| {
            metrics.iter().find_map(|metric| {
                let width = too_wide(plan, store, (*cell, repeats), metric, until.half_width)?;
                Some(format!("{} has {metric} ± {width} after {repeats}", plan.name(*cell)))
            })
        });
        if wide.is_none() {
            return Some((repeats, because));
        }
        because = wide;
    }
    Some((until.max, because))
}

/// The metrics whose means are to be known.
fn named<'a>(experiment: &'a Experiment, until: &'a Until) -> Vec<&'a str> {
    let named = || experiment.hypotheses.iter().flat_map(|own| own.criterion.metrics());
    let mut metrics: Vec<&str> = match &until.metric {
        Some(metric) => vec![metric],
        None => named().collect(),
    };
    metrics.sort_unstable();
    metrics.dedup();
    metrics
}

/// `and more, at most 30, until each cell's wall_ms is known to ± 2 % (95 %)`.
#[must_use]
pub fn in_words(experiment: &Experiment) -> Option<String> {
    let until = experiment.settings.until.as_ref()?;
    let width = match until.half_width {
        HalfWidth::Relative(share) => format!("{} %", 100.0 * share),
        HalfWidth::Absolute(size) => size.to_string(),
    };
    let metrics = named(experiment, until).join(", ");
    Some(format!(
        "and more, at most {}, until each cell's {metrics} is known to ± {width} (95 %)",
        until.max
    ))
}

/// The half width of the interval of a cell's mean after so many repeats, in words, if it is wider than asked.
fn too_wide(
    plan: &Plan,
    store: &Store,
    (cell, repeats): (u32, u32),
    metric: &str,
    wanted: HalfWidth,
) -> Option<String> {
    let counting = store::counting(store.runs(&plan.id(cell).hex()), repeats);
    let stale = store::against_newest(&counting);
    let fresh = counting.values().filter(|run| !stale.contains_key(&run.repeat));
    let (runs, known): (Vec<_>, Vec<Option<f64>>) =
        fresh.map(|run| (run, run.metrics.get(metric).copied().flatten())).unzip();
    let values: Vec<f64> = known.into_iter().flatten().collect();
    // a metric that no run knows can never become narrow
    if values.is_empty() && !runs.is_empty() {
        return None;
    }
    is_wide(&values, wanted)
}

/// The half width of the 95 % interval of the mean of these values in words, if it is wider than asked. Fewer than
/// two have none, which is wider than anything.
#[must_use]
pub fn is_wide(values: &[f64], wanted: HalfWidth) -> Option<String> {
    let unknown = || Some("an unknown width".to_owned());
    let Ok(sample) = Sample::new(values.to_vec()) else { return unknown() };
    let interval = stats::mean(&sample).and_then(|mean| mean.interval(LEVEL));
    let half = match interval {
        Ok(interval) => (interval.high - interval.low) / 2.0,
        Err(_) if sample.n() > 1 => 0.0, // runs that do not vary
        Err(_) => return unknown(),
    };
    match wanted {
        HalfWidth::Absolute(most) => (half > most).then(|| format!("{half:.4}")),
        HalfWidth::Relative(most) => {
            let share = half / sample.mean().abs();
            (share > most || share.is_nan()).then(|| format!("{:.2} %", 100.0 * share))
        }
    }
}

/// Problems of `until`: metrics that are not there, and experiments that name none.
pub fn check(study: &Study) -> Result<(), ManifestErrors> {
    let mut problems = Problems::new(&study.source);
    let declared = metrics::declared(study);
    let section = At::ROOT.key("experiment");
    for experiment in &study.experiments {
        let Some(until) = &experiment.settings.until else { continue };
        let at = section.key(&experiment.name);
        if named(experiment, until).is_empty() {
            let message = "`until` has no metric to look at: the experiment has no hypothesis";
            let help = "write for example `until = { half_width = \"2 %\", max = 30, metric = \
                        \"client_tokens_per_s\" }`";
            problems.key(&at, message, Some(help.to_owned()));
        }
        if let Some(metric) = &until.metric
            && metrics::find(&declared, metric).is_none()
        {
            let message = format!("`until` names `{metric}`, and there is no such metric");
            let help = "`runner schema metrics` lists them";
            problems.key(&at, message, Some(help.to_owned()));
        }
    }
    problems.finish()
}
