//! Which runs a figure of a report is about: an experiment, levels of factors, a metric.
//!
//! A name that does not exist and a selection without runs are errors, never an empty answer: prose
//! that drifted from the manifest must not render.

use super::completeness::fresh;
use super::data::{Cell, Data, Experiment, NamedLevel};
use crate::cells::Wanted;
use crate::metrics::{self, DeclaredMetric, MetricInfo};
use crate::stats::Sample;
use crate::store::record::RunRecord;

/// The kwarg that names an experiment; all others name factors.
pub const EXPERIMENT: &str = "experiment";

/// Cells that match, with what was asked for in words.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    pub experiment: Option<&'a Experiment>,
    /// In the order of the experiment's matrix, or of the plan.
    pub cells: Vec<&'a Cell>,
    pub said: String,
}

/// A selection that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("there is no metric `{name}`{hint} (`runner schema metrics` lists them)")]
    UnknownMetric { name: String, hint: String },
    #[error("there is no experiment `{name}`{hint}")]
    UnknownExperiment { name: String, hint: String },
    #[error("there is no axis or factor `{name}`{hint}")]
    UnknownFactor { name: String, hint: String },
    #[error("no cell matches {said}; levels of `{factor}` there: {levels}")]
    NoCell { said: String, factor: String, levels: String },
    #[error("no data: {said} selects {cells} cell(s) with 0 of {planned} runs")]
    NoRuns { said: String, cells: usize, planned: u32 },
    #[error("`{metric}` is unknown in all {runs} runs of {said}")]
    NoValues { metric: String, said: String, runs: usize },
}

/// The metric of that name.
pub fn metric<'a>(data: &'a Data, name: &str) -> Result<MetricInfo<'a>, SelectError> {
    metric_of(&data.declared, name)
}

/// The metric of that name, of the catalogue or one of these.
pub fn metric_of<'a>(
    declared: &'a [DeclaredMetric],
    name: &str,
) -> Result<MetricInfo<'a>, SelectError> {
    metrics::find(declared, name).ok_or_else(|| SelectError::UnknownMetric {
        name: name.to_owned(),
        hint: nearest(name, metrics::all(declared).map(|info| info.name)),
    })
}

/// Cells of an experiment (`None`: of all) with these levels. Controls are never among them: they
/// interpret the others.
pub fn cells<'a>(
    data: &'a Data,
    experiment: Option<&str>,
    wanted: &[(String, Wanted)],
) -> Result<Selection<'a>, SelectError> {
    let said = said(experiment, wanted);
    let experiment = experiment.map(|name| find_experiment(data, name)).transpose()?;
    let mut cells: Vec<&Cell> = match experiment {
        Some(experiment) => experiment.cells.iter().map(|own| &data.cells[own.cell]).collect(),
        None => data.cells.iter().filter(|cell| !cell.control).collect(),
    };
    for (name, level) in wanted {
        let there: Vec<&NamedLevel> =
            cells.iter().flat_map(|cell| &cell.factors).filter(|own| own.name == *name).collect();
        if there.is_empty() {
            let known = cells.iter().flat_map(|cell| &cell.factors).map(|own| own.name.as_str());
            let hint = nearest(name, known);
            return Err(SelectError::UnknownFactor { name: name.clone(), hint });
        }
        if !there.iter().any(|own| level.matches(own)) {
            let mut levels: Vec<&str> = Vec::new();
            for own in there {
                if !levels.contains(&own.text.as_str()) {
                    levels.push(&own.text);
                }
            }
            let levels = levels.join(", ");
            return Err(SelectError::NoCell { said, factor: name.clone(), levels });
        }
        cells.retain(|cell| cell.factors.iter().any(|own| own.name == *name && level.matches(own)));
    }
    Ok(Selection { experiment, cells, said })
}

impl<'a> Selection<'a> {
    /// All cells of an experiment.
    #[must_use]
    pub fn whole(data: &'a Data, experiment: &'a Experiment) -> Self {
        let cells = experiment.cells.iter().map(|own| &data.cells[own.cell]).collect();
        Selection { experiment: Some(experiment), cells, said: experiment.name.clone() }
    }

    /// The runs that statistics may use; none is an error.
    pub fn runs(&self) -> Result<Vec<(&'a Cell, &'a RunRecord)>, SelectError> {
        let runs: Vec<_> = self
            .cells
            .iter()
            .copied()
            .flat_map(|cell| fresh(cell).map(move |run| (cell, run)))
            .collect();
        if runs.is_empty() {
            return Err(SelectError::NoRuns {
                said: self.said.clone(),
                cells: self.cells.len(),
                planned: self.cells.iter().map(|cell| cell.planned()).sum(),
            });
        }
        Ok(runs)
    }

    /// The metric's known values, one per run; none is an error.
    pub fn sample(&self, metric: &MetricInfo<'_>) -> Result<Sample, SelectError> {
        let runs = self.runs()?;
        let values = runs.iter().filter_map(|(_, run)| value(run, metric.name)).collect();
        Sample::new(values).map_err(|_| SelectError::NoValues {
            metric: metric.name.to_owned(),
            said: self.said.clone(),
            runs: runs.len(),
        })
    }
}

/// A run's value of a metric, if it is known.
#[must_use]
pub fn value(run: &RunRecord, metric: &str) -> Option<f64> {
    run.metrics.get(metric).copied().flatten().filter(|value| value.is_finite())
}

fn find_experiment<'a>(data: &'a Data, name: &str) -> Result<&'a Experiment, SelectError> {
    data.experiments.iter().find(|experiment| experiment.name == name).ok_or_else(|| {
        SelectError::UnknownExperiment {
            name: name.to_owned(),
            hint: nearest(name, data.experiments.iter().map(|own| own.name.as_str())),
        }
    })
}

fn said(experiment: Option<&str>, wanted: &[(String, Wanted)]) -> String {
    let parts: Vec<String> = experiment
        .map(|name| format!("{EXPERIMENT} = \"{name}\""))
        .into_iter()
        .chain(wanted.iter().map(|(name, level)| format!("{name} = {level}")))
        .collect();
    if parts.is_empty() { "the whole study".to_owned() } else { parts.join(", ") }
}

/// `; did you mean …?`, or nothing when no name is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= 1 + other.len() / 3)
        .min()
        .map_or_else(String::new, |(_, other)| format!("; did you mean `{other}`?"))
}
