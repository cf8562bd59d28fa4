//! A statistic of one selection against a bound.

use super::cells;
use super::judge::{Question, lean, side, undefined, unit_of};
use super::{Finding, Verdict};
use crate::manifest::criterion::{Bound, Cells, Statistic};
use crate::stats::{self, Bootstrap, Interval, Needed, QuantileTest, Sample, Undefined};

/// Resampling fewer runs than these gives intervals that are far too short.
const FEWEST_TO_RESAMPLE: usize = 10;
/// Of the resampling; any other would do as well.
const SEED: u64 = 0;

struct Judged {
    /// `None` where nothing is inferred beyond the runs at hand.
    interval: Option<Interval>,
    p: Option<f64>,
    test: &'static str,
    needed: Option<Needed>,
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
    let values = cells::values(&selected, metric, question.declared)?;
    let sample = cells::sample(&values)?;
    let level = 1.0 - question.alpha;
    let mut notes = cells::notes(&selected, metric, &values);
    notes.extend(cells::pooled(&selected));
    let finding = match test(&sample, statistic, bound.value(), question.alpha) {
        Err(error) => undefined(&error, "runs", &format!("the {}", statistic.name())),
        Ok(judged) => Finding {
            verdict: verdict(&judged, value(&sample, statistic), bound),
            leaning: value(&sample, statistic).and_then(|value| lean(value, bound)),
            test: judged.test.to_owned(),
            interval: judged.interval,
            level,
            p: judged.p,
            needed: judged.needed,
            needed_unit: "runs",
            ..Finding::new(Verdict::NoData)
        },
    };
    let unit = match statistic {
        Statistic::Cv => String::new(),
        _ => unit_of(metric, question.declared),
    };
    Ok(Finding {
        quantity: statistic.name().into(),
        effect: value(&sample, statistic),
        unit,
        n: format!("{} runs", sample.n()),
        notes,
        ..finding
    })
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

fn test(
    sample: &Sample,
    statistic: Statistic,
    bound: f64,
    alpha: f64,
) -> Result<Judged, Undefined> {
    let level = 1.0 - alpha;
    let percentile = |percent: f64| -> Result<Judged, Undefined> {
        let found = QuantileTest::new(sample, percent)?;
        let interval = found.interval(level)?;
        if interval.low.is_infinite() && interval.high.is_infinite() {
            return Err(Undefined::TooFew { needed: found.fewest(level)?, found: sample.n() });
        }
        let p = Some(found.p(bound));
        let test = "binomial test of a percentile, interval by order statistics";
        Ok(Judged { interval: Some(interval), p, test, needed: None })
    };
    match statistic {
        Statistic::Mean => {
            let found = stats::mean(sample)?;
            let sd = found.standard_error * (sample.n() as f64).sqrt();
            Ok(Judged {
                interval: Some(found.interval(level)?),
                p: Some(found.p(bound)),
                test: "one-sample t",
                needed: stats::paired_runs(found.value - bound, sd, alpha).ok(),
            })
        }
        Statistic::Median => percentile(50.0),
        Statistic::P95 => percentile(95.0),
        Statistic::P99 => percentile(99.0),
        Statistic::Sd | Statistic::Cv => {
            if sample.n() < FEWEST_TO_RESAMPLE {
                let found = sample.n();
                return Err(Undefined::TooFew { needed: FEWEST_TO_RESAMPLE, found });
            }
            if !sample.varies() {
                return Err(Undefined::NoSpread);
            }
            let found = Bootstrap::one(sample, SEED, |sample| value(sample, statistic))?;
            Ok(Judged {
                interval: Some(found.interval(level)?),
                p: Some(found.p(bound)),
                test: "bootstrap (BCa)",
                needed: None,
            })
        }
        // runs that will be made may lie farther out: the runs at hand are all that can be spoken of
        Statistic::Min | Statistic::Max => {
            let test = "the runs that were made; nothing is inferred beyond them";
            Ok(Judged { interval: None, p: None, test, needed: None })
        }
    }
}
