//! One set of runs against another: difference, ratio, effect size, test, judgement.

use serde::Serialize;

use crate::metrics::Better;
use crate::report::cell_table::drowns;
use crate::stats::{self, Interval, Sample, Undefined};

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
    /// Of the means.
    pub difference: Option<f64>,
    pub ci: Option<[f64; 2]>,
    /// Of the means.
    pub ratio: Option<f64>,
    /// Fieller's.
    pub ratio_ci: Option<[f64; 2]>,
    /// Hedges' g, by the pooled sd of the runs; paired or not.
    pub g: Option<f64>,
    /// Takes the runs for independent.
    pub g_ci: Option<[f64; 2]>,
    pub p: Option<f64>,
    /// Adjusted within the table, by Holm's correction unless the table says otherwise.
    pub p_adjusted: Option<f64>,
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
    /// Held against the error of the instruments of either side.
    #[must_use]
    pub fn within(mut self, error: Option<f64>) -> Self {
        self.below_error = drowns(self.difference, error);
        self.error = error;
        self
    }

    /// Without any figure.
    pub fn undefined(why: impl Into<String>) -> Self {
        Self {
            test: None,
            pairs: None,
            difference: None,
            ci: None,
            ratio: None,
            ratio_ci: None,
            g: None,
            g_ci: None,
            p: None,
            p_adjusted: None,
            below_error: false,
            error: None,
            circumstances: None,
            judgement: Judgement::NotDefined,
            why: Some(why.into()),
        }
    }

    /// `of` against `to`; with `paired`, the values belong together one by one. Not judged yet.
    #[must_use]
    pub fn new(of: &Sample, to: &Sample, paired: bool) -> Self {
        let estimate = stats::compare(of, to, paired);
        let ratio = stats::ratio(of, to, paired);
        let g = stats::hedges_g(of, to);
        let mut contrast = Self {
            test: estimate.as_ref().ok().map(|_| if paired { Test::Paired } else { Test::Welch }),
            pairs: paired.then(|| of.n()),
            difference: Some(of.mean() - to.mean()),
            ci: estimate.as_ref().ok().and_then(|e| bounds(e.interval(LEVEL))),
            ratio: Some(of.mean() / to.mean()).filter(|ratio| ratio.is_finite()),
            ratio_ci: ratio.ok().and_then(|ratio| bounds(ratio.interval(LEVEL))),
            g: g.as_ref().ok().map(|g| g.value),
            g_ci: g.ok().and_then(|g| bounds(g.interval(LEVEL))),
            p: estimate.as_ref().ok().map(|estimate| estimate.p(0.0)),
            ..Self::undefined("")
        };
        contrast.why = estimate.err().map(|reason| format!("no test: {reason}"));
        if of.sorted() == to.sorted() {
            contrast.judgement = Judgement::Same;
        }
        contrast
    }

    /// Only the means remain comparable, and only by eye.
    #[must_use]
    pub fn under_other_circumstances(self, differences: String) -> Self {
        let why = format!("measured under other circumstances: {differences}");
        Self {
            difference: self.difference,
            ratio: self.ratio,
            circumstances: Some(differences),
            ..Self::undefined(why)
        }
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

/// Adjusts the p of one family of contrasts and judges each by the direction of its metric.
pub fn judge(family: &mut [(Option<Better>, &mut Contrast)]) {
    let raw: Vec<f64> = family.iter().filter_map(|(_, contrast)| contrast.p).collect();
    let tested = family.iter_mut().filter(|(_, contrast)| contrast.p.is_some());
    for ((_, contrast), adjusted) in tested.zip(stats::holm(&raw)) {
        contrast.p_adjusted = Some(adjusted);
    }
    for (better, contrast) in family {
        contrast.judgement = judgement(contrast, *better);
        // nothing is no small difference
        contrast.below_error &= contrast.judgement != Judgement::Same;
    }
}

fn judgement(contrast: &Contrast, better: Option<Better>) -> Judgement {
    if contrast.judgement == Judgement::Same {
        return Judgement::Same;
    }
    let (Some(difference), Some(p)) = (contrast.difference, contrast.p_adjusted) else {
        return Judgement::NotDefined;
    };
    if p >= ALPHA || contrast.below_error {
        return Judgement::Unclear;
    }
    match (better, difference > 0.0) {
        (Some(Better::Higher), true) | (Some(Better::Lower), false) => Judgement::Better,
        (Some(_), _) => Judgement::Worse,
        (None, true) => Judgement::Higher,
        (None, false) => Judgement::Lower,
    }
}
