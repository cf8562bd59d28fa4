//! One set of runs against another: difference, ratio, effect size, test, judgement.

use serde::Serialize;

use super::family::{Adjusted, FamilyOf};
use crate::metrics::{self, Better, MetricInfo, Scale, SmallestEffect};
use crate::report::cell_table::drowns;
use crate::stats::{self, Estimate, Interval, Sample, Undefined};

/// Confidence of all intervals.
pub const LEVEL: f64 = 0.95;
/// An adjusted p below this decides.
pub const ALPHA: f64 = 1.0 - LEVEL;

/// Which test a contrast stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Test {
    /// Student's t of the differences within each block of interleaved runs.
    #[serde(rename = "paired t")]
    Paired,
    /// Welch's t of independent runs.
    #[serde(rename = "Welch's t")]
    Welch,
}

impl Test {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Test::Paired => "paired t",
            Test::Welch => "Welch's t",
        }
    }
}

/// What of the two sides is compared and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Quantity {
    /// On the logarithm; of positive times and rates.
    #[serde(rename = "ratio of geometric means")]
    GeometricRatio,
    #[serde(rename = "difference of means")]
    Difference,
}

impl Quantity {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Quantity::GeometricRatio => "ratio of geometric means",
            Quantity::Difference => "difference of means",
        }
    }
}

/// What a metric is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    by_ratio: bool,
    smallest: Option<SmallestEffect>,
}

impl Yardstick {
    #[must_use]
    pub fn of(metric: &MetricInfo<'_>) -> Self {
        Self {
            by_ratio: metrics::scale(metric) == Scale::Ratio,
            smallest: metrics::smallest_effect(metric),
        }
    }

    /// By ratio where all values have a logarithm.
    #[must_use]
    pub fn quantity(self, of: &Sample, to: &Sample) -> Quantity {
        if self.by_ratio && of.min() > 0.0 && to.min() > 0.0 {
            Quantity::GeometricRatio
        } else {
            Quantity::Difference
        }
    }

    /// The estimate that is judged: on the logarithm for a ratio. p(0) is that of no difference.
    pub fn test(self, of: &Sample, to: &Sample, paired: bool) -> Result<Estimate, Undefined> {
        match self.quantity(of, to) {
            Quantity::GeometricRatio => Ok(stats::log_ratio(of, to, paired)?.log),
            Quantity::Difference => stats::compare(of, to, paired),
        }
    }

    /// As [`stats::pairs_tell`], of what is judged.
    #[must_use]
    pub fn pairs_tell(self, of: &Sample, to: &Sample) -> bool {
        self.test(of, to, true).is_ok() || self.test(of, to, false).is_err()
    }
}

/// What may be said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Judgement {
    #[serde(rename = "better")]
    Better,
    #[serde(rename = "worse")]
    Worse,
    /// Of a metric of which no direction is an improvement.
    #[serde(rename = "higher")]
    Higher,
    #[serde(rename = "lower")]
    Lower,
    /// The test, or the measurement error, does not tell them apart.
    #[serde(rename = "unclear")]
    Unclear,
    /// The interval lies inside the metric's smallest effect of interest.
    #[serde(rename = "no difference that matters")]
    NoneThatMatters,
    /// Both sides hold the same values.
    #[serde(rename = "same")]
    Same,
    /// There is no test; [`Contrast::why`] says why.
    #[serde(rename = "not defined")]
    NotDefined,
}

impl Judgement {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Judgement::Better => "better",
            Judgement::Worse => "worse",
            Judgement::Higher => "higher",
            Judgement::Lower => "lower",
            Judgement::Unclear => "unclear",
            Judgement::NoneThatMatters => "no difference that matters",
            Judgement::Same => "same",
            Judgement::NotDefined => "not defined",
        }
    }
}

/// One side against the other; what is not defined is absent, and `why` says why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    pub test: Option<Test>,
    /// Pairs of a paired test.
    pub pairs: Option<usize>,
    /// What the test, p and the judgement are of; the other is there to be read.
    pub judged: Option<Quantity>,
    /// Of the means.
    pub difference: Option<f64>,
    pub ci: Option<[f64; 2]>,
    /// Of the geometric means where these are judged, else of the means.
    pub ratio: Option<f64>,
    /// By the logarithm where that is judged, else Fieller's.
    pub ratio_ci: Option<[f64; 2]>,
    /// Hedges' g, by the pooled sd of the runs; paired or not.
    pub g: Option<f64>,
    /// Takes the runs for independent.
    pub g_ci: Option<[f64; 2]>,
    pub p: Option<f64>,
    /// Adjusted within its family, by the false discovery rate.
    pub p_adjusted: Option<f64>,
    /// That family, and how many comparisons it has.
    pub family: Option<FamilyOf>,
    pub tests: Option<usize>,
    /// The interval lies inside the smallest effect of interest.
    #[serde(skip)]
    pub trifling: bool,
    /// The metric's.
    #[serde(skip)]
    pub smallest: Option<SmallestEffect>,
    /// The mean of the side that is compared with.
    #[serde(skip)]
    pub reference: Option<f64>,
    /// The difference is smaller than the measurement error.
    pub below_error: bool,
    /// That error, the larger of both sides', in the metric's unit; absent where the metric is no time of the
    /// client or its error unknown.
    pub error: Option<f64>,
    /// How the circumstances of both sides differ; then there is no test.
    pub circumstances: Option<String>,
    pub judgement: Judgement,
    pub why: Option<String>,
}

impl Contrast {
    /// Held against the error of the instruments of either side. What they cannot see they cannot show to
    /// be small: an error beyond the smallest effect leaves a difference that may matter.
    #[must_use]
    pub fn within(mut self, error: Option<f64>) -> Self {
        self.below_error = drowns(self.difference, error);
        self.error = error;
        let room = match self.smallest {
            Some(SmallestEffect::Absolute(size)) => Some(size),
            Some(SmallestEffect::Relative(share)) => self.reference.map(|mean| share * mean.abs()),
            None => None,
        };
        self.trifling &= error.is_none_or(|error| room.is_some_and(|room| error <= room));
        self
    }

    /// Without any figure.
    pub fn undefined(why: impl Into<String>) -> Self {
        Self {
            test: None,
            pairs: None,
            judged: None,
            difference: None,
            ci: None,
            ratio: None,
            ratio_ci: None,
            g: None,
            g_ci: None,
            p: None,
            p_adjusted: None,
            family: None,
            tests: None,
            trifling: false,
            smallest: None,
            reference: None,
            below_error: false,
            error: None,
            circumstances: None,
            judgement: Judgement::NotDefined,
            why: Some(why.into()),
        }
    }

    /// `of` against `to`; with `paired`, the values belong together one by one. Not judged yet.
    #[must_use]
    pub fn new(of: &Sample, to: &Sample, paired: bool, yardstick: Yardstick) -> Self {
        let judged = yardstick.quantity(of, to);
        let test = yardstick.test(of, to, paired);
        let difference = stats::compare(of, to, paired);
        let (ratio, ratio_ci) = match judged {
            Quantity::GeometricRatio => {
                let means = stats::geometric_mean(of).zip(stats::geometric_mean(to));
                let ratio = stats::log_ratio(of, to, paired);
                (
                    means.map(|(of, to)| of / to),
                    ratio.ok().and_then(|own| bounds(own.interval(LEVEL))),
                )
            }
            Quantity::Difference => {
                let ratio = stats::ratio(of, to, paired);
                (
                    Some(of.mean() / to.mean()),
                    ratio.ok().and_then(|ratio| bounds(ratio.interval(LEVEL))),
                )
            }
        };
        let g = stats::hedges_g(of, to);
        let mut contrast = Self {
            test: test.as_ref().ok().map(|_| if paired { Test::Paired } else { Test::Welch }),
            pairs: paired.then(|| of.n()),
            judged: Some(judged),
            difference: Some(of.mean() - to.mean()),
            ci: difference.ok().and_then(|e| bounds(e.interval(LEVEL))),
            ratio: ratio.filter(|ratio| ratio.is_finite()),
            ratio_ci,
            g: g.as_ref().ok().map(|g| g.value),
            g_ci: g.ok().and_then(|g| bounds(g.interval(LEVEL))),
            p: test.as_ref().ok().map(|estimate| estimate.p(0.0)),
            smallest: yardstick.smallest,
            reference: Some(to.mean()),
            ..Self::undefined("")
        };
        contrast.why = test.err().map(|reason| format!("no test: {reason}"));
        contrast.trifling = contrast.is_trifling();
        if of.sorted() == to.sorted() {
            contrast.judgement = Judgement::Same;
        }
        contrast
    }

    /// Whether the interval lies inside the smallest effect of interest: that of the ratio where the effect
    /// is a share of a positive mean, that of the difference where it has the metric's unit.
    fn is_trifling(&self) -> bool {
        match self.smallest {
            Some(SmallestEffect::Relative(share))
                if self.reference.is_some_and(|mean| mean > 0.0) =>
            {
                self.ratio_ci.is_some_and(|[low, high]| 1.0 - share <= low && high <= 1.0 + share)
            }
            Some(SmallestEffect::Absolute(size)) => {
                self.ci.is_some_and(|[low, high]| -size <= low && high <= size)
            }
            _ => false,
        }
    }

    /// By how much `of` is above `to` in what is judged: above 0 where it is. The scale is that of the
    /// quantity.
    #[must_use]
    pub fn above(&self) -> Option<f64> {
        match self.judged {
            Some(Quantity::GeometricRatio) => self.ratio.map(|ratio| ratio - 1.0),
            _ => self.difference,
        }
    }

    /// Only the means remain comparable, and only by eye.
    #[must_use]
    pub fn under_other_circumstances(self, differences: String) -> Self {
        let why = format!("measured under other circumstances: {differences}");
        Self {
            difference: self.difference,
            ratio: self.ratio,
            judged: self.judged,
            circumstances: Some(differences),
            ..Self::undefined(why)
        }
    }

    /// Its adjusted p, and within what.
    #[must_use]
    pub fn adjusted(&self) -> Option<Adjusted> {
        Some(Adjusted { p: self.p_adjusted?, of: self.family?, tests: self.tests? })
    }

    /// Both sides have a mean, found under the same circumstances.
    #[must_use]
    pub fn is_comparison(&self) -> bool {
        self.difference.is_some() && self.circumstances.is_none()
    }
}

fn bounds(interval: Result<Interval, Undefined>) -> Option<[f64; 2]> {
    interval.ok().map(|ci| [ci.low, ci.high]).filter(|ci| ci.iter().all(|end| end.is_finite()))
}

/// Adjusts the p of one family of contrasts, by the false discovery rate, and judges each by the direction of
/// its metric.
pub fn judge(of: FamilyOf, family: &mut [(Option<Better>, &mut Contrast)]) {
    let raw: Vec<f64> = family.iter().filter_map(|(_, contrast)| contrast.p).collect();
    let mut adjusted = stats::benjamini_hochberg(&raw).into_iter();
    for (better, contrast) in family {
        let own = contrast.p.and_then(|_| adjusted.next());
        contrast.judge(*better, own.map(|p| Adjusted { p, of, tests: raw.len() }));
    }
}

impl Contrast {
    /// Judged by its p within a family; without one nothing is better or worse.
    pub fn judge(&mut self, better: Option<Better>, adjusted: Option<Adjusted>) {
        self.p_adjusted = adjusted.map(|own| own.p);
        self.family = adjusted.map(|own| own.of);
        self.tests = adjusted.map(|own| own.tests);
        self.judgement = self.judgement(better);
        // nothing is no small difference, and what does not matter is smaller than the error by design
        self.below_error &= !matches!(self.judgement, Judgement::Same | Judgement::NoneThatMatters);
    }

    fn judgement(&self, better: Option<Better>) -> Judgement {
        if self.judgement == Judgement::Same {
            return Judgement::Same;
        }
        let (Some(above), Some(p)) = (self.above(), self.p_adjusted) else {
            return Judgement::NotDefined;
        };
        if self.trifling {
            return Judgement::NoneThatMatters;
        }
        if p >= ALPHA || self.below_error {
            return Judgement::Unclear;
        }
        match (better, above > 0.0) {
            (Some(Better::Higher), true) | (Some(Better::Lower), false) => Judgement::Better,
            (Some(_), _) => Judgement::Worse,
            (None, true) => Judgement::Higher,
            (None, false) => Judgement::Lower,
        }
    }
}
