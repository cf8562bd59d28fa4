//! Checks of claims: numbers in their range, on cells that exist.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Common;
use super::hypothesis::statistic;
use super::names::reference;
use crate::manifest::criterion::{Cells, Statistic};
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Claim, Experiment, ExperimentKind, Level, Tolerance};
use crate::manifest::written::{self, Scalar};

/// `experiments` are those that are right; where some are not, cells are not looked for.
pub(super) fn claims(
    written: &written::Manifest,
    experiments: &[Experiment],
    common: &Common,
    problems: &mut Problems<'_>,
) -> Vec<Claim> {
    let section = At::ROOT.key("claim");
    let whole = experiments.len() == written.experiment.len();
    let claims = written.claim.iter().filter_map(|(name, body)| {
        let at = section.key(name);
        let before = problems.len();
        if !body.value.is_finite() {
            problems.value(&at.key("value"), "`value` is a finite number", None);
        }
        let statistic = match &body.stat {
            None => Some(Statistic::Mean),
            Some(name) => statistic(&at.key("stat"), name, problems),
        };
        let tolerance = tolerance(&at, body, problems);
        if let Some(profile) = &body.profile {
            let known = written.profile.keys();
            reference(problems, &at.key("profile"), "profile", profile, known, false);
        }
        if let Some(experiment) = &body.experiment {
            let known = written.experiment.keys();
            reference(problems, &at.key("experiment"), "experiment", experiment, known, false);
        }
        if body.source.trim().is_empty() {
            problems.value(&at.key("source"), "`source` says where the number stands", None);
        }
        let about: Vec<&Experiment> = experiments
            .iter()
            .filter(|own| body.experiment.as_ref().is_none_or(|name| *name == own.name))
            .collect();
        let cells = if whole && !about.is_empty() {
            cells(&at.key("where"), &body.cells, &about, common, problems)
        } else {
            IndexMap::new()
        };
        (problems.len() == before).then_some(())?;
        Some(Claim {
            name: name.clone(),
            value: body.value,
            unit: body.unit.clone(),
            metric: body.metric.clone(),
            statistic: statistic?,
            experiment: body.experiment.clone(),
            cells: Cells(cells),
            tolerance: tolerance?,
            profile: body.profile.clone(),
            source: body.source.clone(),
        })
    });
    claims.collect()
}

fn tolerance(at: &At<'_>, body: &written::Claim, problems: &mut Problems<'_>) -> Option<Tolerance> {
    let (key, value, tolerance) = match (body.tolerance, body.tolerance_abs) {
        (Some(share), None) => ("tolerance", share, Tolerance::Relative(share)),
        (None, Some(size)) => ("tolerance_abs", size, Tolerance::Absolute(size)),
        _ => {
            let message = "a claim needs exactly one of `tolerance` and `tolerance_abs`";
            let help = "`tolerance = 0.01` is 1 % of the value, `tolerance_abs` is in its unit";
            problems.key(at, message, Some(help.into()));
            return None;
        }
    };
    if !(value >= 0.0 && value.is_finite()) {
        let message = format!("a tolerance is a number from 0, not {value}");
        problems.value(&at.key(key), message, None);
    }
    if key == "tolerance" && body.value == 0.0 {
        let message = "a share of 0 is 0";
        problems.value(&at.key(key), message, Some("write `tolerance_abs`".into()));
    }
    Some(tolerance)
}

/// Levels that an experiment has, on an axis or fixed for all of its cells.
fn cells(
    at: &At<'_>,
    written: &IndexMap<String, Scalar>,
    about: &[&Experiment],
    common: &Common,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Level> {
    let mut known: BTreeMap<&str, Vec<&Level>> = BTreeMap::new();
    for experiment in about {
        let added = experiment.include.iter().chain(experiment.overrides.iter().map(|o| &o.set));
        let axes =
            experiment.axes.iter().flat_map(|(name, all)| all.iter().map(move |l| (name, l)));
        for (name, level) in axes.chain(&experiment.fixed).chain(added.flatten()) {
            known.entry(name).or_default().push(level);
        }
    }
    let free = about.iter().all(|own| matches!(own.kind, ExperimentKind::Command { .. }));
    let mut cells = IndexMap::new();
    for (name, value) in written {
        let at = at.key(name);
        let Some(levels) = known.get(name.as_str()) else {
            let help = suggest(name, known.keys().copied());
            problems.key(&at, format!("no experiment here has an axis `{name}`"), help);
            continue;
        };
        let parsed = match factor::lookup(name).filter(|_| !free) {
            Some(factor) => factor.level(value),
            None => factor::free_level(value),
        };
        let level = match parsed {
            Ok(Level::Text(model)) if name == "model" && !free => {
                Level::Text(common.models.get(&model).unwrap_or(&model).clone())
            }
            Ok(level) => level,
            Err(message) => {
                problems.value(&at, format!("`{name}`: {message}"), None);
                continue;
            }
        };
        if !levels.contains(&&level) {
            let shown = factor::show(name, &level);
            let known: Vec<String> = levels.iter().map(|l| factor::show(name, l)).collect();
            let help = suggest(&shown, known.iter().map(String::as_str));
            problems.value(&at, format!("`{name}` has no level `{shown}`"), help);
        }
        cells.insert(name.clone(), level);
    }
    cells
}
