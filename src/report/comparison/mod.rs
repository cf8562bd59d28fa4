//! Cells against cells: against the baseline, in a ranking, as winners, on a frontier.
//!
//! Everything is computed from given runs. The tables explore: no hypothesis was declared for what they
//! compare, so all comparisons of an experiment are one [`family`] of tests, and only the p that is adjusted
//! over it calls one cell better than another. What cannot be tested says why. Statistics are [`crate::stats`]'; how a table looks is left
//! to the templates.

pub(super) mod baseline;
pub mod contrast;
pub mod family;
mod frontier;
pub mod functions;
pub(super) mod measured;
pub(super) mod normalised;
pub(super) mod ranking;
pub(super) mod replicas;
mod shares;
#[doc(hidden)]
pub(super) mod success;
#[cfg(test)]
mod tests;
mod winners;

pub use frontier::unbeaten;

use super::data::{Experiment, NamedLevel};
use super::select::Selection;
use crate::metrics::{Better, MetricInfo};

/// A comparison that the study does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComparisonError {
    #[error("{what} needs one experiment: add experiment = \"…\"")]
    NoExperiment { what: &'static str },
    #[error(
        "experiment `{experiment}` has no baseline: declare one in the manifest, or give its levels \
         as the second argument, {{\"axis\": \"level\"}}"
    )]
    NoBaseline { experiment: String },
    #[error("experiment `{experiment}` has no axis `{axis}`; its axes: {known}")]
    UnknownAxis { experiment: String, axis: String, known: String },
    #[error(
        "axis `{axis}` of experiment `{experiment}` has no level `{level}`; its levels: {known}"
    )]
    UnknownLevel { experiment: String, axis: String, level: String, known: String },
    #[error("axis `{axis}` is given twice")]
    AxisTwice { axis: String },
    #[error("the boxes are those of one axis or of two, not of {found}")]
    Boxes { found: usize },
    #[error(
        "no direction of `{metric}` is an improvement: say which wins with \"higher\" or \"lower\" as \
         the last argument before the selection"
    )]
    NoDirection { metric: String },
    #[error("`{word}` is no direction: write \"higher\" or \"lower\"")]
    UnknownDirection { word: String },
    #[error("`{sign}` compares nothing: write \"<\", \"<=\", \">\" or \">=\"")]
    UnknownSign { sign: String },
}

/// The experiment that a selection names.
fn experiment<'a>(
    selection: &Selection<'a>,
    what: &'static str,
) -> Result<&'a Experiment, ComparisonError> {
    selection.experiment.ok_or(ComparisonError::NoExperiment { what })
}

/// The axis of that name, or an error that lists those that there are.
fn axis<'a>(
    experiment: &'a Experiment,
    name: &str,
) -> Result<&'a super::data::Axis, ComparisonError> {
    experiment.axes.iter().find(|axis| axis.name == name).ok_or_else(|| {
        let known: Vec<&str> = experiment.axes.iter().map(|axis| axis.name.as_str()).collect();
        ComparisonError::UnknownAxis {
            experiment: experiment.name.clone(),
            axis: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// The text of a cell's level on an axis.
fn text_of<'a>(levels: &'a [NamedLevel], axis: &str) -> Option<&'a str> {
    levels.iter().find(|level| level.name == axis).map(|level| level.text.as_str())
}

/// The direction in which a metric is better: as asked for, or as the catalogue has it.
pub(super) fn direction(
    metric: &MetricInfo<'_>,
    word: Option<&str>,
) -> Result<Better, ComparisonError> {
    match word {
        Some("higher") => Ok(Better::Higher),
        Some("lower") => Ok(Better::Lower),
        Some(word) => Err(ComparisonError::UnknownDirection { word: word.to_owned() }),
        None => {
            metric.better.ok_or(ComparisonError::NoDirection { metric: metric.name.to_owned() })
        }
    }
}

/// Whether `a` comes before `b` in a direction.
fn ahead(better: Better, a: f64, b: f64) -> bool {
    match better {
        Better::Higher => a > b,
        Better::Lower => a < b,
    }
}
