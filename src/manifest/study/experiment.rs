//! An experiment: a matrix and what to run for each of its cells.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Control, Defaults, Fallback, Hypothesis, Probes};
use crate::corpus;
use crate::manifest::command::{Command, Pick};
use crate::manifest::import::Import;

/// A named part of a study: a matrix and what to run for each of its cells.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub name: String,
    pub title: Option<String>,
    pub kind: ExperimentKind,
    pub settings: Defaults,
    /// Factors fixed for the whole experiment (`runtime = "python"`), by factor name.
    pub fixed: IndexMap<String, Level>,
    /// Axes in the order of the manifest, labels among them.
    pub axes: IndexMap<String, Vec<Level>>,
    /// Axes that tell cells apart and that comparisons do not look at.
    pub labels: Vec<String>,
    /// The cells where they are listed and not multiplied.
    pub listed: Option<Vec<ListedCell>>,
    pub zip: Vec<Vec<String>>,
    pub exclude: Vec<IndexMap<String, Level>>,
    pub include: Vec<IndexMap<String, Level>>,
    pub overrides: Vec<Override>,
    pub probes: Probes,
    pub controls: Vec<Control>,
    pub baseline: IndexMap<String, Level>,
    pub hypotheses: Vec<Hypothesis>,
    pub fallback: Fallback,
    /// Line of the experiment's header in the manifest, from 1.
    pub line: usize,
}

/// What a cell of an experiment does.
#[derive(Debug, Clone, PartialEq)]
pub enum ExperimentKind {
    /// Agents of a scenario call endpoints.
    Scenario,
    Tokenize(Tokenize),
    /// A program of the user's runs.
    Command(Box<Command>),
    /// Nothing runs: its runs are read from earlier results.
    Import(Arc<Import>),
}

/// A cell of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedCell {
    /// One for each axis, in their order.
    pub levels: Vec<Level>,
    /// In place of the experiment's.
    pub repeats: Option<u32>,
}

impl ExperimentKind {
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self, ExperimentKind::Command(_))
    }

    #[must_use]
    pub fn is_import(&self) -> bool {
        self.import().is_some()
    }

    /// The earlier results, where nothing runs.
    #[must_use]
    pub fn import(&self) -> Option<&Import> {
        match self {
            ExperimentKind::Import(import) => Some(import),
            ExperimentKind::Scenario | ExperimentKind::Tokenize(_) | ExperimentKind::Command(_) => {
                None
            }
        }
    }

    /// Whether any name may be an axis: it acts on nothing that the program does itself.
    #[must_use]
    pub fn has_free_axes(&self) -> bool {
        self.is_command() || self.is_import()
    }
}

impl Experiment {
    /// The metrics that it picks from files.
    #[must_use]
    pub fn picks(&self) -> &[Pick] {
        match &self.kind {
            ExperimentKind::Command(command) => &command.metrics,
            ExperimentKind::Scenario | ExperimentKind::Tokenize(_) | ExperimentKind::Import(_) => {
                &[]
            }
        }
    }
}

/// A tokenizer experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenize {
    /// Of the cells whose factor `corpus` names no other.
    pub corpus: corpus::Source,
    /// Measured passes.
    pub iterations: u32,
}

/// Levels that are changed in the cells that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub when: IndexMap<String, Level>,
    pub set: IndexMap<String, Level>,
    /// In place of the experiment's.
    pub repeats: Option<u32>,
}

/// One value of a factor, normalised (`"64 KiB"` = `65536`).
#[derive(Debug, Clone)]
pub enum Level {
    /// The factor's default: left out of identity.
    Default,
    Text(String),
    /// In the factor's base unit: bytes, tokens/s, seconds, a plain number.
    Number(f64),
    /// A number of a command's axis that is written in another way than it is shown: `3.10`, `1e-5`. The
    /// command gets it as it is written, and it is the same level as the number.
    Written {
        number: f64,
        text: String,
    },
    Bool(bool),
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Level::Default, Level::Default) => true,
            (Level::Text(one), Level::Text(other)) => one == other,
            (Level::Bool(one), Level::Bool(other)) => one == other,
            _ => self.number().is_some_and(|number| Some(number) == other.number()),
        }
    }
}

impl Level {
    /// A number, however it is written.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Level::Number(number) | Level::Written { number, .. } => Some(*number),
            Level::Default | Level::Text(_) | Level::Bool(_) => None,
        }
    }

    /// As JSON; a number that is whole is an integer, and the default is null.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match self {
            Level::Default => serde_json::Value::Null,
            Level::Text(text) => text.clone().into(),
            Level::Bool(truth) => (*truth).into(),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Level::Number(number) | Level::Written { number, .. }
                if number.fract() == 0.0 && number.abs() < 9e15 =>
            {
                (*number as i64).into()
            }
            Level::Number(number) | Level::Written { number, .. } => (*number).into(),
        }
    }
}
