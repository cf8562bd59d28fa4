//! Up to which load a metric stays under a limit.

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, NamedLevel};
use super::select::{Selection, value};
use crate::metrics::MetricInfo;
use crate::stats::Sample;

/// Where a metric's mean leaves a limit as the load grows. Cells of which it is unknown are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceiling {
    /// The largest load at which, and below which, every cell is under the limit; `None`: none is.
    pub load: Option<f64>,
    /// The largest load of all cells that know the metric.
    pub measured: Option<f64>,
    /// The cell with the smallest load that is not under the limit; of several the worst.
    pub over: Option<Over>,
}

/// A cell that is not under the limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Over {
    pub load: f64,
    pub mean: f64,
    /// Its levels of the factors that make up the load.
    pub levels: Vec<NamedLevel>,
}

/// The load of a cell is the product of its levels of these factors. The error is the name of one
/// that is not a number in every cell.
pub fn ceiling(
    selection: &Selection<'_>,
    metric: &MetricInfo,
    limit: f64,
    factors: &[String],
) -> Result<Ceiling, String> {
    let mut points: Vec<Over> = Vec::new();
    for cell in &selection.cells {
        let levels = levels(cell, factors)?;
        let values = fresh(cell).filter_map(|run| value(run, metric.name)).collect();
        if let Ok(sample) = Sample::new(values) {
            let load = levels.iter().filter_map(|level| level.number).product();
            points.push(Over { load, mean: sample.mean(), levels });
        }
    }
    let by_load = |a: &f64, b: &f64| a.total_cmp(b);
    let measured = points.iter().map(|point| point.load).max_by(by_load);
    let over = points
        .iter()
        .filter(|point| point.mean >= limit)
        .min_by(|a, b| a.load.total_cmp(&b.load).then(b.mean.total_cmp(&a.mean)))
        .cloned();
    let under = points
        .iter()
        .map(|point| point.load)
        .filter(|load| over.as_ref().is_none_or(|over| *load < over.load));
    Ok(Ceiling { load: under.max_by(by_load), measured, over })
}

fn levels(cell: &Cell, factors: &[String]) -> Result<Vec<NamedLevel>, String> {
    let level = |name: &String| {
        let own = cell.factors.iter().find(|own| own.name == *name && own.number.is_some());
        own.cloned().ok_or_else(|| name.clone())
    };
    factors.iter().map(level).collect()
}
