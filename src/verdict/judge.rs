//! One criterion against runs.

use super::cells::Cell;
use super::sides::{Sides, sides};
use super::{Finding, Verdict, beside, compound, correlation, threshold};
use crate::manifest::criterion::{Bound, Cells, Criterion};
use crate::metrics::{self, DeclaredMetric};
use crate::stats::{self, Estimate, Interval, Sample, Undefined};

/// A criterion and the cells of its experiment.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub criterion: &'a Criterion,
    /// Level of significance.
    pub alpha: f64,
    pub cells: &'a [Cell<'a>],
    /// The experiment runs its repeats in blocks: every cell once before any cell's next repeat.
    pub interleaved: bool,
    /// Metrics that the study declares.
    pub declared: &'a [DeclaredMetric],
}

/// Judges a criterion. An interval at confidence 1 − alpha decides (1 − 2 alpha for equivalence).
#[must_use]
pub fn judge(question: &Question) -> Finding {
    let alpha = question.alpha;
    let beside = |one: &Cells, other: &Cells, metric: &str| sides(question, one, other, metric);
    let found = match question.criterion {
        Criterion::Correlation { x, y, cells: wanted, bound } => {
            correlation::judge(question, x, y, wanted, *bound)
        }
        Criterion::Difference { metric, at, than, bound } => {
            beside(at, than, metric).map(|sides| difference(&sides, *bound, alpha))
        }
        Criterion::Ratio { metric, of, to, bound } => {
            beside(of, to, metric).map(|sides| ratio(&sides, *bound, alpha))
        }
        Criterion::Equivalent { metric, at, to, margin } => {
            beside(at, to, metric).map(|sides| equivalent(&sides, *margin, alpha))
        }
        Criterion::Threshold { metric, cells: wanted, statistic, bound } => {
            threshold::judge(question, metric, wanted, *statistic, *bound)
        }
        Criterion::All(parts) => return compound::all(question, parts),
        Criterion::Any(parts) => return compound::any(question, parts),
    };
    let finding = found.unwrap_or_else(Finding::no_data);
    Finding { work: beside::work(question), ..finding }
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
        Undefined::NoSpread if unit == "pairs" => Finding::open(
            Verdict::Inconclusive,
            format!("the differences of the pairs do not vary, so {what} has no interval"),
        ),
        other => {
            Finding::open(Verdict::Inconclusive, format!("{other}, so {what} has no interval"))
        }
    }
}

/// The unit of a difference: percentages differ by percentage points.
fn unit_of_difference(sides: &Sides) -> String {
    if sides.unit_of_metric == "%" { "pp".to_owned() } else { sides.unit_of_metric.clone() }
}

pub(super) fn unit_of(metric: &str, declared: &[DeclaredMetric]) -> String {
    metrics::find(declared, metric).map_or_else(String::new, |info| info.unit.to_owned())
}

pub(super) fn estimate(sides: &Sides) -> Result<Estimate, Undefined> {
    stats::compare(&sides.one, &sides.other, sides.paired)
}

fn about(sides: &Sides, test: &str) -> Finding {
    Finding {
        test: format!("{test} ({})", sides.why),
        n: sides.n(),
        needed_unit: sides.unit(),
        notes: sides.notes.clone(),
        ..Finding::new(Verdict::NoData)
    }
}

fn with(sides: &Sides, finding: Finding) -> Finding {
    Finding { n: sides.n(), notes: sides.notes.clone(), ..finding }
}

fn difference(sides: &Sides, bound: Bound, alpha: f64) -> Finding {
    let what = "a difference of means";
    let level = 1.0 - alpha;
    let judged = estimate(sides).and_then(|found| Ok((found, found.interval(level)?)));
    let (found, interval) = match judged {
        Ok(judged) => judged,
        Err(error) => return without_interval(sides, &error, what),
    };
    let distance = found.value - bound.value();
    Finding {
        verdict: side(interval, bound),
        leaning: lean(found.value, bound),
        quantity: "difference of means".into(),
        effect: Some(found.value),
        unit: unit_of_difference(sides),
        interval: Some(interval),
        level,
        p: Some(found.p(bound.value())),
        needed: runs_needed(sides, &found, distance, alpha),
        ..about(sides, if sides.paired { "paired t" } else { "Welch's t" })
    }
}

/// A difference that was seen and cannot be judged.
fn without_interval(sides: &Sides, error: &Undefined, what: &str) -> Finding {
    let finding = undefined(error, sides.unit(), what);
    with(
        sides,
        Finding {
            effect: Some(sides.one.mean() - sides.other.mean()),
            quantity: "difference of means".into(),
            unit: unit_of_difference(sides),
            ..finding
        },
    )
}

fn runs_needed(
    sides: &Sides,
    found: &Estimate,
    distance: f64,
    alpha: f64,
) -> Option<stats::Needed> {
    if sides.paired {
        let sd = found.standard_error * (sides.one.n() as f64).sqrt();
        stats::paired_runs(distance, sd, alpha).ok()
    } else {
        stats::difference_runs(&sides.one, &sides.other, distance, alpha).ok()
    }
}

fn ratio(sides: &Sides, bound: Bound, alpha: f64) -> Finding {
    let level = 1.0 - alpha;
    let (quantity, what) = ("ratio of means", "a ratio of means");
    let judged = stats::ratio(&sides.one, &sides.other, sides.paired)
        .and_then(|found| Ok((found.value, found.interval(level)?, found.p(bound.value())?)));
    match judged {
        Err(error) => {
            let effect = sides.one.mean() / sides.other.mean();
            let finding = undefined(&error, sides.unit(), what);
            let effect = Some(effect).filter(|effect| effect.is_finite());
            with(sides, Finding { effect, quantity: quantity.into(), ..finding })
        }
        Ok((effect, interval, p)) => Finding {
            verdict: side(interval, bound),
            leaning: lean(effect, bound),
            quantity: quantity.into(),
            effect: Some(effect),
            interval: Some(interval),
            level,
            p: Some(p),
            needed: scaled(&sides.other, bound.value())
                .map(|other| Sides { other, one: sides.one.clone(), ..copy(sides) })
                .and_then(|scaled| {
                    let found = estimate(&scaled).ok()?;
                    runs_needed(&scaled, &found, found.value, alpha)
                }),
            ..about(
                sides,
                &format!(
                    "{} of one side against {} times the other, Fieller's interval",
                    if sides.paired { "paired t" } else { "Welch's t" },
                    bound.value()
                ),
            )
        },
    }
}

fn copy(sides: &Sides) -> Sides {
    Sides {
        one: sides.one.clone(),
        other: sides.other.clone(),
        unit_of_metric: sides.unit_of_metric.clone(),
        paired: sides.paired,
        why: sides.why.clone(),
        notes: Vec::new(),
    }
}

fn scaled(sample: &Sample, factor: f64) -> Option<Sample> {
    Sample::new(sample.values().iter().map(|value| value * factor).collect()).ok()
}

fn equivalent(sides: &Sides, margin: f64, alpha: f64) -> Finding {
    let what = "a difference of means";
    let level = 1.0 - 2.0 * alpha;
    let judged = estimate(sides).and_then(|found| Ok((found, found.interval(level)?)));
    let (found, interval) = match judged {
        Ok(judged) => judged,
        Err(error) => return without_interval(sides, &error, what),
    };
    let verdict = if interval.low > -margin && interval.high < margin {
        Verdict::Supported
    } else if interval.low > margin || interval.high < -margin {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    let n = sides.one.n() as f64;
    let (sd, freedom) = if sides.paired {
        (found.standard_error * n.sqrt(), 1.0)
    } else {
        let variance = |sample: &Sample| sample.sd().map_or(0.0, |sd| sd * sd);
        ((variance(&sides.one) + variance(&sides.other)).sqrt(), 2.0)
    };
    let inside = found.value.abs() < margin;
    Finding {
        verdict,
        leaning: Some(if inside { Verdict::Supported } else { Verdict::Refuted }),
        quantity: "difference of means".into(),
        effect: Some(found.value),
        unit: unit_of_difference(sides),
        interval: Some(interval),
        level,
        p: Some(if inside { found.equivalence_p(margin) } else { found.outside_p(margin) }),
        needed: stats::equivalence_runs(found.value, sd, freedom, margin, alpha)
            .ok()
            .filter(|_| inside),
        ..about(
            sides,
            &format!(
                "two one-sided tests, {}",
                if sides.paired { "paired t" } else { "Welch's t" }
            ),
        )
    }
}
