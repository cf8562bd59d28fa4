//! One criterion against runs.

use super::cells::Cell;
use super::contrast::{self, Ends};
use super::{Finding, Verdict, compound, correlation, each, looks, remarks, threshold};
use crate::manifest::criterion::{Bound, Criterion, Over, Terms};
use crate::metrics::{self, DeclaredMetric};
use crate::stats::{Interval, Undefined};

/// A criterion and the cells of its experiment.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub criterion: &'a Criterion,
    pub terms: Terms,
    /// Level of significance.
    pub alpha: f64,
    pub cells: &'a [Cell<'a>],
    /// The experiment runs its repeats in blocks: every cell once before any cell's next repeat.
    pub interleaved: bool,
    /// Numbers of repeats at which it is judged, ascending, declared before the data; empty: when all are there.
    pub looks: &'a [u32],
    /// Metrics that the study declares.
    pub declared: &'a [DeclaredMetric],
}

/// Judges a criterion. An interval at confidence 1 − alpha decides (1 − 2 alpha for equivalence).
#[must_use]
pub fn judge(question: &Question) -> Finding {
    looks::judge(question)
}

/// Judges it on the runs at hand, once.
pub(super) fn once(question: &Question) -> Finding {
    let whole = match question.criterion {
        Criterion::All(parts) => return compound::all(question, parts),
        Criterion::Any(parts) => return compound::any(question, parts),
        _ if question.terms.over == Over::Each => each::groups(question),
        _ => Ok(Vec::new()),
    };
    match whole {
        Err(reason) => Finding::no_data(reason),
        Ok(groups) if groups.len() > 1 => each::judge(question, &groups),
        Ok(_) => one(question),
    }
}

fn one(question: &Question) -> Finding {
    let ends = |metric, one, other| Ends { metric, one, other };
    let found = match question.criterion {
        Criterion::Correlation { x, y, cells, across, bound } => {
            correlation::judge(question, (x, y), cells, *across, *bound)
        }
        Criterion::Difference { metric, at, than, bound } => {
            contrast::difference(question, ends(metric, at, than), *bound)
        }
        Criterion::Ratio { metric, of, to, bound } => {
            contrast::ratio(question, ends(metric, of, to), *bound)
        }
        Criterion::Equivalent { metric, at, to, margin } => {
            contrast::equivalent(question, ends(metric, at, to), *margin)
        }
        Criterion::Steadier { metric, at, than, below } => {
            contrast::steadier(question, ends(metric, at, than), *below)
        }
        Criterion::Threshold { metric, cells, statistic, bound } => {
            threshold::judge(question, metric, cells, *statistic, *bound)
        }
        Criterion::All(_) | Criterion::Any(_) => return once(question),
    };
    let mut finding = found.unwrap_or_else(Finding::no_data);
    finding.work = remarks::work(question);
    finding.notes.extend(remarks::settings(question));
    finding
}

/// Which side of the bound an interval lies on.
pub(super) fn side(interval: Interval, bound: Bound) -> Verdict {
    let (above, below) = (interval.low > bound.value(), interval.high < bound.value());
    match bound {
        Bound::Above(_) if above => Verdict::Supported,
        Bound::Above(_) if below => Verdict::Refuted,
        Bound::Below(_) if below => Verdict::Supported,
        Bound::Below(_) if above => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    }
}

/// Which side of the bound a number lies on.
pub(super) fn lean(value: f64, bound: Bound) -> Option<Verdict> {
    Some(side(Interval { low: value, high: value }, bound)).filter(|side| side.is_decided())
}

/// What a statistic that is not defined means: too few runs are no data, anything else is data that
/// decide nothing.
pub(super) fn undefined(error: &Undefined, unit: &str, what: &str) -> Finding {
    match error {
        Undefined::TooFew { needed, found } => Finding::no_data(format!(
            "too few runs: {what} needs at least {needed} {unit}, there are {found}"
        )),
        Undefined::NoSpread if unit.starts_with("pairs") => Finding::open(
            Verdict::Inconclusive,
            format!("the differences of the pairs do not vary, so {what} has no interval"),
        ),
        other => {
            Finding::open(Verdict::Inconclusive, format!("{other}, so {what} has no interval"))
        }
    }
}

pub(super) fn unit_of(metric: &str, declared: &[DeclaredMetric]) -> String {
    metrics::find(declared, metric).map_or_else(String::new, |info| info.unit.to_owned())
}
