//! A statistic of one selection against a bound.

use super::cells::{self, Cell, Center};
use super::guard::guarded;
use super::judge::{Question, lean, side, undefined};
use super::{Finding, Verdict, catalogue};
use crate::manifest::criterion::{Bound, Cells, Statistic, Test};
use crate::metrics::{self, Scale};
use crate::stats::{self, Interval, Needed, QuantileTest, Sample, Undefined};

struct Judged {
    /// `None` where nothing is inferred beyond the runs at hand.
    interval: Option<Interval>,
    p: Option<f64>,
    test: &'static str,
    needed: Option<Needed>,
    needed_range: Option<(Needed, Needed)>,
}

pub(super) fn judge(
    question: &Question,
    metric: &str,
    wanted: &Cells,
    statistic: Statistic,
    bound: Bound,
) -> Result<Finding, String> {
    let selected = cells::select(question.cells, wanted)?;
    cells::same_circumstances(&selected)?;
    let runs = cells::values(&selected, metric, question.declared)?;
    let info = metrics::find(question.declared, metric).ok_or("unknown metric")?;
    let of_cells = selected.len() > 1;
    if of_cells && statistic != Statistic::Mean {
        return Err(format!(
            "a {} is one cell's, and {} cells are selected: name their levels, or write `over = \"each\"`",
            statistic.name(),
            selected.len()
        ));
    }
    let values = if of_cells { cells::centers(&runs, Center::Arithmetic)? } else { runs.clone() };
    let sample = cells::sample(&values)?;
    let level = 1.0 - question.alpha;
    let unit = if of_cells { "cells" } else { "runs" };
    let skewed = metrics::scale(&info) == Scale::Ratio && sample.min() > 0.0;
    let terms = Terms { test: question.terms.test, skewed, alpha: question.alpha };
    let finding = match test(&sample, statistic, bound.value(), terms) {
        Err(error) => undefined(&error, unit, &format!("the {}", statistic.name())),
        Ok(judged) => Finding {
            verdict: verdict(&judged, value(&sample, statistic), bound),
            leaning: value(&sample, statistic).and_then(|value| lean(value, bound)),
            test: judged.test.to_owned(),
            interval: judged.interval,
            level,
            p: judged.p,
            needed: judged.needed,
            needed_range: judged.needed_range,
            needed_unit: unit,
            ..Finding::new(Verdict::NoData)
        },
    };
    let finding = match statistic {
        Statistic::Sd | Statistic::Cv => of_assumed_shape(question, &sample, statistic, finding),
        _ => finding,
    };
    let mut finding = Finding {
        quantity: statistic.name().into(),
        effect: value(&sample, statistic),
        unit: catalogue::unit_of(info.unit, statistic).to_owned(),
        n: format!("{} {unit}", sample.n()),
        ..finding
    };
    let mut notes = cells::notes(&selected, metric, &runs);
    if of_cells {
        notes.push(format!("over {} cells, each one value: the mean of its runs", selected.len()));
    }
    notes.append(&mut finding.notes);
    finding.notes = notes;
    let selected: &[&Cell] = &selected;
    Ok(guarded(question, finding, &[selected]))
}

/// The statistic of the runs at hand.
pub(super) fn value(sample: &Sample, statistic: Statistic) -> Option<f64> {
    match statistic {
        Statistic::Mean => Some(sample.mean()),
        Statistic::Median => Some(sample.median()),
        Statistic::Sd => sample.sd(),
        Statistic::Cv => sample.cv(),
        Statistic::Min => Some(sample.min()),
        Statistic::Max => Some(sample.max()),
        Statistic::P95 => Some(sample.percentile(95.0)),
        Statistic::P99 => Some(sample.percentile(99.0)),
    }
}

/// Where nothing is inferred, what the runs at hand do not show they refute.
fn verdict(judged: &Judged, value: Option<f64>, bound: Bound) -> Verdict {
    match judged.interval {
        Some(interval) => side(interval, bound),
        None => value.and_then(|value| lean(value, bound)).unwrap_or(Verdict::Refuted),
    }
}

/// A spread is decided only by the shape that the author declares, and only where the runs do not speak against
/// that shape.
fn of_assumed_shape(
    question: &Question,
    sample: &Sample,
    statistic: Statistic,
    finding: Finding,
) -> Finding {
    if !finding.verdict.is_decided() {
        return finding;
    }
    if question.terms.test != Some(Test::Chi2) {
        let reason = "few runs do not show how their tails fall, and a spread depends on those: \
                      `test = \"chi2\"` takes the runs for normal (for `cv`: their logarithms) and says so";
        return finding.without_verdict(Verdict::Inconclusive, reason);
    }
    let shaped = match statistic {
        Statistic::Cv => stats::logarithms(sample).unwrap_or_else(|_| sample.clone()),
        _ => sample.clone(),
    };
    if stats::looks_normal(&shaped) == Some(false) {
        let what = if statistic == Statistic::Cv { "their logarithms are" } else { "they are" };
        let reason =
            format!("`chi2` takes the runs for normal, and {what} not (Anderson–Darling, 10 %)");
        return finding.without_verdict(Verdict::Inconclusive, reason);
    }
    finding
}

#[derive(Debug, Clone, Copy)]
struct Terms {
    test: Option<Test>,
    /// A positive time or rate.
    skewed: bool,
    alpha: f64,
}

fn test(
    sample: &Sample,
    statistic: Statistic,
    bound: f64,
    terms: Terms,
) -> Result<Judged, Undefined> {
    let level = 1.0 - terms.alpha;
    let percentile = |percent: f64| -> Result<Judged, Undefined> {
        let found = QuantileTest::new(sample, percent)?;
        let interval = found.interval(level)?;
        if interval.low.is_infinite() && interval.high.is_infinite() {
            return Err(Undefined::TooFew { needed: found.fewest(level)?, found: sample.n() });
        }
        let p = Some(found.p(bound));
        let test = "binomial test of a percentile, interval by order statistics";
        Ok(Judged { interval: Some(interval), p, test, needed: None, needed_range: None })
    };
    match statistic {
        Statistic::Mean => mean(sample, bound, terms),
        Statistic::Median => percentile(50.0),
        Statistic::P95 => percentile(95.0),
        Statistic::P99 => percentile(99.0),
        Statistic::Sd | Statistic::Cv => spread(sample, statistic, bound, level),
        // runs that will be made may lie farther out: the runs at hand are all that can be spoken of
        Statistic::Min | Statistic::Max => {
            let test = "the runs that were made; nothing is inferred beyond them";
            Ok(Judged { interval: None, p: None, test, needed: None, needed_range: None })
        }
    }
}

/// By Student's t; of a positive time or rate the wider, on each side, of that and of the interval of a
/// lognormal mean, since few skewed values hide their long tail.
fn mean(sample: &Sample, bound: f64, terms: Terms) -> Result<Judged, Undefined> {
    let level = 1.0 - terms.alpha;
    let found = stats::mean(sample)?;
    let n = sample.n() as f64;
    let sd = found.standard_error * n.sqrt();
    let mut judged = Judged {
        interval: Some(found.interval(level)?),
        p: Some(found.p(bound)),
        test: "one-sample t",
        needed: stats::paired_runs(found.value - bound, sd, terms.alpha).ok(),
        needed_range: stats::needed_interval(found.t(bound), found.freedom, n, terms.alpha, level)
            .ok(),
    };
    if terms.skewed && terms.test.is_none() {
        let other = stats::lognormal_mean(sample)?;
        judged.interval = judged.interval.zip(other.interval(level).ok()).map(|(one, other)| {
            Interval { low: one.low.min(other.low), high: one.high.max(other.high) }
        });
        judged.p = judged.p.map(|p| p.max(other.p(bound)));
        judged.test = "one-sample t and the mean of lognormal data: both must decide";
    }
    Ok(judged)
}

fn spread(
    sample: &Sample,
    statistic: Statistic,
    bound: f64,
    level: f64,
) -> Result<Judged, Undefined> {
    if statistic == Statistic::Sd {
        let found = stats::spread(sample)?;
        let test = "χ² of the variance, no shorter than Bonett's interval";
        let (interval, p) = (Some(found.interval(level)?), Some(found.p(bound)?));
        return Ok(Judged { interval, p, test, needed: None, needed_range: None });
    }
    // of lognormal data the coefficient of variation is √(exp σ² − 1), σ being the logarithms' spread
    let found = stats::spread(&stats::logarithms(sample)?)?;
    let cv = |sd: f64| (sd * sd).exp_m1().sqrt();
    let interval = found.interval(level)?;
    Ok(Judged {
        interval: Some(Interval { low: cv(interval.low), high: cv(interval.high) }),
        p: Some(found.p((bound * bound).ln_1p().sqrt())?),
        test: "χ² of the variance of the logarithms, no shorter than Bonett's interval",
        needed: None,
        needed_range: None,
    })
}
