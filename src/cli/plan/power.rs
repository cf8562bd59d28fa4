//! `runner plan --power`: how many repeats each hypothesis needs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Failure, exit, output};
use super::estimate;
use super::text::rough;
use crate::plan::{Plan, RunKey};
use crate::report::{self, PlannedHypothesis};
use crate::store::Store;
use crate::verdict::power::Planned;

/// What an experiment comes to if all of its hypotheses are to be decided.
struct Whole {
    experiment: String,
    /// Planned repeats.
    repeats: u32,
    /// `None`: for one of them it is unknown, or more than was looked for.
    needed: Option<u32>,
    time: Option<Duration>,
}

pub(super) fn explain(plan: &Plan, store: &Store, as_json: bool) -> Result<String, Failure> {
    if plan.study().experiments.iter().all(|own| own.hypotheses.is_empty()) {
        let message = "the manifest declares no hypothesis to be decided";
        let help = "see docs/verdicts.md: [experiment.NAME.hypothesis.NAME]";
        return Err(Failure::new(exit::USAGE, message, Some(help)));
    }
    let hypotheses = report::power(plan, store);
    let wholes = wholes(plan, store, &hypotheses);
    if as_json {
        let document = json!({
            "chance": crate::stats::POWER,
            "hypotheses": hypotheses.iter().map(document).collect::<Vec<Value>>(),
            "experiments": wholes.iter().map(|own| json!({
                "experiment": own.experiment,
                "planned": own.repeats,
                "needed": own.needed,
                "time_s": own.time.map(|time| time.as_secs_f64()),
            })).collect::<Vec<Value>>(),
        });
        return output::json(&document);
    }
    Ok(text(&hypotheses, &wholes))
}

fn text(hypotheses: &[PlannedHypothesis], wholes: &[Whole]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Repeats that a hypothesis needs to be decided with a chance of 80 %, if its claim holds\n\
         by the smallest effect that matters. In brackets: for a spread at the ends of its 95 %\n\
         interval. The correction is for as many criteria as the study has hypotheses: {}.",
        hypotheses.len()
    );
    for own in hypotheses {
        let _ = writeln!(text, "\n{}/{} (planned: {})", own.experiment, own.name, own.repeats);
        for (criterion, part) in &own.parts {
            let _ = writeln!(text, "  {criterion}");
            match part {
                Err(why) => {
                    let _ = writeln!(text, "  unknown: {why}");
                }
                Ok(Planned { truth, spread, repeats, .. }) => {
                    let (low, high) = repeats.range;
                    let _ = writeln!(
                        text,
                        "  {} ({} to {}), {} after the correction\n  if true: {truth}; {spread}",
                        number(repeats.needed, repeats.most),
                        number(low, repeats.most),
                        number(high, repeats.most),
                        number(repeats.corrected, repeats.most),
                    );
                }
            }
        }
    }
    text.push('\n');
    for own in wholes {
        let Some(needed) = own.needed else {
            let _ =
                writeln!(text, "{}: no number of repeats is known for all of it", own.experiment);
            continue;
        };
        let time = own.time.map_or_else(String::new, |time| {
            format!(", about {} in all", rough(time.as_secs_f64()))
        });
        let _ = writeln!(
            text,
            "{}: `repeats = {needed}` for each of its hypotheses{time} (planned: {})",
            own.experiment, own.repeats
        );
    }
    text
}

fn number(repeats: Option<u32>, most: u32) -> String {
    repeats.map_or_else(|| format!("over {most}"), |repeats| repeats.to_string())
}

fn document(own: &PlannedHypothesis) -> Value {
    let part = |(criterion, part): &(String, Result<Planned, String>)| match part {
        Err(why) => json!({ "criterion": criterion, "unknown": why }),
        Ok(Planned { truth, spread, repeats, .. }) => json!({
            "criterion": criterion,
            "if_true": truth,
            "spread": spread,
            "needed": repeats.needed,
            "range": [repeats.range.0, repeats.range.1],
            "corrected": repeats.corrected,
        }),
    };
    json!({
        "experiment": own.experiment,
        "hypothesis": own.name,
        "alpha": own.alpha,
        "planned": own.repeats,
        "parts": own.parts.iter().map(part).collect::<Vec<Value>>(),
    })
}

fn wholes(plan: &Plan, store: &Store, hypotheses: &[PlannedHypothesis]) -> Vec<Whole> {
    let experiments = plan.study().experiments.iter().enumerate();
    experiments
        .filter_map(|(index, experiment)| {
            let own = || hypotheses.iter().filter(|own| own.experiment == experiment.name);
            let repeats = own().next()?.repeats;
            let parts = own().flat_map(|own| &own.parts);
            let numbers: Option<Vec<u32>> =
                parts.map(|(_, part)| part.as_ref().ok()?.repeats.needed).collect();
            let needed = numbers.and_then(|numbers| numbers.into_iter().max());
            let cells = plan.experiment_cells(index).into_iter();
            let cells: Vec<u32> = cells.chain(plan.experiment_controls(index)).collect();
            let ids: Vec<String> =
                (0..).take(plan.cells()).map(|cell| plan.id(cell).hex()).collect();
            let time = needed.and_then(|needed| {
                let of = |&cell: &u32| (1..=needed).map(move |repeat| RunKey { cell, repeat });
                estimate(store, &ids, &cells.iter().flat_map(of).collect::<Vec<RunKey>>())
            });
            Some(Whole { experiment: experiment.name.clone(), repeats, needed, time })
        })
        .collect()
}
