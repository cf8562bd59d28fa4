//! How far values lie apart: one standard deviation against a bound, and two against each other.
//!
//! A few values say little of the tails that they were drawn from, and an interval of a standard deviation
//! depends on those. So the interval of one sample is named after what it takes for granted, and the ratio of
//! two estimates the tails from both samples together.

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF};

use super::{Interval, Sample, Undefined, checked, normal};

/// The standard deviation of one sample of normal data.
///
/// The interval is the wider, on each side, of the exact one for normal data, (n − 1) · s² ÷ χ², and, from
/// five values on, that of Bonett, "Approximate confidence interval for standard deviation of nonnormal
/// distributions", Computational Statistics & Data Analysis 50 (2006), which widens with the kurtosis of the
/// values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Sample standard deviation, above 0.
    pub value: f64,
    n: f64,
    /// Variance of the logarithm of the sample variance, by the kurtosis of the values.
    of_log: Option<f64>,
}

/// Fewer values than these have no kurtosis to speak of.
const FEWEST_FOR_KURTOSIS: usize = 5;

/// The standard deviation of a sample with its errors.
pub fn spread(sample: &Sample) -> Result<Spread, Undefined> {
    let sd = sample.sd().ok_or(Undefined::TooFew { needed: 2, found: sample.n() })?;
    if !sample.varies() {
        return Err(Undefined::NoSpread);
    }
    let n = sample.n() as f64;
    let of_log = (sample.n() >= FEWEST_FOR_KURTOSIS).then(|| {
        let kurtosis = n * fourth_powers(sample, trimmed_mean(sample)) / squares(sample).powi(2);
        log_variance_error(kurtosis, n)
    });
    Ok(Spread { value: sd, n, of_log })
}

impl Spread {
    /// Of the standard deviation.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let tail = (1.0 - checked(level)?) / 2.0;
        let exact = self.exact(tail)?;
        let Some(wide) = self.wide(normal::quantile(1.0 - tail)) else { return Ok(exact) };
        Ok(Interval { low: exact.low.min(wide.low), high: exact.high.max(wide.high) })
    }

    /// Two-sided p of the hypothesis that the true standard deviation is `bound` (above 0): below 1 − level
    /// exactly when the bound lies outside the interval.
    pub fn p(&self, bound: f64) -> Result<f64, Undefined> {
        if !(bound > 0.0 && bound.is_finite()) {
            return Err(Undefined::OutOfRange { what: "the bound of a standard deviation" });
        }
        let chi = chi_squared(self.n - 1.0)?;
        let at = (self.n - 1.0) * (self.value / bound).powi(2);
        let exact = (2.0 * chi.cdf(at).min(chi.sf(at))).min(1.0);
        Ok(if self.of_log.is_some() { exact.max(self.wide_p(bound)) } else { exact })
    }

    fn exact(&self, tail: f64) -> Result<Interval, Undefined> {
        let freedom = self.n - 1.0;
        let end = |p: f64| Ok((freedom / chi_squared_quantile(p, freedom)?).sqrt() * self.value);
        Ok(Interval { low: end(1.0 - tail)?, high: end(tail)? })
    }

    /// Bonett's interval; unbounded above where z is not below n.
    fn wide(&self, z: f64) -> Option<Interval> {
        let half = z * self.of_log?.sqrt();
        let small = if z < self.n { (self.n / (self.n - z)).ln() } else { f64::INFINITY };
        let center = 2.0 * self.value.ln() + small;
        let se = half * small.exp();
        let end = |log: f64| (log / 2.0).exp();
        if small.is_infinite() {
            return Some(Interval { low: 0.0, high: f64::INFINITY });
        }
        Some(Interval { low: end(center - se), high: end(center + se) })
    }

    /// The p at which Bonett's interval ends at `bound`, by halving.
    fn wide_p(&self, bound: f64) -> f64 {
        let outside = |z: f64| self.wide(z).is_some_and(|interval| !interval.contains(bound));
        let (mut low, mut high) = (0.0, self.n.min(40.0));
        if !outside(low) {
            return 1.0;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if outside(middle) { low = middle } else { high = middle }
        }
        2.0 * normal::above(low)
    }
}

/// The ratio of two standard deviations of independent samples, whose tails may be heavy if they are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpreadRatio {
    /// sd(x) ÷ sd(y).
    pub value: f64,
    /// Standard error of its logarithm.
    error: f64,
}

/// sd(x) ÷ sd(y): the logarithm of the ratio of the variances is taken for normal, with a variance from the
/// kurtosis of both samples together, taken around their medians (Layard, "Robust large-sample tests for
/// homogeneity of variances", JASA 68 (1973), with the correction of small samples of Bonett (2006)).
pub fn spread_ratio(x: &Sample, y: &Sample) -> Result<SpreadRatio, Undefined> {
    for sample in [x, y] {
        Undefined::unless(sample, 3)?;
        if !sample.varies() {
            return Err(Undefined::NoSpread);
        }
    }
    let of = |sample: &Sample| sample.sd().unwrap_or(f64::NAN);
    let (n, m) = (x.n() as f64, y.n() as f64);
    let fourth = fourth_powers(x, x.median()) + fourth_powers(y, y.median());
    // each sample's squares are scaled to the other's, so that unlike spreads do not count as heavy tails
    let (sx, sy) = (squares(x), squares(y));
    let scaled = fourth_powers(x, x.median()) / (sx / n).powi(2)
        + fourth_powers(y, y.median()) / (sy / m).powi(2);
    let pooled = (n + m) * fourth / (sx + sy).powi(2);
    let kurtosis = pooled.max(scaled / (n + m));
    let variance = log_variance_error(kurtosis, n) + log_variance_error(kurtosis, m);
    Ok(SpreadRatio { value: of(x) / of(y), error: variance.sqrt() / 2.0 })
}

impl SpreadRatio {
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let half = normal::quantile(0.5 + checked(level)? / 2.0) * self.error;
        let center = self.value.ln();
        Ok(Interval { low: (center - half).exp(), high: (center + half).exp() })
    }

    /// Two-sided p of the hypothesis that the true ratio is `bound`, above 0.
    pub fn p(&self, bound: f64) -> Result<f64, Undefined> {
        if !(bound > 0.0 && bound.is_finite()) {
            return Err(Undefined::OutOfRange { what: "the bound of a ratio" });
        }
        Ok((2.0 * normal::above(((self.value / bound).ln() / self.error).abs())).min(1.0))
    }
}

/// Whether values may be normal: the statistic of Anderson & Darling, "A test of goodness of fit", JASA 49
/// (1954), for unknown mean and variance, with Stephens' correction of small samples, against its critical
/// value at 10 % (0.631). `None` below eight values, of which nothing can be said.
#[must_use]
pub fn looks_normal(sample: &Sample) -> Option<bool> {
    const FEWEST: usize = 8;
    const CRITICAL: f64 = 0.631;
    let sd = sample.sd().filter(|_| sample.n() >= FEWEST && sample.varies())?;
    let n = sample.n() as f64;
    let mean = sample.mean();
    let z: Vec<f64> = sample.sorted().iter().map(|value| (value - mean) / sd).collect();
    let sum: f64 = z
        .iter()
        .zip(z.iter().rev())
        .zip(0_u32..)
        .map(|((low, high), index)| {
            let weight = 2.0 * f64::from(index) + 1.0;
            let tiny = f64::MIN_POSITIVE;
            weight * (normal::below(*low).max(tiny).ln() + normal::above(*high).max(tiny).ln())
        })
        .sum();
    let statistic = (-n - sum / n) * (1.0 + 0.75 / n + 2.25 / (n * n));
    Some(statistic < CRITICAL)
}

fn squares(sample: &Sample) -> f64 {
    let mean = sample.mean();
    sample.values().iter().map(|value| (value - mean).powi(2)).sum()
}

fn fourth_powers(sample: &Sample, center: f64) -> f64 {
    sample.values().iter().map(|value| (value - center).powi(4)).sum()
}

/// The mean without the share 1 ÷ (2 √(n − 4)) of values at each end, as Bonett takes it.
fn trimmed_mean(sample: &Sample) -> f64 {
    let n = sample.n();
    let share = 1.0 / (2.0 * ((n - 4) as f64).sqrt());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most half of n
    let cut = ((n as f64 * share).floor() as usize).min((n - 1) / 2);
    let kept = &sample.sorted()[cut..n - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// Variance of the logarithm of a sample variance of n values with this kurtosis (3 for normal data).
fn log_variance_error(kurtosis: f64, n: f64) -> f64 {
    ((kurtosis - (n - 3.0) / n) / (n - 1.0)).max(f64::MIN_POSITIVE)
}

fn chi_squared(freedom: f64) -> Result<ChiSquared, Undefined> {
    // the library inverts no distribution without end
    let known = ChiSquared::new(freedom).ok().filter(|_| freedom.is_finite());
    known.ok_or(Undefined::OutOfRange { what: "the degrees of freedom" })
}

/// The value below which a χ²-distributed variable lies with probability `p`. Newton steps remove the error
/// that the library's inversion leaves.
pub(crate) fn chi_squared_quantile(p: f64, freedom: f64) -> Result<f64, Undefined> {
    let chi = chi_squared(freedom)?;
    let mut x = chi.inverse_cdf(p).max(f64::MIN_POSITIVE);
    for _ in 0..50 {
        // the smaller tail keeps its digits
        let off = if p < 0.5 { chi.cdf(x) - p } else { (1.0 - p) - chi.sf(x) };
        let step = off / chi.pdf(x);
        if !step.is_finite() {
            break;
        }
        let next = (x - step).max(x / 4.0);
        let moved = (next - x).abs();
        x = next;
        if moved <= x * 1e-15 {
            break;
        }
    }
    Ok(x)
}
