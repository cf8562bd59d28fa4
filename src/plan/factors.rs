//! The factors of a cell in words: the columns of exports and tables.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::spec::COMMAND_RUNTIME;
use super::{CellSpec, Plan, identity};
use crate::cells::{self, NamedLevel};
use crate::manifest::factor;
use crate::manifest::study::Level;

/// The factors that stand in every table, whether a study varies them or not.
const COMMON: [&str; 7] =
    ["runtime", "scenario", "model", "read_buffer", "throttle", "max_tokens", "concurrency"];

impl Plan {
    /// All factors of a cell under their names, normalised and readable (`throttle` → `60 tok/s`,
    /// `read_buffer` → `64 KiB`, a default → `default`): the factor columns of exports and tables.
    #[must_use]
    pub fn factors(&self, cell: u32) -> Vec<NamedLevel> {
        self.factors_with(cell, &IndexMap::new(), &self.spec(cell))
    }

    /// The columns of a cell, and what it asks for beyond them: what is sealed with its runs.
    pub(super) fn levels_with(
        &self,
        cell: u32,
        changed: &IndexMap<String, Level>,
        spec: &CellSpec,
    ) -> Vec<NamedLevel> {
        let mut levels = self.factors_with(cell, changed, spec);
        for further in cells::of_identity(&spec.identity) {
            if levels.iter().all(|own| own.name != further.name) {
                levels.push(further);
            }
        }
        levels
    }

    /// As [`Plan::factors`], with some levels changed and what the cell is then.
    pub(super) fn factors_with(
        &self,
        cell: u32,
        changed: &IndexMap<String, Level>,
        spec: &CellSpec,
    ) -> Vec<NamedLevel> {
        let (index, row) = self.home(cell);
        let experiment = &self.study.experiments[index];
        let changed = changed.iter().map(|(name, level)| (name.as_str(), level));
        let levels: HashMap<&str, &Level> =
            self.matrices[index].levels(row).chain(changed).collect();
        let level = |name: &str| levels.get(name).copied().or_else(|| experiment.fixed.get(name));
        let alone = self.solo_agent(cell);
        let words = |name: &str, text: &str| NamedLevel::in_words(name, text.to_owned());
        let mut factors: Vec<NamedLevel> = Vec::new();
        for name in COMMON {
            factors.push(match (name, level(name)) {
                ("scenario", _) if alone.is_some() => {
                    words(name, &format!("{} alone", alone.unwrap_or_default()))
                }
                ("concurrency", _) if alone.is_some() => NamedLevel::new(name, &Level::Default),
                (_, Some(level)) if *level != Level::Default => NamedLevel::new(name, level),
                ("runtime", _) if experiment.kind.is_command() => words(name, COMMAND_RUNTIME),
                // Nothing of a program that has no such setting.
                _ if experiment.kind.is_command() => words(name, ""),
                ("model", _) => {
                    let models: Vec<Value> =
                        spec.agents().iter().map(|agent| agent.model.clone().into()).collect();
                    let models: Vec<&Value> = models.iter().collect();
                    NamedLevel::of_values(name, &models).unwrap_or_else(|| words(name, ""))
                }
                ("max_tokens", _) => {
                    let limit = experiment.settings.max_tokens;
                    let limit = limit.map_or(Level::Default, |limit| Level::Number(limit.into()));
                    NamedLevel::new(name, &limit)
                }
                ("scenario", _) => words(name, ""),
                _ => NamedLevel::new(name, &Level::Default),
            });
        }
        for name in self.further_factors() {
            // Of a control only the options of its own agent are what they are.
            let level = level(name).filter(|_| alone.is_none() || !factor::is_option(name));
            factors.push(match level {
                Some(level) if *level != Level::Default => NamedLevel::new(name, level),
                _ => set_option(spec, name)
                    .and_then(|value| NamedLevel::of_values(name, &[value]))
                    .unwrap_or_else(|| NamedLevel::new(name, &Level::Default)),
            });
        }
        if self.has_replicas() {
            let replica = if self.is_replica(cell) { identity::REPLICA } else { 1 };
            factors.push(NamedLevel::new("replica", &Level::Number(f64::from(replica))));
        }
        factors
    }

    /// Factors that some experiment varies or fixes, beyond those that every cell has.
    fn further_factors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for experiment in &self.study.experiments {
            for name in experiment.axes.keys().chain(experiment.fixed.keys()) {
                let common = COMMON.contains(&name.as_str());
                if !common && !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
    }
}

/// The value that the agents' own options give an option, if they agree on one.
pub(super) fn set_option<'s>(spec: &'s CellSpec, name: &str) -> Option<&'s Value> {
    if !factor::is_option(name) {
        return None;
    }
    let (agent, name) = match name.split_once('.') {
        Some((agent, name)) => (Some(agent), name),
        None => (None, name),
    };
    let addressed = spec.agents().iter().filter(|own| agent.is_none_or(|agent| own.name == agent));
    let mut values = addressed.filter_map(|agent| agent.options.get(name));
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
