//! The ratio of two geometric means.
//!
//! Times and rates are positive and skewed: what lengthens one multiplies it. Their logarithms are far
//! closer to normal, and a difference of the means of logarithms is a ratio of geometric means. Bland &
//! Altman, "The use of transformation when comparing two means", BMJ 312 (1996).

use super::estimate::{Estimate, compare};
use super::{Interval, Sample, Undefined};

/// Geometric mean of one side ÷ that of the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// Of the logarithm of the ratio: mean log(of) − mean log(to).
    pub log: Estimate,
}

impl LogRatio {
    #[must_use]
    pub fn value(&self) -> f64 {
        self.log.value.exp()
    }

    /// That of the logarithm, carried back; it holds no ratio of 0 or below.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let log = self.log.interval(level)?;
        Ok(Interval { low: log.low.exp(), high: log.high.exp() })
    }

    /// Two-sided p of the hypothesis that the true ratio is `bound`; `None` unless it is above 0.
    #[must_use]
    pub fn p(&self, bound: f64) -> Option<f64> {
        (bound > 0.0).then(|| self.log.p(bound.ln()))
    }
}

/// `of` against `to` on the logarithm: the paired t test for pairs, Welch's for independent samples.
pub fn log_ratio(of: &Sample, to: &Sample, pairs: bool) -> Result<LogRatio, Undefined> {
    Ok(LogRatio { log: compare(&logarithms(of)?, &logarithms(to)?, pairs)? })
}

/// exp of the mean of the logarithms; `None` unless all values are above 0.
#[must_use]
pub fn geometric_mean(sample: &Sample) -> Option<f64> {
    Some(logarithms(sample).ok()?.mean().exp())
}

/// The logarithms of values that are all above 0, in their order.
pub fn logarithms(sample: &Sample) -> Result<Sample, Undefined> {
    if sample.min() <= 0.0 {
        return Err(Undefined::NotPositive);
    }
    // values that vary by rounding alone do so on the logarithm, too
    if !sample.varies() {
        let one = sample.median().ln();
        return Sample::new(vec![one; sample.n()]).map_err(|_| Undefined::NotPositive);
    }
    let logs = sample.values().iter().map(|value| value.ln()).collect();
    Sample::new(logs).map_err(|_| Undefined::NotPositive)
}
