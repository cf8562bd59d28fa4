//! Every cell against its replica (the control `aa`): what is measured where nothing differs.
//!
//! The rules are those of the other tables, so that what is called a difference here is what they would
//! have called one: the study's own noise.

use serde::Serialize;

use super::contrast::{Contrast, Judgement, judge};
use super::family::FamilyOf;
use super::measured::{Comparer, Measured};
use crate::metrics::MetricInfo;
use crate::report::cell_table::main_metrics;
use crate::report::data::{Cell, Data, Experiment};
use crate::report::select::Selection;

/// One metric of one cell; differences are the replica's minus the cell's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicaRow {
    pub metric: String,
    pub unit: String,
    /// `<id8>`.
    pub cell: String,
    pub name: String,
    pub planned: u32,
    /// Runs in which the metric is known.
    pub n: usize,
    pub mean: Option<f64>,
    /// `<id8>`.
    pub replica: String,
    pub replica_n: usize,
    pub replica_mean: Option<f64>,
    #[serde(flatten)]
    pub contrast: Contrast,
}

/// The main metrics of an experiment's cells against their replicas.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicaTable {
    pub rows: Vec<ReplicaRow>,
    /// Comparisons that could be made.
    pub compared: usize,
    /// Of these, those that would have been called a difference.
    pub told_apart: usize,
}

/// The metrics that a reader sees first; one family, as what the other tables show is. Empty without the
/// control.
pub fn table(data: &Data, selection: &Selection<'_>) -> ReplicaTable {
    let metrics = main_metrics(data, selection).0;
    let rows: Vec<ReplicaRow> = selection
        .experiment
        .map(|experiment| judged(data, experiment, &metrics, FamilyOf::Table))
        .unwrap_or_default();
    let count =
        |of: fn(Judgement) -> bool| rows.iter().filter(|row| of(row.contrast.judgement)).count();
    ReplicaTable {
        compared: count(|judgement| judgement != Judgement::NotDefined),
        told_apart: count(|judgement| matches!(judgement, Judgement::Higher | Judgement::Lower)),
        rows,
    }
}

/// These metrics: those of [`table`], judged as there, and the others as a family of their own.
pub fn all(data: &Data, selection: &Selection<'_>, known: Vec<MetricInfo<'_>>) -> Vec<ReplicaRow> {
    let Some(experiment) = selection.experiment else { return Vec::new() };
    let shown = main_metrics(data, selection).0;
    let (shown, others): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|metric| shown.iter().any(|own| own.name == metric.name));
    let mut rows = judged(data, experiment, &shown, FamilyOf::Table);
    rows.extend(judged(data, experiment, &others, FamilyOf::Everything));
    rows
}

/// Metric by metric in the order of the matrix, adjusted together.
fn judged(
    data: &Data,
    experiment: &Experiment,
    metrics: &[MetricInfo<'_>],
    of: FamilyOf,
) -> Vec<ReplicaRow> {
    let comparer = Comparer::new(data);
    let mut rows: Vec<ReplicaRow> = metrics
        .iter()
        .flat_map(|metric| {
            let pairs = experiment.replicas.iter();
            pairs.map(|(cell, replica)| {
                row(&comparer, &data.cells[*cell], &data.cells[*replica], metric)
            })
        })
        .collect();
    // no direction is an improvement where nothing differs
    let mut family: Vec<_> = rows.iter_mut().map(|row| (None, &mut row.contrast)).collect();
    judge(of, &mut family);
    rows
}

fn row(
    comparer: &Comparer<'_>,
    cell: &Cell,
    replica: &Cell,
    metric: &MetricInfo<'_>,
) -> ReplicaRow {
    let own = Measured::new(cell, &cell.factors, metric);
    let again = Measured::new(replica, &replica.factors, metric);
    let mean = |of: &Measured<'_>| Some(of.sample()?.mean());
    ReplicaRow {
        metric: metric.name.to_owned(),
        unit: metric.unit.to_owned(),
        cell: cell.short().to_owned(),
        name: cell.name.clone(),
        planned: cell.planned(),
        n: own.n(),
        mean: mean(&own),
        replica: replica.short().to_owned(),
        replica_n: again.n(),
        replica_mean: mean(&again),
        contrast: comparer.contrast(&again, &own),
    }
}
