//! Metrics that a study declares beside those of the catalogue.

use super::catalogue::{self, Better, Clock, MetricInfo, Scope, catalogue};
use super::effect::SmallestEffect;
use crate::manifest::command::{Direction, Matters};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::{ManifestErrors, Study};

/// A metric that is picked from a command's files.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredMetric {
    pub name: String,
    pub unit: String,
    pub better: Option<Better>,
    /// Where it is picked from; several places where experiments differ.
    pub formula: String,
    /// Where the manifest says it.
    pub smallest_effect: Option<SmallestEffect>,
}

impl DeclaredMetric {
    #[must_use]
    pub fn info(&self) -> MetricInfo<'_> {
        MetricInfo {
            name: &self.name,
            scope: Scope::Command,
            clock: Clock::Program,
            unit: &self.unit,
            formula: &self.formula,
            better: self.better,
            meaning: "declared in the manifest",
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
    problems.finish()
}

/// The metrics that a study's experiments declare, each once; without those that [`check`]
/// refuses.
#[must_use]
pub fn declared(study: &Study) -> Vec<DeclaredMetric> {
    let mut found: Vec<DeclaredMetric> = Vec::new();
    let picks = study.experiments.iter().flat_map(crate::manifest::study::Experiment::picks);
    for pick in picks.filter(|pick| catalogue::info(&pick.name).is_none()) {
        let formula = pick.formula();
        match found.iter_mut().find(|known| known.name == pick.name) {
            Some(known) => {
                if !known.formula.split("; ").any(|own| own == formula) {
                    known.formula = format!("{}; {formula}", known.formula);
                }
            }
            None => found.push(DeclaredMetric {
                name: pick.name.clone(),
                unit: pick.unit.clone(),
                better: pick.better.map(|direction| match direction {
                    Direction::Higher => Better::Higher,
                    Direction::Lower => Better::Lower,
                }),
                formula,
                smallest_effect: pick.smallest_effect.map(|effect| match effect {
                    Matters::FromShare(share) => SmallestEffect::Relative(share),
                    Matters::From(size) => SmallestEffect::Absolute(size),
                }),
            }),
        }
    }
    found
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
