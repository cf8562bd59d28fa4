//! Every cell against its counterpart: the cell at the baseline's levels, alike on all other axes.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::Serialize;

use super::contrast::{Contrast, judge};
use super::family::{Families, FamilyOf, Lookup};
use super::measured::{Comparer, Measured, measured};
use super::{ComparisonError, axis, experiment};
use crate::cells::Wanted;
use crate::metrics::{Better, MetricInfo};
use crate::report::completeness::fresh;
use crate::report::data::{Cell, Data, Experiment, NamedLevel, NamedText};
use crate::report::select::Selection;
use crate::store;

/// One cell of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineRow {
    /// `<id8>`.
    pub cell: String,
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    pub levels: Vec<NamedLevel>,
    /// It is a baseline cell itself.
    pub is_baseline: bool,
    /// `<id8>` of its counterpart, if there is one.
    pub baseline: Option<String>,
    /// The same in 32 hex digits.
    pub baseline_id: Option<String>,
    /// Runs in which the metric is known.
    pub n: usize,
    /// Runs that are stored and not stale.
    pub runs: usize,
    pub planned: u32,
    pub mean: Option<f64>,
    pub baseline_n: usize,
    pub baseline_mean: Option<f64>,
    /// In the direction in which the metric is better; only where one is and the baseline's mean is
    /// above 0.
    pub improvement_percent: Option<f64>,
    pub improvement_ci: Option<[f64; 2]>,
    #[serde(flatten)]
    pub contrast: Contrast,
}

/// A recorded level in which cells and their counterparts differ although no axis says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedDifference {
    pub name: String,
    /// In the cells, and in their counterparts.
    pub own: String,
    pub baseline: String,
    /// `<id8>` of the cells.
    pub cells: Vec<String>,
}

/// What imported runs recorded that is not the same in the selected cells and in their counterparts.
pub fn recorded_differences(
    selection: &Selection<'_>,
    data: &Data,
) -> Result<Vec<RecordedDifference>, ComparisonError> {
    let experiment = experiment(selection, "a comparison with the baseline")?;
    let baseline = baseline(experiment, &[])?;
    let counterparts = Counterparts::new(data, experiment, &baseline);
    let mut differences: BTreeMap<store::RecordedDifference, Vec<String>> = BTreeMap::new();
    for own in &experiment.cells {
        let cell = &data.cells[own.cell];
        let selected = selection.cells.iter().any(|selected| selected.id == cell.id);
        let Some(other) = counterparts.of(&own.levels).filter(|_| selected) else { continue };
        for difference in store::recorded_differences(fresh(cell), fresh(other)) {
            differences.entry(difference).or_default().push(cell.short().to_owned());
        }
    }
    let rows = differences.into_iter().map(|(found, cells)| RecordedDifference {
        name: found.name,
        own: found.one,
        baseline: found.other,
        cells,
    });
    Ok(rows.collect())
}

/// The rows of the selected cells, in the order of the matrix; a counterpart need not be selected.
/// `wanted` stands in for the manifest's baseline; where it is another one, the table is a family of its own.
pub fn rows<'a>(
    data: &'a Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    wanted: &[(String, Wanted)],
    selection: &Selection<'a>,
) -> Result<Vec<BaselineRow>, ComparisonError> {
    let experiment = experiment(selection, "a comparison with the baseline")?;
    let baseline = baseline(experiment, wanted)?;
    let declared = |level: &NamedText| experiment.baseline.contains(level);
    // whole, or on one of its axes
    let lookup = (baseline.iter().all(declared)
        && [1, experiment.baseline.len()].contains(&baseline.len()))
    .then(|| families.against_baseline(data, experiment));
    let counterparts = Counterparts::new(data, experiment, &baseline);
    let comparer = Comparer::new(data);
    // intervals of ratios and effects are searched for, which takes its time with many cells
    let mut rows: Vec<BaselineRow> = measured(data, selection, metric)
        .into_par_iter()
        .map(|own| row(&own, metric, &counterparts, &comparer, lookup.as_ref()))
        .collect();
    if lookup.is_none() {
        let others = rows.iter_mut().filter(|row| !row.is_baseline);
        let mut family: Vec<_> = others.map(|row| (metric.better, &mut row.contrast)).collect();
        judge(FamilyOf::Table, &mut family);
    }
    Ok(rows)
}

fn row(
    own: &Measured<'_>,
    metric: &MetricInfo<'_>,
    counterparts: &Counterparts<'_>,
    comparer: &Comparer<'_>,
    lookup: Option<&Lookup>,
) -> BaselineRow {
    let cell = own.cells[0];
    let found = counterparts.of(own.levels);
    let is_baseline = found.is_some_and(|other| other.id == cell.id);
    let other = found.map(|other| Measured::new(other, own.levels, metric));
    let mut contrast = match &other {
        Some(_) if is_baseline => Contrast::undefined("it is the baseline"),
        Some(other) => comparer.contrast(own, other),
        None => Contrast::undefined(format!("no cell has {}", counterparts.wanted(own.levels))),
    };
    if let (Some(lookup), Some(other), false) = (lookup, found, is_baseline) {
        contrast.judge(metric.better, lookup.of(metric.name, &cell.id, &other.id));
    }
    let sample = own.sample();
    let baseline_mean = other.as_ref().and_then(|other| Some(other.sample()?.mean()));
    let improvement = |ratio: f64| match metric.better? {
        Better::Higher => Some(100.0 * (ratio - 1.0)),
        Better::Lower => Some(100.0 * (1.0 - ratio)),
    };
    let comparable = baseline_mean.is_some_and(|mean| mean > 0.0);
    let ends = contrast.ratio_ci.filter(|_| comparable);
    let ends = ends.and_then(|[low, high]| Some([improvement(low)?, improvement(high)?]));
    BaselineRow {
        cell: cell.short().to_owned(),
        id: cell.id.clone(),
        name: cell.name.clone(),
        levels: own.levels.to_vec(),
        is_baseline,
        baseline: found.map(|other| other.short().to_owned()),
        baseline_id: found.map(|other| other.id.clone()),
        n: own.n(),
        runs: fresh(cell).count(),
        planned: cell.planned(),
        mean: sample.map(|sample| sample.mean()),
        baseline_n: other.as_ref().map_or(0, Measured::n),
        baseline_mean,
        improvement_percent: contrast.ratio.filter(|_| comparable).and_then(improvement),
        improvement_ci: ends.map(|[a, b]| [a.min(b), a.max(b)]),
        contrast,
    }
}

/// The baseline's levels: those of the manifest, or those that are asked for.
fn baseline(
    experiment: &Experiment,
    wanted: &[(String, Wanted)],
) -> Result<Vec<NamedText>, ComparisonError> {
    if wanted.is_empty() {
        if experiment.baseline.is_empty() {
            return Err(ComparisonError::NoBaseline { experiment: experiment.name.clone() });
        }
        return Ok(experiment.baseline.clone());
    }
    wanted.iter().map(|(name, level)| level_of(experiment, name, level)).collect()
}

/// The level of an axis as the matrix shows it.
pub(super) fn level_of(
    experiment: &Experiment,
    name: &str,
    wanted: &Wanted,
) -> Result<NamedText, ComparisonError> {
    let known = axis(experiment, name)?;
    let rows = experiment.cells.iter().flat_map(|own| {
        std::iter::once(&own.levels).chain(&own.merged).flat_map(|levels| levels.iter())
    });
    let mut levels = rows.filter(|level| level.name == name);
    match levels.find(|level| wanted.matches(level)) {
        Some(level) => Ok(NamedText::new(name, &level.text)),
        None => Err(ComparisonError::UnknownLevel {
            experiment: experiment.name.clone(),
            axis: name.to_owned(),
            level: wanted.to_string(),
            known: known.levels.join(", "),
        }),
    }
}

/// The cells of an experiment by their levels.
pub(super) struct Counterparts<'a> {
    baseline: &'a [NamedText],
    labels: &'a [String],
    /// `None`: several, which differ in labels alone.
    cells: HashMap<Vec<&'a str>, Option<&'a Cell>>,
}

impl<'a> Counterparts<'a> {
    pub(super) fn new(
        data: &'a Data,
        experiment: &'a Experiment,
        baseline: &'a [NamedText],
    ) -> Self {
        let labels = experiment.labels.as_slice();
        let mut cells: HashMap<Vec<&str>, Option<&Cell>> = HashMap::new();
        for own in &experiment.cells {
            let cell = &data.cells[own.cell];
            // the same cell may stand for several rows of the matrix
            for levels in std::iter::once(&own.levels).chain(&own.merged) {
                let axes = levels.iter().filter(|level| !labels.contains(&level.name));
                let key = axes.map(|level| level.text.as_str()).collect();
                let known = cells.entry(key).or_insert(Some(cell));
                if known.is_some_and(|known| known.id != cell.id) {
                    *known = None;
                }
            }
        }
        Self { baseline, labels, cells }
    }

    fn axes<'l>(&'l self, levels: &'l [NamedLevel]) -> impl Iterator<Item = &'l NamedLevel> {
        levels.iter().filter(|level| !self.labels.contains(&level.name))
    }

    pub(super) fn of(&self, levels: &[NamedLevel]) -> Option<&'a Cell> {
        let key: Vec<&str> = self.axes(levels).map(|level| self.text(level)).collect();
        self.cells.get(&key).copied().flatten()
    }

    fn text<'l>(&'l self, level: &'l NamedLevel) -> &'l str {
        let own = self.baseline.iter().find(|own| own.name == level.name);
        own.map_or(&level.text, |own| &own.text)
    }

    /// The levels that a counterpart needs.
    fn wanted(&self, levels: &[NamedLevel]) -> String {
        let axes = self.axes(levels);
        let parts: Vec<String> =
            axes.map(|level| format!("{} = {}", level.name, self.text(level))).collect();
        parts.join(", ")
    }
}
