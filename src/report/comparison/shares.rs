//! In what share of the runs a metric lies beyond a bound, such as the rate of contention.

use serde::Serialize;

use super::success::{interval, share};
use super::{ComparisonError, axis, experiment};
use crate::manifest::sign::Sign;
use crate::metrics::MetricInfo;
use crate::report::completeness::fresh;
use crate::report::data::{Data, NamedLevel};
use crate::report::select::{Selection, value};

/// Runs of one group of cells. The interval takes the runs for independent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareRow {
    /// Of the axes that group the cells; empty: all selected cells.
    pub levels: Vec<NamedLevel>,
    pub cells: usize,
    /// Runs that are stored and not stale.
    pub runs: usize,
    /// Runs in which the metric is known.
    pub n: usize,
    pub beyond: usize,
    pub share: Option<f64>,
    /// Wilson's.
    pub ci: Option<[f64; 2]>,
}

/// The sign of a template; a share of runs that equal a number is asked for by no name.
pub fn sign(text: &str) -> Result<Sign, ComparisonError> {
    let known = [Sign::Less, Sign::AtMost, Sign::More, Sign::AtLeast];
    let found = known.into_iter().find(|sign| sign.written() == text);
    found.ok_or_else(|| ComparisonError::UnknownSign { sign: text.to_owned() })
}

/// One row per combination of the levels of `axes`, in the order of the matrix; one row without axes.
pub fn shares<'a>(
    data: &'a Data,
    metric: &MetricInfo<'_>,
    sign: Sign,
    bound: f64,
    axes: &[String],
    selection: &Selection<'a>,
) -> Result<Vec<ShareRow>, ComparisonError> {
    if !axes.is_empty() {
        let experiment = experiment(selection, "a grouping by axes")?;
        for name in axes {
            axis(experiment, name)?;
        }
    }
    let mut rows: Vec<ShareRow> = Vec::new();
    for cell in super::measured::measured(data, selection, metric) {
        let levels: Vec<NamedLevel> = axes
            .iter()
            .filter_map(|name| cell.levels.iter().find(|level| level.name == *name).cloned())
            .collect();
        let place = rows.iter().position(|row| row.levels == levels).unwrap_or_else(|| {
            let (share, ci) = (None, None);
            rows.push(ShareRow { levels, cells: 0, runs: 0, n: 0, beyond: 0, share, ci });
            rows.len() - 1
        });
        let row = &mut rows[place];
        row.cells += 1;
        for run in cell.cells.iter().copied().flat_map(fresh) {
            row.runs += 1;
            if let Some(value) = value(run, metric.name) {
                row.n += 1;
                row.beyond += usize::from(sign.holds(value, bound));
            }
        }
    }
    for row in &mut rows {
        (row.share, row.ci) = (share(row.beyond, row.n), interval(row.beyond, row.n));
    }
    Ok(rows)
}
