//! A metric as a percentage of the same at one level of an axis.

use serde::Serialize;

use super::baseline::{self, BaselineRow};
use super::contrast::{Judgement, Quantity};
use super::family::{Adjusted, Families, FamilyOf};
use super::{ComparisonError, axis, experiment, text_of};
use crate::cells::Wanted;
use crate::metrics::MetricInfo;
use crate::report::data::{Data, NamedLevel};
use crate::report::select::Selection;

/// One row per combination of the other axes' levels, one column per level of the axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Normalised {
    pub axis: String,
    /// The level that is 100 %.
    pub level: String,
    pub columns: Vec<String>,
    pub rows: Vec<NormalisedRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NormalisedRow {
    /// On the axes that vary, but the one that is compared.
    pub levels: Vec<NamedLevel>,
    /// One per column; absent where the matrix has no such cell.
    pub cells: Vec<Option<NormalisedCell>>,
}

/// A cell in percent of its counterpart: by geometric means where these are judged, else by the means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NormalisedCell {
    /// `<id8>`.
    pub cell: String,
    /// 32 hex digits.
    pub id: String,
    pub is_baseline: bool,
    pub percent: Option<f64>,
    pub ci: Option<[f64; 2]>,
    pub mean: Option<f64>,
    pub judged: Option<Quantity>,
    pub p_adjusted: Option<f64>,
    pub family: Option<FamilyOf>,
    pub tests: Option<usize>,
    pub judgement: Judgement,
    pub below_error: bool,
    pub why: Option<String>,
}

impl NormalisedCell {
    /// Its adjusted p, and within what.
    #[must_use]
    pub fn adjusted(&self) -> Option<Adjusted> {
        Some(Adjusted { p: self.p_adjusted?, of: self.family?, tests: self.tests? })
    }
}

/// The selected cells.
pub fn normalised<'a>(
    data: &'a Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    name: &str,
    level: Option<&Wanted>,
    selection: &Selection<'a>,
) -> Result<Normalised, ComparisonError> {
    let experiment = experiment(selection, "a normalised table")?;
    let columns = axis(experiment, name)?.levels.clone();
    let level = match level {
        Some(level) => baseline::level_of(experiment, name, level)?.text,
        None => experiment
            .baseline
            .iter()
            .find(|level| level.name == name)
            .map(|level| level.text.clone())
            .ok_or_else(|| ComparisonError::NoBaseline { experiment: experiment.name.clone() })?,
    };
    let wanted = [(name.to_owned(), Wanted::free(&level))];
    let found = baseline::rows(data, families, metric, &wanted, selection)?;
    let varies = |other: &&NamedLevel| {
        other.name != name
            && !experiment.labels.contains(&other.name)
            && experiment.axes.iter().any(|a| a.name == other.name && a.varies)
    };
    let mut rows: Vec<NormalisedRow> = Vec::new();
    for row in found {
        let levels: Vec<NamedLevel> = row.levels.iter().filter(varies).cloned().collect();
        let Some(column) = text_of(&row.levels, name)
            .and_then(|text| columns.iter().position(|level| level == text))
        else {
            continue;
        };
        let place = rows.iter().position(|known| known.levels == levels).unwrap_or_else(|| {
            rows.push(NormalisedRow { levels, cells: vec![None; columns.len()] });
            rows.len() - 1
        });
        rows[place].cells[column] = Some(percent(row));
    }
    Ok(Normalised { axis: name.to_owned(), level, columns, rows })
}

fn percent(row: BaselineRow) -> NormalisedCell {
    // a percentage of nothing, or of a debt, says nothing
    let sound = row.baseline_mean.is_some_and(|mean| mean > 0.0);
    let contrast = row.contrast;
    let whole = row.is_baseline && row.mean.is_some();
    NormalisedCell {
        cell: row.cell,
        id: row.id,
        is_baseline: row.is_baseline,
        percent: if whole { Some(1.0) } else { contrast.ratio }
            .filter(|_| sound)
            .map(|ratio| 100.0 * ratio),
        ci: contrast.ratio_ci.filter(|_| sound).map(|ci| ci.map(|end| 100.0 * end)),
        mean: row.mean,
        judged: contrast.judged,
        p_adjusted: contrast.p_adjusted,
        family: contrast.family,
        tests: contrast.tests,
        judgement: contrast.judgement,
        below_error: contrast.below_error,
        why: contrast.why,
    }
}
