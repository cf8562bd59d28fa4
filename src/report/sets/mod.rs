//! Two sets of results against each other: two machines, two days, two versions.
//!
//! Needs no manifest: what is compared are stored runs, cell by cell. How the circumstances differ is
//! part of the answer, and comes first. Runs of two sets are never pairs, so every test is Welch's;
//! of times, rates and costs on the logarithm.

mod asked;
mod evidence;
mod folder;
mod matching;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::Serialize;

pub use asked::AskedDifference;
pub use evidence::Difference;
pub use folder::{ResultSet, SetCell};
pub use matching::By;

use super::cell_table::{main_metrics_of, measurement_error_of};
use super::comparison::contrast::{Contrast, Yardstick, judge};
use super::comparison::family::FamilyOf;
use super::select::{self, SelectError, value};
use crate::cells::{FilterError, Filters};
use crate::metrics::{self, Better, Clock, DeclaredMetric, MetricInfo, Scope};
use crate::stats::Sample;
use crate::store::StoreError;
use crate::store::record::RunRecord;

/// The version of the JSON of a [`Comparison`].
pub const FORMAT: u32 = 1;

/// Two folders that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SetsError {
    #[error("{path} is not a folder")]
    NotAFolder { path: String },
    #[error("{path} is no folder of results: it has neither runs nor a plan.json{hint}")]
    NotResults { path: String, hint: String },
    #[error("{path} has no sealed run")]
    NoRuns { path: String },
    #[error(
        "{a} and {b} have nothing in common: no cell of {cells_a} and {cells_b} has {what}{hint}"
    )]
    NothingInCommon {
        a: String,
        b: String,
        cells_a: usize,
        cells_b: usize,
        what: &'static str,
        hint: String,
    },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Metric(#[from] SelectError),
    #[error(
        "`{metric}` is not stored: it is computed when a report is made, from solo runs or a price"
    )]
    NotStored { metric: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SetsError {
    /// The command line is wrong, not the files.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, SetsError::Store(_))
    }
}

/// The answer, in the order in which it should be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: u32,
    pub a: Side,
    pub b: Side,
    pub by: By,
    /// Every compared cell holds the same runs on both sides.
    pub same_runs: bool,
    /// What differs in the circumstances of the compared runs.
    pub evidence: Vec<Difference>,
    /// Circumstances that are the same on both sides.
    pub evidence_same: usize,
    /// What the compared cells ask for differently; only where they were not matched by id.
    pub asked: Vec<AskedDifference>,
    pub cells: usize,
    pub only_a: Vec<CellName>,
    pub only_b: Vec<CellName>,
    /// Cells that could not be matched because another of their side has the same name.
    pub ambiguous: Vec<CellName>,
    /// Tests that p is adjusted over: all of this comparison.
    pub tests: usize,
    pub metrics: Vec<MetricTable>,
}

/// One set of results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    pub path: String,
    /// As its plan names it; unknown without `plan.json`.
    pub study: Option<String>,
    pub profile: Option<String>,
    pub cells: usize,
    /// Runs that are compared.
    pub runs: usize,
    /// Runs of the compared cells that are left out because they are stale.
    pub stale: usize,
    pub first_started: Option<String>,
    pub last_finished: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellName {
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    pub runs: usize,
}

/// One metric over the compared cells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricTable {
    pub metric: String,
    pub unit: String,
    pub better: Option<&'static str>,
    pub rows: Vec<Row>,
}

/// A cell on both sides; the contrast is B against A.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `<id8>` in A.
    pub cell: String,
    pub name: String,
    pub a_n: usize,
    pub a_mean: Option<f64>,
    pub b_n: usize,
    pub b_mean: Option<f64>,
    #[serde(flatten)]
    pub contrast: Contrast,
}

/// What to compare, beyond the sets.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub by: By,
    /// Empty: the main ones that both sides know.
    pub metrics: Vec<String>,
    /// Alternatives; empty: everything.
    pub filters: Vec<String>,
}

/// Compares two sets.
pub fn compare(a: &ResultSet, b: &ResultSet, options: &Options) -> Result<Comparison, SetsError> {
    let filters = Filters::parse(&options.filters, &folder::vocabulary(&[a, b]))?;
    let (cells_a, cells_b) = (a.matching(&filters), b.matching(&filters));
    if cells_a.is_empty() && cells_b.is_empty() {
        return Err(SetsError::Filter(FilterError {
            expression: options.filters.join("` or `"),
            reason: "no cell of either side matches".to_owned(),
            help: None,
        }));
    }
    let matched = matching::matches(options.by, &cells_a, &cells_b);
    if matched.both.is_empty() {
        return Err(nothing_in_common(a, b, options.by, &cells_a, &cells_b));
    }
    let runs = |side: fn(&(&SetCell, &SetCell)) -> usize| matched.both.iter().map(side).sum();
    let of_a: Vec<&RunRecord> = matched.both.iter().flat_map(|(a, _)| a.fresh()).collect();
    let of_b: Vec<&RunRecord> = matched.both.iter().flat_map(|(_, b)| b.fresh()).collect();
    let (evidence, evidence_same) = evidence::differences(&of_a, &of_b);
    let declared = declared(a, b);
    let metrics = asked_for(&options.metrics, &declared)?.unwrap_or_else(|| {
        let known = main_metrics_of(&declared, &of_b);
        let of_b: BTreeSet<&str> = known.iter().map(|info| info.name).collect();
        let of_a = main_metrics_of(&declared, &of_a).into_iter();
        of_a.filter(|info| of_b.contains(info.name)).collect()
    });
    let mut tables: Vec<(Option<Better>, MetricTable)> =
        metrics.iter().map(|metric| (metric.better, table(metric, &matched.both))).collect();
    let tests = judge_all(&mut tables);
    let names = |cells: Vec<&SetCell>| cells.into_iter().map(CellName::of).collect();
    Ok(Comparison {
        format: FORMAT,
        a: side(a, &of_a, runs(|(a, _)| a.stale.len())),
        b: side(b, &of_b, runs(|(_, b)| b.stale.len())),
        by: options.by,
        same_runs: matched.both.iter().all(|(a, b)| a.runs == b.runs),
        evidence,
        evidence_same,
        asked: asked::differences(&matched.both),
        cells: matched.both.len(),
        only_a: names(matched.only_a),
        only_b: names(matched.only_b),
        ambiguous: names(matched.ambiguous),
        tests,
        metrics: tables.into_iter().map(|(_, table)| table).collect(),
    })
}

/// Figures of commands, by the names that the runs give them. Their units and directions stand in a
/// manifest.
fn declared(a: &ResultSet, b: &ResultSet) -> Vec<DeclaredMetric> {
    let runs = a.cells.iter().chain(&b.cells).flat_map(SetCell::fresh);
    let names: BTreeSet<&String> = runs.flat_map(|run| run.metrics.keys()).collect();
    names
        .into_iter()
        .filter(|name| metrics::info(name).is_none())
        .map(|name| DeclaredMetric {
            name: name.clone(),
            scope: Scope::Command,
            clock: Clock::Program,
            unit: String::new(),
            better: None,
            formula: String::new(),
            smallest_effect: None,
        })
        .collect()
}

fn asked_for<'a>(
    names: &[String],
    declared: &'a [DeclaredMetric],
) -> Result<Option<Vec<MetricInfo<'a>>>, SetsError> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut metrics: Vec<MetricInfo<'a>> = Vec::new();
    for name in names {
        let metric = select::metric_of(declared, name)?;
        let computed = [Scope::AgainstSolo, Scope::CallAndRunAgainstSolo, Scope::Priced];
        if computed.contains(&metric.scope) {
            return Err(SetsError::NotStored { metric: metric.name.to_owned() });
        }
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(Some(metrics))
}

fn nothing_in_common(
    a: &ResultSet,
    b: &ResultSet,
    by: By,
    cells_a: &[&SetCell],
    cells_b: &[&SetCell],
) -> SetsError {
    let by_name = matching::matches(By::Name, cells_a, cells_b).both.len();
    let (what, hint) = match by {
        By::Id if by_name > 0 => (
            "the same id",
            format!(
                "; {by_name} have the same name: --by name compares them, and lists what they ask \
                 for differently"
            ),
        ),
        By::Id => ("the same id", String::new()),
        By::Name => ("the same name", String::new()),
    };
    SetsError::NothingInCommon {
        a: a.path.clone(),
        b: b.path.clone(),
        cells_a: cells_a.len(),
        cells_b: cells_b.len(),
        what,
        hint,
    }
}

fn side(set: &ResultSet, compared: &[&RunRecord], stale: usize) -> Side {
    Side {
        path: set.path.clone(),
        study: set.study.clone(),
        profile: set.profile.clone(),
        cells: set.cells.len(),
        runs: compared.len(),
        stale,
        first_started: compared.iter().filter_map(|run| run.started.clone()).min(),
        last_finished: compared.iter().filter_map(|run| run.finished.clone()).max(),
    }
}

impl CellName {
    fn of(cell: &SetCell) -> Self {
        Self { id: cell.id.clone(), name: cell.name.clone(), runs: cell.runs.len() }
    }
}

fn table(metric: &MetricInfo<'_>, both: &[(&SetCell, &SetCell)]) -> MetricTable {
    MetricTable {
        metric: metric.name.to_owned(),
        unit: metric.unit.to_owned(),
        better: metric.better.map(Better::name),
        rows: both.par_iter().map(|(a, b)| row(metric, a, b)).collect(),
    }
}

fn row(metric: &MetricInfo<'_>, a: &SetCell, b: &SetCell) -> Row {
    let values = |cell: &SetCell| -> Vec<f64> {
        cell.fresh().filter_map(|run| value(run, metric.name)).collect()
    };
    let (of_a, of_b) = (values(a), values(b));
    let (a_n, b_n) = (of_a.len(), of_b.len());
    let samples = (Sample::new(of_a), Sample::new(of_b));
    let contrast = match &samples {
        (Ok(a), Ok(b)) => Contrast::new(b, a, false, Yardstick::of(metric)),
        (Err(error), _) => Contrast::undefined(format!("A: {error}")),
        (_, Err(error)) => Contrast::undefined(format!("B: {error}")),
    };
    let error = measurement_error_of(a.fresh().chain(b.fresh()), metric);
    Row {
        cell: a.short().to_owned(),
        name: a.name.clone(),
        a_n,
        a_mean: samples.0.ok().map(|sample| sample.mean()),
        b_n,
        b_mean: samples.1.ok().map(|sample| sample.mean()),
        contrast: contrast.within(error),
    }
}

/// One family: whoever looks through all tables for a difference makes all of their tests.
fn judge_all(tables: &mut [(Option<Better>, MetricTable)]) -> usize {
    let mut family: Vec<(Option<Better>, &mut Contrast)> = tables
        .iter_mut()
        .flat_map(|(better, table)| table.rows.iter_mut().map(|row| (*better, &mut row.contrast)))
        .collect();
    judge(FamilyOf::Sets, &mut family);
    family.iter().filter(|(_, contrast)| contrast.p.is_some()).count()
}
