//! The ratio of two means.

use super::estimate::{Estimate, paired, welch};
use super::{Interval, Sample, Undefined, checked};

/// mean(of) ÷ mean(to): the value, and the test of "mean(of) = bound · mean(to)".
#[derive(Debug, Clone)]
pub struct Ratio<'s> {
    pub value: f64,
    of: &'s Sample,
    to: &'s Sample,
    paired: bool,
}

/// Steps of halving after which the bounds no longer move.
const HALVINGS: usize = 200;

/// mean(of) ÷ mean(to); `pairs`: the values belong together one by one.
pub fn ratio<'s>(of: &'s Sample, to: &'s Sample, pairs: bool) -> Result<Ratio<'s>, Undefined> {
    let ratio = Ratio { value: of.mean() / to.mean(), of, to, paired: pairs };
    if !ratio.value.is_finite() {
        return Err(Undefined::ZeroDenominator);
    }
    // values that are proportional leave nothing to tell the ratio's error by
    ratio.against(ratio.value)?;
    Ok(ratio)
}

impl Ratio<'_> {
    /// mean(of) − bound · mean(to) with its error: Welch's for independent samples, of the differences
    /// for pairs.
    fn against(&self, bound: f64) -> Result<Estimate, Undefined> {
        if self.paired { paired(self.of, self.to, bound) } else { welch(self.of, self.to, bound) }
    }

    /// Two-sided p of the hypothesis that the true ratio is `bound`.
    pub fn p(&self, bound: f64) -> Result<f64, Undefined> {
        Ok(self.against(bound)?.p(0.0))
    }

    /// All bounds that the test at 1 − level does not reject: Fieller's interval ("Some problems in
    /// interval estimation", JRSS B 16 (1954)), with Welch's degrees of freedom for independent
    /// samples. It is bounded only when the denominator can be told from 0.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let level = checked(level)?;
        self.denominator(level)?;
        let inside = |bound: f64| -> Result<bool, Undefined> {
            // values that are proportional have no spread at exactly their ratio
            let estimate = match self.against(bound) {
                Err(Undefined::NoSpread) => return Ok(false),
                estimate => estimate?,
            };
            Ok(estimate.p(0.0) >= 1.0 - level)
        };
        let side = |sign: f64| -> Result<f64, Undefined> {
            let mut step = self.value.abs().max(f64::MIN_POSITIVE) * 1e-3;
            let mut near = self.value;
            let mut far = self.value + sign * step;
            while inside(far)? {
                (near, step) = (far, step * 2.0);
                far = self.value + sign * step;
                if !far.is_finite() {
                    return Err(Undefined::ZeroDenominator);
                }
            }
            for _ in 0..HALVINGS {
                let middle = near + (far - near) / 2.0;
                if middle.to_bits() == near.to_bits() || middle.to_bits() == far.to_bits() {
                    break;
                }
                if inside(middle)? { near = middle } else { far = middle }
            }
            Ok(near)
        };
        Ok(Interval { low: side(-1.0)?, high: side(1.0)? })
    }

    /// Fails unless the mean of the denominator differs from 0 at this level.
    fn denominator(&self, level: f64) -> Result<(), Undefined> {
        match super::mean(self.to) {
            Ok(mean) if mean.interval(level)?.contains(0.0) => Err(Undefined::ZeroDenominator),
            Err(Undefined::NoSpread) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
