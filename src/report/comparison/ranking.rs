//! Cells in the order of a metric, with what that order is worth.

use rayon::prelude::*;
use serde::Serialize;

use super::ahead;
use super::contrast::{Contrast, Judgement, LEVEL};
use super::family::{Adjusted, Families, FamilyOf};
use super::measured::{Comparer, Measured, measured};
use crate::metrics::{Better, MetricInfo};
use crate::report::completeness::fresh;
use crate::report::data::{Data, NamedLevel};
use crate::report::select::Selection;
use crate::stats::{self, Sample};

/// Cells from the best mean to the worst, then those without a mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    pub rows: Vec<RankRow>,
    /// Number of cells with a rank.
    pub ranked: usize,
    /// Rank 1 is one cell, and told apart from every other.
    pub clear: bool,
    /// What the ranking says of rank 1, in words.
    pub said: String,
}

/// One cell of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankRow {
    /// From 1; cells with equal means share one. Absent without a mean.
    pub rank: Option<usize>,
    /// `<id8>`.
    pub cell: String,
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    pub levels: Vec<NamedLevel>,
    pub n: usize,
    pub runs: usize,
    pub planned: u32,
    pub mean: Option<f64>,
    pub sd: Option<f64>,
    /// Of the mean.
    pub mean_ci: Option<[f64; 2]>,
    /// Told apart from rank 1. Absent for rank 1 itself and without a mean.
    pub distinguishable: Option<bool>,
    /// Against rank 1. p × (number of other cells) is what enters the family, so that the cell whose true
    /// mean is the best is wrongly told apart from rank 1 with a chance of at most 5 %, although the same
    /// data chose rank 1: that cell would have to lose one of as many tests. Gupta, "On some multiple
    /// decision (selection and ranking) rules", Technometrics 7 (1965), by Bonferroni's inequality.
    #[serde(flatten)]
    pub behind: Contrast,
}

/// Ranks the selected cells. Where these are all of an experiment, and the direction is the metric's own, the
/// rankings of the experiment are the family; else this one is.
pub fn ranking<'a>(
    data: &'a Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    better: Better,
    selection: &Selection<'a>,
) -> Ranking {
    let comparer = Comparer::new(data);
    let cells = in_order(data, metric, better, selection);
    let others = others(&cells);
    let whole = selection
        .experiment
        .filter(|own| own.cells.len() == selection.cells.len() && metric.better == Some(better));
    let lookup = whole.map(|experiment| families.rankings(data, experiment));
    // intervals of ratios and effects are searched for, which takes its time with many cells
    let against_first = |(index, (cell, sample)): (usize, &Ranked<'_>)| match (index, sample) {
        (_, None) => Contrast::undefined(cell.nothing()),
        (0, _) => Contrast::undefined("it is rank 1"),
        _ => comparer.contrast(cell, &cells[0].0),
    };
    let mut behinds: Vec<Contrast> = cells.par_iter().enumerate().map(against_first).collect();
    let raw: Vec<f64> = behinds.iter().filter_map(|behind| Some(paid(behind.p?, others))).collect();
    let mut own_family = stats::benjamini_hochberg(&raw).into_iter();
    for ((cell, _), behind) in cells.iter().zip(&mut behinds).filter(|(_, own)| own.p.is_some()) {
        let own = own_family.next().map(|p| Adjusted { p, of: FamilyOf::Table, tests: raw.len() });
        let adjusted = match &lookup {
            Some(lookup) => lookup.of(metric.name, &cell.cells[0].id, &cells[0].0.cells[0].id),
            None => own,
        };
        behind.judge(Some(better), adjusted);
    }
    let mut rows: Vec<RankRow> = Vec::with_capacity(cells.len());
    for (index, ((cell, sample), behind)) in cells.iter().zip(behinds).enumerate() {
        let own = cell.cells[0];
        let mean = sample.as_ref().map(Sample::mean);
        let equal = rows.last().filter(|before| before.mean == mean).and_then(|row| row.rank);
        rows.push(RankRow {
            rank: sample.as_ref().map(|_| equal.unwrap_or(index + 1)),
            cell: own.short().to_owned(),
            id: own.id.clone(),
            name: own.name.clone(),
            levels: cell.levels.to_vec(),
            n: cell.n(),
            runs: fresh(own).count(),
            planned: own.planned(),
            mean,
            sd: sample.as_ref().and_then(Sample::sd),
            mean_ci: sample.as_ref().and_then(|s| s.mean_ci(LEVEL)).map(|ci| [ci.low, ci.high]),
            distinguishable: sample
                .as_ref()
                .filter(|_| index > 0)
                .map(|_| behind.judgement == Judgement::Worse),
            behind,
        });
    }
    let (ranked, said) = (rows.iter().filter(|row| row.rank.is_some()).count(), said(&rows));
    let clear = ranked > 1 && rows.iter().all(|row| row.distinguishable != Some(false));
    Ranking { rows, ranked, clear, said }
}

/// A cell, and its values where there are any.
type Ranked<'a> = (Measured<'a>, Option<Sample>);

/// From the best mean to the worst.
fn in_order<'a>(
    data: &'a Data,
    metric: &MetricInfo<'_>,
    better: Better,
    selection: &Selection<'a>,
) -> Vec<Ranked<'a>> {
    let with_sample = |cell: Measured<'a>| {
        let sample = cell.sample();
        (cell, sample)
    };
    let mut cells: Vec<Ranked<'a>> =
        measured(data, selection, metric).into_iter().map(with_sample).collect();
    // the sort is stable: equal means stay in the order of the matrix
    cells.sort_by(|(_, a), (_, b)| match (a, b) {
        (Some(a), Some(b)) if ahead(better, a.mean(), b.mean()) => std::cmp::Ordering::Less,
        (Some(a), Some(b)) if ahead(better, b.mean(), a.mean()) => std::cmp::Ordering::Greater,
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    cells
}

fn others(cells: &[Ranked<'_>]) -> usize {
    cells.iter().filter(|(_, sample)| sample.is_some()).count().saturating_sub(1)
}

/// A p that has paid for the choice of rank 1.
fn paid(p: f64, others: usize) -> f64 {
    (p * others as f64).min(1.0)
}

/// The tests of a ranking for a family: the ids of a cell and of rank 1, and p × (number of other cells).
pub(super) fn tests(
    data: &Data,
    metric: &MetricInfo<'_>,
    better: Better,
    selection: &Selection<'_>,
) -> Vec<(String, String, f64)> {
    let comparer = Comparer::new(data);
    let cells = in_order(data, metric, better, selection);
    let others = others(&cells);
    let Some(((first, _), behind)) = cells.split_first() else { return Vec::new() };
    let of = |(cell, _): &Ranked<'_>| {
        let p = comparer.p(cell, first)?;
        Some((cell.cells[0].id.clone(), first.cells[0].id.clone(), paid(p, others)))
    };
    behind.iter().filter_map(of).collect()
}

/// What may be said of rank 1.
fn said(rows: &[RankRow]) -> String {
    let ranked: Vec<(usize, bool)> = rows
        .iter()
        .filter_map(|row| Some((row.rank?, row.distinguishable == Some(false))))
        .collect();
    match ranked.len() {
        0 => return "no cell has a mean".to_owned(),
        1 => return "only one cell has a mean".to_owned(),
        _ => {}
    }
    let first = ranked.iter().filter(|(rank, _)| *rank == 1).count();
    let near = spans(&ranked[first..]);
    match (first, near.is_empty()) {
        (1, true) => "rank 1 is clearly better than all others, and by what matters".to_owned(),
        (1, false) => format!("rank 1 is not clearly better, by what matters, than {near}"),
        (_, true) => format!("rank 1 is shared by {first} cells"),
        (_, false) => format!(
            "rank 1 is shared by {first} cells, and not clearly better, by what matters, than {near}"
        ),
    }
}

/// The marked ranks in words: `rank 2`, `ranks 2–4, 8`.
fn spans(ranked: &[(usize, bool)]) -> String {
    let marked: Vec<&[(usize, bool)]> =
        ranked.chunk_by(|a, b| a.1 == b.1).filter(|span| span[0].1).collect();
    let parts: Vec<String> = marked
        .iter()
        .map(|span| match (span[0].0, span[span.len() - 1].0) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        })
        .collect();
    match parts.as_slice() {
        [] => String::new(),
        [one] if !one.contains('–') => format!("rank {one}"),
        _ => format!("ranks {}", parts.join(", ")),
    }
}
