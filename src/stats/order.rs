//! Percentiles of the population that runs are drawn from, by order statistics: no distribution is
//! assumed.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Interval, Sample, Undefined, checked};

/// The test of a percentile against a bound and its interval: the number of values below the bound is
/// binomial (Conover, "Practical Nonparametric Statistics", 3.2; for the median the sign test).
#[derive(Debug, Clone)]
pub struct QuantileTest<'s> {
    sample: &'s Sample,
    share: f64,
    binomial: Binomial,
}

impl<'s> QuantileTest<'s> {
    /// Of the percentile `percent`, 0 < percent < 100.
    pub fn new(sample: &'s Sample, percent: f64) -> Result<Self, Undefined> {
        let share = percent / 100.0;
        let out = Undefined::OutOfRange { what: "the percentile" };
        if !(share > 0.0 && share < 1.0) {
            return Err(out);
        }
        let binomial = Binomial::new(share, sample.n() as u64).map_err(|_| out)?;
        Ok(Self { sample, share, binomial })
    }

    /// Two-sided p of the hypothesis that the percentile is `bound`.
    #[must_use]
    pub fn p(&self, bound: f64) -> f64 {
        let sorted = self.sample.sorted();
        let up_to = sorted.partition_point(|value| *value <= bound) as u64;
        let below = sorted.partition_point(|value| *value < bound) as u64;
        // many values below speak for a lower percentile, few up to it for a higher one
        let lower = if below == 0 { 1.0 } else { self.binomial.sf(below - 1) };
        let higher = self.binomial.cdf(up_to);
        (2.0 * lower.min(higher)).min(1.0)
    }

    /// The values between which the percentile lies; a side is infinite where the sample is too small
    /// to bound it. All bounds whose p is not below 1 − level lie inside.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let tail = (1.0 - checked(level)?) / 2.0;
        let (sorted, n) = (self.sample.sorted(), self.sample.n());
        // the bound cannot lie under the value of this place without P(at most that many) < tail
        let low = (0..n).rev().find(|place| self.binomial.cdf(*place as u64) < tail);
        let high = (1..=n).find(|place| self.binomial.sf(*place as u64 - 1) < tail);
        Ok(Interval {
            low: low.map_or(f64::NEG_INFINITY, |place| sorted[place]),
            high: high.map_or(f64::INFINITY, |place| sorted[place - 1]),
        })
    }

    /// The fewest values that bound the percentile on one side at this level.
    pub fn fewest(&self, level: f64) -> Result<usize, Undefined> {
        let tail = (1.0 - checked(level)?) / 2.0;
        let beyond = self.share.min(1.0 - self.share);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a small positive number
        let enough = (tail.ln() / beyond.ln()).floor() as usize;
        Ok(enough + 1)
    }

    /// The sample's percentile.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sample.percentile(100.0 * self.share)
    }
}
