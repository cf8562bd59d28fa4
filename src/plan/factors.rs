//! The factors of a cell in words: the columns of exports and tables.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::spec::COMMAND_RUNTIME;
use super::{CellSpec, Plan, identity};
use crate::manifest::factor;
use crate::manifest::study::Level;

/// The factors that stand in every table, whether a study varies them or not.
const COMMON: [&str; 7] =
    ["runtime", "scenario", "model", "read_buffer", "throttle", "max_tokens", "concurrency"];

impl Plan {
    /// All factors of a cell under their names, normalised and readable (`throttle` → `60 tok/s`,
    /// `read_buffer` → `64 KiB`, a default → `default`): the factor columns of exports and tables.
    #[must_use]
    pub fn factors(&self, cell: u32) -> Vec<(String, String)> {
        self.factors_with(cell, &IndexMap::new(), &self.spec(cell))
    }

    /// As [`Plan::factors`], with some levels changed and what the cell is then.
    pub(super) fn factors_with(
        &self,
        cell: u32,
        changed: &IndexMap<String, Level>,
        spec: &CellSpec,
    ) -> Vec<(String, String)> {
        let (index, row) = self.home(cell);
        let experiment = &self.study.experiments[index];
        let changed = changed.iter().map(|(name, level)| (name.as_str(), level));
        let levels: HashMap<&str, &Level> =
            self.matrices[index].levels(row).chain(changed).collect();
        let level = |name: &str| levels.get(name).copied().or_else(|| experiment.fixed.get(name));
        let alone = self.solo_agent(cell);
        let mut factors: Vec<(String, String)> = Vec::new();
        for name in COMMON {
            let shown = match (name, level(name)) {
                ("scenario", _) if alone.is_some() => {
                    format!("{} alone", alone.unwrap_or_default())
                }
                ("concurrency", _) if alone.is_some() => "1".to_owned(),
                (_, Some(level)) if *level != Level::Default => factor::show(name, level),
                ("runtime", _) if experiment.kind.is_command() => COMMAND_RUNTIME.to_owned(),
                // Nothing of a program that has no such setting.
                _ if experiment.kind.is_command() => String::new(),
                ("model", _) => models(spec),
                ("max_tokens", _) => experiment
                    .settings
                    .max_tokens
                    .map_or_else(|| "default".to_owned(), |limit| limit.to_string()),
                ("scenario", _) => String::new(),
                _ => factor::show(name, &Level::Default),
            };
            factors.push((name.to_owned(), shown));
        }
        for name in self.further_factors() {
            // Of a control only the options of its own agent are what they are.
            let level = level(name).filter(|_| alone.is_none() || !factor::is_option(name));
            let shown = match level {
                Some(level) if *level != Level::Default => factor::show(name, level),
                _ => set_option(spec, name).unwrap_or_else(|| factor::show(name, &Level::Default)),
            };
            factors.push((name.to_owned(), shown));
        }
        if self.has_replicas() {
            let replica = if self.is_replica(cell) { identity::REPLICA } else { 1 };
            factors.push(("replica".to_owned(), replica.to_string()));
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

/// The models of a cell's agents, without repetition.
fn models(spec: &CellSpec) -> String {
    let mut models: Vec<&str> = Vec::new();
    for agent in spec.agents() {
        if !models.contains(&agent.model.as_str()) {
            models.push(&agent.model);
        }
    }
    models.join(" + ")
}

/// The value that the agents' own options give an option, if they agree on one.
pub(super) fn set_option(spec: &CellSpec, name: &str) -> Option<String> {
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
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    values.all(|value| value == first).then(|| text(first))
}
