//! The runs that a selection of cells gives, and what of them is missing.

use crate::cells::NamedLevel;
use crate::manifest::criterion::Cells;
use crate::metrics::{self, DeclaredMetric};
use crate::stats::{self, OutlierRule, Sample, SampleError, outliers};
use crate::store::record::RunRecord;
use crate::store::{self, staleness};

/// A cell of an experiment with the runs that may be judged by.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// 8 hex digits.
    pub id: &'a str,
    /// Readable.
    pub name: &'a str,
    /// On the experiment's axes, and what is fixed for all of its cells.
    pub levels: Vec<NamedLevel>,
    pub planned: u32,
    /// Of the planned repeats, those that were neither made nor tried yet.
    pub open: Vec<u32>,
    /// Finished, measured under one set of circumstances.
    pub runs: Vec<&'a RunRecord>,
    /// Runs that were left out because they were measured under other circumstances.
    pub stale: usize,
    /// Of each attempt that failed its repeat, those not counted that the user abandoned or the program itself spoilt.
    pub failed: Vec<u32>,
}

/// One run's value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datum<'a> {
    pub cell: &'a Cell<'a>,
    pub run: &'a RunRecord,
    pub value: f64,
}

impl Cell<'_> {
    fn newest(&self) -> Option<&RunRecord> {
        self.runs.iter().copied().max_by_key(|run| (&run.finished, run.repeat))
    }
}

impl Datum<'_> {
    /// `<id8>/<repeat>`.
    pub fn run_id(&self) -> String {
        format!("{}/{}", self.cell.id, self.run.repeat)
    }
}

/// The cells of a selection, each with at least one run; else the reason why not.
pub(super) fn select<'a>(
    cells: &'a [Cell<'a>],
    wanted: &Cells,
) -> Result<Vec<&'a Cell<'a>>, String> {
    let selected: Vec<&Cell> = cells.iter().filter(|cell| wanted.select(&cell.levels)).collect();
    if selected.is_empty() {
        return Err("no cell of the plan is selected".to_owned());
    }
    let without: Vec<&&Cell> = selected.iter().filter(|cell| cell.runs.is_empty()).collect();
    let Some(first) = without.first() else { return Ok(selected) };
    let why = match first.failed.len() {
        0 => String::new(),
        failed => format!("; {failed} attempt(s) failed"),
    };
    let more = match without.len() {
        1 => String::new(),
        n => format!(", and {} other cell(s) have no runs either", n - 1),
    };
    Err(format!("cell {} ({}) has 0 of {} runs{why}{more}", first.name, first.id, first.planned))
}

/// Fails unless the cells were measured under the circumstances of the newest run among them, as far as
/// those are known and the cells do not ask for different ones: a difference between two machines is none
/// between their cells.
pub(super) fn same_circumstances(cells: &[&Cell]) -> Result<(), String> {
    let finished = |cell: &Cell| cell.newest().map(|run| (run.finished.clone(), run.repeat));
    let Some(last) = cells.iter().max_by_key(|cell| finished(cell)) else { return Ok(()) };
    let Some(now) = last.newest() else { return Ok(()) };
    for cell in cells {
        let differences =
            cell.newest().map_or_else(Vec::new, |run| staleness(&run.evidence, &now.evidence));
        if !differences.is_empty() {
            return Err(format!(
                "cells {} ({}) and {} ({}) were measured under different circumstances: {}",
                cell.name,
                cell.id,
                last.name,
                last.id,
                differences.join("; ")
            ));
        }
    }
    Ok(())
}

/// What imported runs recorded that is not the same on both sides, although no level of the cells says so.
pub(super) fn recorded_differences(ones: &[&Cell], others: &[&Cell]) -> Vec<String> {
    fn runs<'a>(cells: &[&'a Cell<'a>]) -> impl Iterator<Item = &'a RunRecord> {
        cells.iter().flat_map(|cell| cell.runs.iter().copied())
    }
    let differences = store::recorded_differences(runs(ones), runs(others));
    differences.iter().map(ToString::to_string).collect()
}

/// The values of a metric that are known; none is a reason.
pub(super) fn values<'a>(
    cells: &[&'a Cell<'a>],
    metric: &str,
    declared: &[DeclaredMetric],
) -> Result<Vec<Datum<'a>>, String> {
    if metrics::find(declared, metric).is_none() {
        return Err(format!("this version computes no metric `{metric}`"));
    }
    let known = |run: &RunRecord| {
        run.metrics.get(metric).copied().flatten().filter(|value| value.is_finite())
    };
    let mut values = Vec::new();
    let mut runs = 0;
    for cell in cells {
        runs += cell.runs.len();
        for &run in &cell.runs {
            values.extend(known(run).map(|value| Datum { cell, run, value }));
        }
    }
    if values.is_empty() {
        return Err(format!("`{metric}` is unknown in all {runs} run(s)"));
    }
    Ok(values)
}

/// How the runs of a cell become its one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Center {
    Arithmetic,
    /// Where all values of both sides are above 0.
    Geometric,
}

/// One value per cell, in the order of the cells; cells without a known value are left out.
pub(super) fn centers<'a>(values: &[Datum<'a>], center: Center) -> Result<Vec<Datum<'a>>, String> {
    let mut centers = Vec::new();
    // the values of a cell stand together
    for own in values.chunk_by(|a, b| a.cell.id == b.cell.id) {
        let sample = sample(own)?;
        let value = match center {
            Center::Arithmetic => sample.mean(),
            Center::Geometric => stats::geometric_mean(&sample).unwrap_or_else(|| sample.mean()),
        };
        centers.push(Datum { value, ..own[0] });
    }
    Ok(centers)
}

/// Values as a sample; what is too large for arithmetic is a reason.
pub(super) fn sample(values: &[Datum]) -> Result<Sample, String> {
    Sample::new(values.iter().map(|value| value.value).collect()).map_err(|error| match error {
        SampleError::TooLarge { index } | SampleError::NotFinite { index } => {
            let value = values[index];
            format!(
                "run {} has {}, which is too large to compute with",
                value.run_id(),
                value.value
            )
        }
        SampleError::Empty => error.to_string(),
    })
}

/// What is not there although the judgement goes on, and values far from the others.
pub(super) fn notes(cells: &[&Cell], metric: &str, values: &[Datum]) -> Vec<String> {
    let mut notes = missing(cells, metric, values.len());
    notes.extend(outlier_notes(metric, values));
    notes
}

/// Planned runs that do not count, and those of the others in which the metric is unknown; it is known in so many.
pub(super) fn missing(cells: &[&Cell], metric: &str, known: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let (planned, runs): (u32, usize) = (
        cells.iter().map(|cell| cell.planned).sum(),
        cells.iter().map(|cell| cell.runs.len()).sum(),
    );
    if runs < planned as usize {
        let stale: usize = cells.iter().map(|cell| cell.stale).sum();
        let of_them = if stale > 0 { format!(" ({stale} stale)") } else { String::new() };
        notes.push(format!("{runs} of {planned} planned runs count{of_them}"));
    }
    if known < runs {
        let unknown = runs - known;
        notes
            .push(format!("`{metric}` is unknown in {unknown} of {runs} runs, which are left out"));
    }
    notes
}

/// With so many digits: what a person compares.
pub(super) fn short(value: f64, digits: usize) -> String {
    let decimals = digits.saturating_sub(1);
    format!("{value:.decimals$e}").parse::<f64>().unwrap_or(value).to_string()
}

/// Of values in words.
pub(super) const DIGITS: usize = 6;
/// Fewer values than these have no others to be far from.
const FEWEST: usize = 4;

pub(super) fn outlier_notes(metric: &str, values: &[Datum]) -> Vec<String> {
    let mut notes = Vec::new();
    // the values of a cell stand together
    for own in values.chunk_by(|a, b| a.cell.id == b.cell.id) {
        let Ok(sample) = Sample::new(own.iter().map(|value| value.value).collect()) else {
            continue;
        };
        if own.len() < FEWEST {
            continue;
        }
        // among equal values any other would be an outlier
        let equal = sample.median_absolute_deviation() == 0.0;
        let median = sample.median();
        for index in outliers(&sample, OutlierRule::SCALED) {
            let value = own[index].value;
            if !equal || (value - median).abs() > median.abs() {
                notes.push(format!(
                    "outlier, kept: run {} has {metric} {}, more than 3.5 scaled MAD from the median \
                     of its cell, {} (of {} clean normal runs the rule flags one or more in {} % of cells)",
                    own[index].run_id(),
                    short(value, DIGITS),
                    short(median, DIGITS),
                    own.len(),
                    short(100.0 * stats::flag_rates(OutlierRule::SCALED, own.len()).per_sample, 2),
                ));
            }
        }
    }
    notes
}
