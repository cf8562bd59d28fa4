//! The cells that no other cell beats in both of two metrics.

use serde::Serialize;

use super::contrast::ALPHA;
use super::measured::{Comparer, Measured, measured};
use super::{ComparisonError, ahead, direction};
use crate::metrics::{Better, MetricInfo};
use crate::report::data::{Data, NamedLevel};
use crate::report::select::Selection;
use crate::stats;

/// One cell on the plane of two metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierRow {
    /// `<id8>`.
    pub cell: String,
    pub name: String,
    pub levels: Vec<NamedLevel>,
    pub x_n: usize,
    pub x: Option<f64>,
    pub x_ci: Option<[f64; 2]>,
    pub y_n: usize,
    pub y: Option<f64>,
    pub y_ci: Option<[f64; 2]>,
    /// By the means. Absent where one is unknown.
    pub on_frontier: Option<bool>,
    /// `<id8>` of the cells on the frontier that are at least as good in both and better in one.
    pub dominated_by: Vec<String>,
    /// One of these is better in both metrics by the adjusted tests. p of a pair is the larger of its
    /// two, adjusted over all such pairs.
    pub clearly: bool,
    pub why: Option<&'static str>,
}

/// The selected cells, in the order of the matrix.
pub fn frontier<'a>(
    data: &'a Data,
    x: &MetricInfo<'_>,
    y: &MetricInfo<'_>,
    selection: &Selection<'a>,
) -> Result<Vec<FrontierRow>, ComparisonError> {
    let better = [direction(x, None)?, direction(y, None)?];
    let cells: Vec<[Measured<'_>; 2]> = measured(data, selection, x)
        .into_iter()
        .zip(measured(data, selection, y))
        .map(|(x, y)| [x, y])
        .collect();
    let means: Vec<Option<[f64; 2]>> =
        cells.iter().map(|[x, y]| Some([x.sample()?.mean(), y.sample()?.mean()])).collect();
    let best = unbeaten(better, &means);
    // which cell on the frontier beats which cell off it
    let pairs: Vec<(usize, usize)> = (0..cells.len())
        .filter(|winner| best[*winner])
        .flat_map(|winner| (0..cells.len()).map(move |loser| (winner, loser)))
        .filter(|(winner, loser)| match (&means[*winner], &means[*loser]) {
            (Some(winner), Some(loser)) => beats(better, winner, loser),
            _ => false,
        })
        .collect();
    let clear = clear(data, &cells, &pairs);
    let rows = cells.iter().enumerate().map(|(index, [x, y])| {
        let own = x.cells[0];
        let (x_sample, y_sample) = (x.sample(), y.sample());
        let ci = |sample: &Option<stats::Sample>| {
            sample.as_ref().and_then(|s| s.mean_ci(0.95)).map(|ci| [ci.low, ci.high])
        };
        let beaten = || pairs.iter().enumerate().filter(move |(_, (_, loser))| *loser == index);
        FrontierRow {
            cell: own.short().to_owned(),
            name: own.name.clone(),
            levels: x.levels.to_vec(),
            x_n: x.n(),
            x_ci: ci(&x_sample),
            y_n: y.n(),
            y_ci: ci(&y_sample),
            on_frontier: means[index].map(|_| best[index]),
            dominated_by: beaten()
                .map(|(_, (winner, _))| cells[*winner][0].cells[0].short().to_owned())
                .collect(),
            clearly: beaten().any(|(pair, _)| clear[pair]),
            why: match (&x_sample, &y_sample) {
                (None, _) => Some(x.nothing()),
                (_, None) => Some(y.nothing()),
                _ => None,
            },
            x: x_sample.map(|sample| sample.mean()),
            y: y_sample.map(|sample| sample.mean()),
        }
    });
    Ok(rows.collect())
}

/// Which of the known means no other beats.
#[must_use]
pub fn unbeaten(better: [Better; 2], means: &[Option<[f64; 2]>]) -> Vec<bool> {
    let beaten = |own| means.iter().flatten().any(|other| beats(better, other, own));
    means.iter().map(|own| own.as_ref().is_some_and(|own| !beaten(own))).collect()
}

/// At least as good in both, and better in one.
fn beats(better: [Better; 2], winner: &[f64; 2], loser: &[f64; 2]) -> bool {
    let wins = |axis: usize| ahead(better[axis], winner[axis], loser[axis]);
    let behind = |axis: usize| ahead(better[axis], loser[axis], winner[axis]);
    (wins(0) || wins(1)) && !behind(0) && !behind(1)
}

/// Whether each pair's winner is told apart in both metrics.
fn clear(data: &Data, cells: &[[Measured<'_>; 2]], pairs: &[(usize, usize)]) -> Vec<bool> {
    let comparer = Comparer::new(data);
    let raw: Vec<f64> = pairs
        .iter()
        .map(|(winner, loser)| {
            let p = |axis: usize| {
                // what cannot be tested is not clear
                comparer.p(&cells[*winner][axis], &cells[*loser][axis]).unwrap_or(1.0)
            };
            p(0).max(p(1))
        })
        .collect();
    stats::holm(&raw).into_iter().map(|p| p < ALPHA).collect()
}
