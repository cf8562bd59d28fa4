//! In how many configurations a metric is better than at the baseline.

use serde::Serialize;

use super::baseline::BaselineRow;
use super::contrast::{Judgement, LEVEL};
use crate::metrics::Better;
use crate::stats;

/// Shares of the configurations that can be compared. The intervals take the configurations for a
/// sample of those that might have been tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Success {
    /// Cells that are no baseline.
    pub configurations: usize,
    /// Of these, with a mean on both sides under the same circumstances.
    pub compared: usize,
    /// The mean (geometric, where that is judged) is better, whether that is significant or not.
    pub better: usize,
    pub better_share: Option<f64>,
    /// Wilson's.
    pub better_ci: Option<[f64; 2]>,
    /// Better by the adjusted p and by more than the measurement error.
    pub clearly_better: usize,
    pub clearly_better_share: Option<f64>,
    pub clearly_better_ci: Option<[f64; 2]>,
    pub clearly_worse: usize,
    /// The mean is better or worse, but no test was possible.
    pub untested: usize,
}

/// Counts the rows of one table.
pub fn success(rows: &[BaselineRow], better: Better) -> Success {
    let own = || rows.iter().filter(|row| !row.is_baseline);
    let count = |is: &dyn Fn(&&BaselineRow) -> bool| own().filter(is).count();
    let comparable = |row: &&BaselineRow| row.contrast.is_comparison();
    let ahead = |row: &&BaselineRow| {
        let above = row.contrast.above().unwrap_or(0.0);
        comparable(row)
            && match better {
                Better::Higher => above > 0.0,
                Better::Lower => above < 0.0,
            }
    };
    let compared = count(&comparable);
    let better = count(&ahead);
    let judged = |wanted: Judgement| count(&|row| row.contrast.judgement == wanted);
    let clearly_better = judged(Judgement::Better);
    Success {
        configurations: own().count(),
        compared,
        better,
        better_share: share(better, compared),
        better_ci: interval(better, compared),
        clearly_better,
        clearly_better_share: share(clearly_better, compared),
        clearly_better_ci: interval(clearly_better, compared),
        clearly_worse: judged(Judgement::Worse),
        untested: count(&|row| comparable(row) && row.contrast.judgement == Judgement::NotDefined),
    }
}

pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Wilson's interval of a share.
pub(super) fn interval(part: usize, whole: usize) -> Option<[f64; 2]> {
    let ci = stats::wilson(part as u64, whole as u64, LEVEL).ok()?;
    Some([ci.low, ci.high])
}
