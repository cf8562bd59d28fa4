//! Metrics that a study declares beside those of the catalogue.

use std::collections::BTreeMap;

use super::catalogue::{self, Better, Clock, MetricInfo, Scope, catalogue};
use super::effect::SmallestEffect;
use super::imported;
use crate::manifest::command::{Direction, Matters, Pick};
use crate::manifest::import::{Import, Metric, MetricOf, unit};
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Experiment;
use crate::manifest::{ManifestErrors, Study};

/// A metric that is picked from a command's files, or a figure of earlier results.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredMetric {
    pub name: String,
    pub scope: Scope,
    pub clock: Clock,
    pub unit: String,
    pub better: Option<Better>,
    /// Where it is taken from; several places where experiments differ.
    pub formula: String,
    /// Where the manifest says it.
    pub smallest_effect: Option<SmallestEffect>,
}

impl DeclaredMetric {
    #[must_use]
    pub fn info(&self) -> MetricInfo<'_> {
        MetricInfo {
            name: &self.name,
            scope: self.scope,
            clock: self.clock,
            unit: &self.unit,
            formula: &self.formula,
            better: self.better,
            meaning: match self.clock {
                Clock::File => "as an earlier program computed and stored it",
                _ => "declared in the manifest",
            },
            smallest_effect: self.smallest_effect,
        }
    }
}

/// A metric cannot have the name of one that the program computes: which of the two a figure is
/// would depend on the run.
pub fn check(study: &Study) -> Result<(), ManifestErrors> {
    let mut problems = Problems::new(&study.source);
    let section = At::ROOT.key("experiment");
    for experiment in &study.experiments {
        let at = section.key(&experiment.name);
        let at = at.key("metric");
        for pick in experiment.picks() {
            if catalogue::info(&pick.name).is_some() {
                let message = format!("`{}` is a metric that the program computes", pick.name);
                let help =
                    "choose another name; `runner schema metrics` lists those that are taken";
                problems.key(&at.key(&pick.name), message, Some(help.to_owned()));
            }
        }
    }
    let mut known: BTreeMap<String, (String, Option<Direction>)> = BTreeMap::new();
    for pick in study.experiments.iter().flat_map(Experiment::picks) {
        known.insert(pick.name.clone(), (pick.unit.clone(), pick.better));
    }
    for experiment in &study.experiments {
        let at = section.key(&experiment.name);
        let at = at.key("import");
        for metric in experiment.kind.import().iter().flat_map(|own| own.metrics()) {
            if let Err((reason, help)) = figure(metric, &mut known) {
                let message = format!("the map's metric `{}` {reason}", metric.name);
                problems.key(&at, message, help);
            }
        }
    }
    problems.finish()
}

/// Whether a figure of earlier results may have its name, its unit and what it should be.
fn figure(
    metric: &Metric,
    known: &mut BTreeMap<String, (String, Option<Direction>)>,
) -> Result<(), (String, Option<String>)> {
    let value_unit = metric.value.unit.as_deref();
    if let Some(info) = catalogue::info(&metric.name) {
        if imported::COMPUTED.contains(&info.name) {
            let reason = "has the name of one that is computed from facts".to_owned();
            return Err((reason, Some(format!("call it `published_{}`", metric.name))));
        }
        if metric.unit.as_ref().is_some_and(|unit| unit != info.unit) || metric.better.is_some() {
            let reason = format!("is one of the catalogue, in {}", unit_of(info.unit));
            return Err((reason, Some("leave `unit` and `better` to the catalogue".to_owned())));
        }
        if value_unit.is_some_and(|own| unit::convert(1.0, own, info.unit).is_none()) {
            let own = value_unit.unwrap_or_default();
            let reason =
                format!("is in {}, and {own} cannot be converted to it", unit_of(info.unit));
            return Err((reason, None));
        }
        return Ok(());
    }
    let unit = metric.unit.clone().unwrap_or_default();
    let meaning = (unit, metric.better);
    if known.entry(metric.name.clone()).or_insert_with(|| meaning.clone()) != &meaning {
        let reason = "has another `unit` or `better` than elsewhere in the study".to_owned();
        return Err((reason, Some("give it the same, or another name".to_owned())));
    }
    if let Some(other) = metric.equals.as_deref().filter(|own| catalogue::info(own).is_none()) {
        let reason = format!("should equal `{other}`, which is no metric");
        return Err((reason, suggest(other, catalogue().iter().map(|info| info.name))));
    }
    Ok(())
}

fn unit_of(unit: &str) -> &str {
    if unit.is_empty() { "a pure number" } else { unit }
}

/// The metrics that a study's experiments declare, each once; without those that [`check`]
/// refuses.
#[must_use]
pub fn declared(study: &Study) -> Vec<DeclaredMetric> {
    let picks = study.experiments.iter().flat_map(Experiment::picks).map(of_pick);
    let imports = study.experiments.iter().filter_map(|own| own.kind.import());
    let figures = imports.flat_map(Import::metrics).map(of_figure);
    let mut found: Vec<DeclaredMetric> = Vec::new();
    for own in picks.chain(figures).filter(|own| catalogue::info(&own.name).is_none()) {
        match found.iter_mut().find(|known| known.name == own.name) {
            Some(known) => {
                if !known.formula.split("; ").any(|formula| formula == own.formula) {
                    known.formula = format!("{}; {}", known.formula, own.formula);
                }
            }
            None => found.push(own),
        }
    }
    found
}

fn of_pick(pick: &Pick) -> DeclaredMetric {
    DeclaredMetric {
        name: pick.name.clone(),
        scope: Scope::Command,
        clock: Clock::Program,
        unit: pick.unit.clone(),
        better: pick.better.map(better),
        formula: pick.formula(),
        smallest_effect: pick.smallest_effect.map(|effect| match effect {
            Matters::FromShare(share) => SmallestEffect::Relative(share),
            Matters::From(size) => SmallestEffect::Absolute(size),
        }),
    }
}

fn of_figure(metric: &Metric) -> DeclaredMetric {
    DeclaredMetric {
        name: metric.name.clone(),
        scope: if metric.of == MetricOf::Call { Scope::CallAndRun } else { Scope::Imported },
        clock: Clock::File,
        unit: metric.unit.clone().unwrap_or_default(),
        better: metric.better.map(better),
        formula: metric.formula(),
        smallest_effect: None,
    }
}

fn better(direction: Direction) -> Better {
    match direction {
        Direction::Higher => Better::Higher,
        Direction::Lower => Better::Lower,
    }
}

/// The metric of that name, of the catalogue or declared.
#[must_use]
pub fn find<'a>(declared: &'a [DeclaredMetric], name: &str) -> Option<MetricInfo<'a>> {
    catalogue::info(name)
        .copied()
        .or_else(|| declared.iter().find(|own| own.name == name).map(DeclaredMetric::info))
}

/// Every metric that a study knows, those of the catalogue first.
pub fn all(declared: &[DeclaredMetric]) -> impl Iterator<Item = MetricInfo<'_>> {
    catalogue().iter().copied().chain(declared.iter().map(DeclaredMetric::info))
}
