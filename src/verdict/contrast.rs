//! One side against the other: a difference, a ratio, equivalence, or how far each is spread.

use super::cells::{self, Cell};
use super::guard::guarded;
use super::judge::{Question, lean, side, undefined};
use super::sides::{Sides, sides};
use super::test::{self, Tested};
use super::{Finding, Verdict};
use crate::manifest::criterion::{Bound, Cells, Test};
use crate::metrics::{self, Scale, SmallestEffect};
use crate::stats::{self, Estimate, Interval, Needed, Sample, Undefined};

/// Two selections of cells and a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'c> {
    pub metric: &'c str,
    pub one: &'c Cells,
    pub other: &'c Cells,
}

/// The mean of one side minus that of the other.
pub(super) fn difference(
    question: &Question,
    ends: Ends<'_>,
    bound: Bound,
) -> Result<Finding, String> {
    let sides = sides(question, ends.one, ends.other, ends.metric, false)?;
    let level = 1.0 - question.alpha;
    let tested = test::difference(&sides.one, &sides.other, sides.paired, question.terms.test);
    let judged = tested.and_then(|found| {
        let (interval, p) = (found.interval(level)?, found.p(bound.value())?);
        Ok((found, interval, p))
    });
    let (found, interval, p) = match judged {
        Ok(judged) => judged,
        Err(error) => return Ok(finish(question, &sides, without_interval(&sides, &error))),
    };
    let value = found.value();
    let mut finding = Finding {
        verdict: side(interval, bound),
        leaning: lean(value, bound),
        effect: Some(value),
        unit: unit_of_difference(&sides),
        interval: Some(interval),
        level,
        p: Some(p),
        ..about(&sides, &found)
    };
    if let Some(estimate) = found.estimate() {
        let distance = value - bound.value();
        finding.needed =
            runs_needed(&sides.one, &sides.other, sides.paired, distance, question.alpha);
        finding.needed_range = range(&sides, &estimate, bound.value(), question.alpha);
    }
    if finding.verdict.is_decided()
        && let Some(disagreement) = disagrees(question, &sides, value, bound)
    {
        finding = finding.without_verdict(Verdict::Inconclusive, disagreement);
    }
    if bound.value() == 0.0 && finding.verdict.is_decided() {
        finding.notes.extend(too_small(&sides, interval));
    }
    Ok(finish(question, &sides, finding))
}

/// Pairs of sides that are spread so much unlike have differences that are skewed as the values are.
const UNLIKE: f64 = 1.25;
/// Values that are spread less (the sd of their logarithms) are close to normal, if they are lognormal.
const SKEWED: f64 = 0.07;

/// Why a second test does not bear a difference of means out that the first found.
///
/// Of skewed values Welch's test is wrong in up to 7 % of all samples on one side where the sides have unlike
/// numbers of runs or unlike spreads, and so is the test of pairs whose sides are spread unlike: what knows
/// the means of lognormal data must agree. Tests by exchange and by order take both sides for alike in all else; with
/// unlike spreads and numbers of runs they are wrong in up to 30 %, so that Welch's test must agree.
fn disagrees(question: &Question, sides: &Sides<'_>, value: f64, bound: Bound) -> Option<String> {
    let alpha = question.alpha;
    let above = value > bound.value();
    let test = question.terms.test;
    let exchanges = matches!(test, Some(Test::Rank | Test::Permutation)) && !sides.paired;
    if exchanges {
        let found = stats::difference(&sides.one, &sides.other).ok()?;
        let agrees = found.p(bound.value()) < alpha && (found.value > bound.value()) == above;
        if !agrees {
            return Some(
                "the sides need not be alike in all but their means, and Welch's test, which does not take \
                 them for it, does not bear the difference out"
                    .to_owned(),
            );
        }
    }
    let by_means = test.is_none() || (exchanges && test == Some(Test::Permutation));
    if !by_means || !sides.is_ratio_scale() || !skewed(sides) {
        return None;
    }
    let chance = stats::lognormal_difference(&sides.one, &sides.other, bound.value()).ok()?;
    let against = if above { 1.0 - chance } else { chance };
    (against >= alpha / 2.0).then(|| {
        "times and rates may be skewed, and the test of the means of lognormal data does not bear the \
         difference out"
            .to_owned()
    })
}

/// Whether the difference may be skewed. Beside a side that does not vary, the other is always so.
fn skewed(sides: &Sides<'_>) -> bool {
    let sd = |sample: &Sample| stats::logarithms(sample).ok()?.sd();
    let Some((one, other)) = sd(&sides.one).zip(sd(&sides.other)) else { return false };
    if !sides.one.varies() || !sides.other.varies() {
        return true;
    }
    // what two values differ by is skewed as the one that is spread more, in the metric's unit
    let (of_one, of_other) = (one * sides.one.mean(), other * sides.other.mean());
    let unlike = of_one.max(of_other) > UNLIKE * of_one.min(of_other);
    (unlike || !sides.paired) && one.max(other) > SKEWED
}

/// One side divided by the other.
pub(super) fn ratio(question: &Question, ends: Ends<'_>, bound: Bound) -> Result<Finding, String> {
    let plain = question.terms.test == Some(Test::T);
    let sides = sides(question, ends.one, ends.other, ends.metric, !plain)?;
    let level = 1.0 - question.alpha;
    let default = if sides.is_ratio_scale() && bound.value() > 0.0 { Test::Log } else { Test::T };
    let test = question.terms.test.unwrap_or(default);
    let judged = test::ratio(&sides.one, &sides.other, sides.paired, test).and_then(|found| {
        let (interval, p) = (found.interval(level)?, found.p(bound.value())?);
        Ok((found, interval, p))
    });
    let finding = match judged {
        Err(error) => {
            let effect = sides.one.mean() / sides.other.mean();
            let effect = Some(effect).filter(|effect| effect.is_finite());
            let quantity = "ratio of means".to_owned();
            Finding { quantity, effect, ..undefined(&error, sides.unit(), "a ratio") }
        }
        Ok((found, interval, p)) => {
            let value = found.value();
            let finding = Finding {
                verdict: side(interval, bound),
                leaning: lean(value, bound),
                effect: Some(value),
                interval: Some(interval),
                level,
                p: Some(p),
                ..about(&sides, &found)
            };
            ratio_needed(question, &sides, &found, bound, finding)
        }
    };
    Ok(finish(question, &sides, finding))
}

/// How many runs a ratio would have needed, on the scale on which it was tested.
fn ratio_needed(
    question: &Question,
    sides: &Sides<'_>,
    found: &Tested<'_>,
    bound: Bound,
    finding: Finding,
) -> Finding {
    let needed = |one: &Sample, other: &Sample, distance: f64| {
        runs_needed(one, other, sides.paired, distance, question.alpha)
    };
    let (needed, range) = match found {
        Tested::Log(ratio) => {
            let logs = stats::logarithms(&sides.one).ok().zip(stats::logarithms(&sides.other).ok());
            let at = bound.value().ln();
            let of_logs = logs.and_then(|(one, other)| needed(&one, &other, ratio.log.value - at));
            (of_logs, range(sides, &ratio.log, at, question.alpha))
        }
        Tested::Fieller(_) => {
            let scaled = scaled(&sides.other, bound.value());
            let of_scaled = scaled.and_then(|other| {
                let estimate = stats::compare(&sides.one, &other, sides.paired).ok()?;
                let range = range(sides, &estimate, 0.0, question.alpha);
                Some((needed(&sides.one, &other, estimate.value), range))
            });
            of_scaled.unwrap_or((None, None))
        }
        _ => (None, None),
    };
    Finding { needed, needed_range: range, ..finding }
}

fn scaled(sample: &Sample, factor: f64) -> Option<Sample> {
    Sample::new(sample.values().iter().map(|value| value * factor).collect()).ok()
}

/// The means lie no farther from each other than the margin.
pub(super) fn equivalent(
    question: &Question,
    ends: Ends<'_>,
    margin: f64,
) -> Result<Finding, String> {
    let sides = sides(question, ends.one, ends.other, ends.metric, false)?;
    let level = 1.0 - 2.0 * question.alpha;
    let tested = test::difference(&sides.one, &sides.other, sides.paired, question.terms.test);
    let judged = tested.and_then(|found| {
        let (low, high) = (found.p(-margin)?, found.p(margin)?);
        let outside = found.interval(1.0 - question.alpha)?;
        Ok((found.interval(level)?, outside, (low, high), found))
    });
    let (interval, outside, (low, high), found) = match judged {
        Ok(judged) => judged,
        Err(error) => return Ok(finish(question, &sides, without_interval(&sides, &error))),
    };
    let value = found.value();
    let verdict = if interval.low > -margin && interval.high < margin {
        Verdict::Supported
    } else if outside.low > margin || outside.high < -margin {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    let inside = value.abs() < margin;
    let (sd, freedom) = spread_of_difference(&sides);
    let finding = Finding {
        verdict,
        leaning: Some(if inside { Verdict::Supported } else { Verdict::Refuted }),
        effect: Some(value),
        unit: unit_of_difference(&sides),
        interval: Some(interval),
        level,
        p: Some(match (inside, value > 0.0) {
            // each of the two tests is one-sided; that it lies outside is tested as any difference
            (true, _) => low.max(high) / 2.0,
            (false, true) => high,
            (false, false) => low,
        }),
        needed: stats::equivalence_runs(value, sd, freedom, margin, question.alpha)
            .ok()
            .filter(|_| inside),
        test: format!("two one-sided tests, {} ({})", found.name(sides.paired), sides.why),
        ..about(&sides, &found)
    };
    Ok(finish(question, &sides, finding))
}

/// Standard deviation of the difference for one value of each side, and degrees of freedom per value.
fn spread_of_difference(sides: &Sides<'_>) -> (f64, f64) {
    let variance = |sample: &Sample| sample.sd().map_or(0.0, |sd| sd * sd);
    if !sides.paired {
        return ((variance(&sides.one) + variance(&sides.other)).sqrt(), 2.0);
    }
    let pairs = sides.one.values().iter().zip(sides.other.values());
    let differences = Sample::new(pairs.map(|(one, other)| one - other).collect());
    (differences.map_or(0.0, |sample| variance(&sample).sqrt()), 1.0)
}

/// Fewer runs than these on a side say nothing of its spread.
const FEWEST_FOR_SPREAD: usize = 5;

/// The spread of one side's runs divided by that of the other's.
pub(super) fn steadier(question: &Question, ends: Ends<'_>, below: f64) -> Result<Finding, String> {
    let sides = sides(question, ends.one, ends.other, ends.metric, false)?;
    if sides.of_cells {
        return Err("a side holds several cells, and a spread is one cell's: name its levels, or \
                    write `over = \"each\"`"
            .to_owned());
    }
    let level = 1.0 - question.alpha;
    let bound = Bound::Below(below);
    let fewest = sides.one.n().min(sides.other.n());
    // of positive times and rates the spread of the logarithms is that in per cent
    let relative = sides.is_ratio_scale();
    let scale = |sample: &Sample| {
        if relative { stats::logarithms(sample) } else { Ok(sample.clone()) }
    };
    let judged = if fewest < FEWEST_FOR_SPREAD {
        Err(Undefined::TooFew { needed: FEWEST_FOR_SPREAD, found: fewest })
    } else {
        scale(&sides.one).and_then(|one| stats::spread_ratio(&one, &scale(&sides.other)?))
    };
    let quantity = if relative {
        "ratio of the coefficients of variation"
    } else {
        "ratio of the standard deviations"
    };
    let judged =
        judged.and_then(|found| Ok((found.value, found.interval(level)?, found.p(below)?)));
    let finding = match judged {
        Err(error) => undefined(&error, "runs per side", "a ratio of spreads"),
        Ok((value, interval, p)) => Finding {
            verdict: side(interval, bound),
            leaning: lean(value, bound),
            effect: Some(value),
            interval: Some(interval),
            level,
            p: Some(p),
            test: format!(
                "logarithm of the ratio of the variances{}, its error by the kurtosis of both sides",
                if relative { " of the logarithms" } else { "" }
            ),
            ..Finding::new(Verdict::NoData)
        },
    };
    let n = format!("{} and {} runs", sides.one.n(), sides.other.n());
    let finding = Finding { quantity: quantity.to_owned(), n, ..finding };
    Ok(finish_with(question, &sides, finding))
}

/// How many pairs, or runs per side, tell what lies `distance` from the bound.
fn runs_needed(
    one: &Sample,
    other: &Sample,
    paired: bool,
    distance: f64,
    alpha: f64,
) -> Option<Needed> {
    if !paired {
        return stats::difference_runs(one, other, distance, alpha).ok();
    }
    let found = stats::paired_difference(one, other).ok()?;
    stats::paired_runs(distance, found.standard_error * (one.n() as f64).sqrt(), alpha).ok()
}

/// The same for the ends of the interval of the effect.
fn range(sides: &Sides<'_>, found: &Estimate, bound: f64, alpha: f64) -> Option<(Needed, Needed)> {
    let n = f64::midpoint(sides.one.n() as f64, sides.other.n() as f64);
    stats::needed_interval(found.t(bound), found.freedom, n, alpha, 1.0 - alpha).ok()
}

/// That what was found is no difference that matters.
fn too_small(sides: &Sides<'_>, interval: Interval) -> Option<String> {
    let effect = metrics::smallest_effect(&sides.metric)?;
    let size = match effect {
        SmallestEffect::Relative(share) => share * sides.other.mean().abs(),
        SmallestEffect::Absolute(size) => size,
    };
    let inside = interval.low > -size && interval.high < size;
    inside.then(|| {
        format!(
            "the whole interval lies within {}: a difference, but none that matters",
            effect.text(sides.metric.unit)
        )
    })
}

/// The unit of a difference: percentages differ by percentage points.
fn unit_of_difference(sides: &Sides<'_>) -> String {
    let unit = sides.metric.unit;
    if metrics::scale(&sides.metric) == Scale::Share { "pp".to_owned() } else { unit.to_owned() }
}

fn about(sides: &Sides<'_>, found: &Tested<'_>) -> Finding {
    Finding {
        test: format!("{} ({})", found.name(sides.paired), sides.why),
        quantity: found.quantity().to_owned(),
        needed_unit: sides.unit(),
        ..Finding::new(Verdict::NoData)
    }
}

/// A difference that was seen and cannot be judged.
fn without_interval(sides: &Sides<'_>, error: &Undefined) -> Finding {
    Finding {
        effect: Some(sides.one.mean() - sides.other.mean()),
        quantity: "difference of means".into(),
        unit: unit_of_difference(sides),
        ..undefined(error, sides.unit(), "a difference of means")
    }
}

/// What holds of every finding about two sides.
fn finish(question: &Question, sides: &Sides<'_>, finding: Finding) -> Finding {
    finish_with(question, sides, Finding { n: sides.n(), ..finding })
}

fn finish_with(question: &Question, sides: &Sides<'_>, mut finding: Finding) -> Finding {
    let mut notes = sides.notes.clone();
    notes.append(&mut finding.notes);
    finding.notes = notes;
    if finding.interval.is_some_and(|own| own.low.is_infinite() && own.high.is_infinite()) {
        let alpha = cells::short(question.alpha, 4);
        let reason =
            format!("too few runs: no outcome of so few decides this test at alpha {alpha}");
        finding = finding.without_verdict(Verdict::NoData, reason);
    }
    if finding.verdict.is_decided()
        && let Some(drift) = &sides.drift
    {
        finding = finding.without_verdict(Verdict::Inconclusive, drift.clone());
    }
    let (ones, others): (&[&Cell], &[&Cell]) = (&sides.ones, &sides.others);
    guarded(question, finding, &[ones, others])
}
