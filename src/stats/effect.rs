//! How large a difference is, apart from units.

use statrs::function::gamma::ln_gamma;

use super::noncentral::noncentral_t_below;
use super::{Interval, Sample, Undefined, checked, normal};

/// A standardised difference of means with the sizes of both samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgesG {
    pub value: f64,
    /// What takes the upward bias of small samples out of Cohen's d.
    correction: f64,
    t: f64,
    n: f64,
    m: f64,
}

/// (mean(x) − mean(y)) ÷ pooled sd, corrected for small samples with the exact factor of Hedges,
/// "Distribution theory for Glass's estimator of effect size and related estimators", Journal of
/// Educational Statistics 6 (1981).
#[expect(clippy::many_single_char_names, reason = "as in the formula's source")]
pub fn hedges_g(x: &Sample, y: &Sample) -> Result<HedgesG, Undefined> {
    let sd =
        |sample: &Sample| sample.sd().ok_or(Undefined::TooFew { needed: 2, found: sample.n() });
    let (sd_x, sd_y) = (sd(x)?, sd(y)?);
    if !x.varies() && !y.varies() {
        return Err(Undefined::NoSpread);
    }
    let (n, m) = (x.n() as f64, y.n() as f64);
    let freedom = n + m - 2.0;
    let pooled = (((n - 1.0) * sd_x * sd_x + (m - 1.0) * sd_y * sd_y) / freedom).sqrt();
    let d = (x.mean() - y.mean()) / pooled;
    let correction =
        (ln_gamma(freedom / 2.0) - ln_gamma((freedom - 1.0) / 2.0)).exp() / (freedom / 2.0).sqrt();
    Ok(HedgesG { value: correction * d, correction, t: d / (1.0 / n + 1.0 / m).sqrt(), n, m })
}

impl HedgesG {
    /// The effects under which the t that was seen is not in a tail: exact for normal data of equal
    /// variance, by the noncentral t distribution (Cumming & Finch, "A primer on the understanding, use,
    /// and calculation of confidence intervals", Educational and Psychological Measurement 61 (2001)).
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let tail = (1.0 - checked(level)?) / 2.0;
        let freedom = self.n + self.m - 2.0;
        // The noncentrality at which `p` of the distribution lies below t; that share falls as it grows. In
        // normal quantiles it does so almost along a line, so a secant needs few steps.
        let noncentrality = |p: f64| {
            let z = normal::quantile(p);
            let miss = |at: f64| normal::quantile(noncentral_t_below(self.t, freedom, at)) - z;
            let spread = (1.0 + self.t * self.t / (2.0 * freedom)).sqrt();
            let width = 2.0 * normal::quantile(1.0 - tail / 2.0) * (1.0 + self.t.abs());
            root(miss, self.t - z * spread, self.t - width, self.t + width)
        };
        let scale = self.correction * (1.0 / self.n + 1.0 / self.m).sqrt();
        Ok(Interval { low: scale * noncentrality(1.0 - tail), high: scale * noncentrality(tail) })
    }
}

/// Where a falling function is 0: secants from `start`, halves of what is left of `low` to `high` where a
/// secant leads out of it.
fn root(function: impl Fn(f64) -> f64, start: f64, mut low: f64, mut high: f64) -> f64 {
    const MOST: usize = 100;
    const NEAR: f64 = 1e-13;
    let mut at = start;
    let mut before: Option<(f64, f64)> = None;
    for _ in 0..MOST {
        if !(low < at && at < high) {
            at = low + (high - low) / 2.0;
        }
        let value = function(at);
        if value > 0.0 {
            low = at;
        } else {
            high = at;
        }
        // Through an infinite value leads no secant.
        let finite = before.filter(|(_, y)| y.is_finite());
        let next = finite.map_or(f64::NAN, |(x, y)| at - value * (at - x) / (value - y));
        let next = if next.is_finite() { next } else { low + (high - low) / 2.0 };
        if value == 0.0 || (next - at).abs() <= NEAR * (1.0 + at.abs()) {
            return at;
        }
        before = Some((at, value));
        at = next;
    }
    at
}

/// P(x > y) − P(x < y) over all pairs: from −1 to 1. Cliff, "Dominance statistics: ordinal analyses to
/// answer ordinal questions", Psychological Bulletin 114 (1993).
#[must_use]
pub fn cliffs_delta(x: &Sample, y: &Sample) -> f64 {
    let below = |value: f64| y.sorted().partition_point(|other| *other < value) as f64;
    let up_to = |value: f64| y.sorted().partition_point(|other| *other <= value) as f64;
    let m = y.n() as f64;
    let sum: f64 = x.values().iter().map(|value| below(*value) - (m - up_to(*value))).sum();
    sum / (x.n() as f64 * m)
}
