//! Intervals of statistics that have no formula of their own, by resampling.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sample::percentile;
use super::{Interval, Sample, Undefined, checked, normal};

/// Resamples that are drawn.
pub const REPLICATES: usize = 9999;

/// A statistic of one or two samples with its bias-corrected and accelerated (`BCa`) bootstrap.
///
/// Efron, "Better bootstrap confidence intervals", JASA 82 (1987). With few values a resample can only
/// repeat those, so the intervals are too short; how few are too few is left to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    pub value: f64,
    /// Sorted.
    replicates: Vec<f64>,
    bias: f64,
    acceleration: f64,
}

impl Bootstrap {
    /// Of one sample. The same seed gives the same interval.
    pub fn one(
        sample: &Sample,
        seed: u64,
        statistic: impl Fn(&Sample) -> Option<f64>,
    ) -> Result<Self, Undefined> {
        Self::of(&[sample], seed, |samples| statistic(&samples[0]))
    }

    /// Of two independent samples.
    pub fn two(
        x: &Sample,
        y: &Sample,
        seed: u64,
        statistic: impl Fn(&Sample, &Sample) -> Option<f64>,
    ) -> Result<Self, Undefined> {
        Self::of(&[x, y], seed, |samples| statistic(&samples[0], &samples[1]))
    }

    fn of(
        samples: &[&Sample],
        seed: u64,
        statistic: impl Fn(&[Sample]) -> Option<f64>,
    ) -> Result<Self, Undefined> {
        for sample in samples {
            Undefined::unless(sample, 2)?;
        }
        let whole: Vec<Sample> = samples.iter().map(|sample| (*sample).clone()).collect();
        let finite = |samples: &[Sample]| {
            statistic(samples).filter(|value| value.is_finite()).ok_or(Undefined::Resample)
        };
        let value = finite(&whole)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let replicates = (0..REPLICATES)
            .map(|_| {
                let drawn: Result<Vec<Sample>, Undefined> = samples
                    .iter()
                    .map(|sample| {
                        let values = sample.values();
                        let draw = |_| values[rng.random_range(0..values.len())];
                        resample((0..values.len()).map(draw).collect())
                    })
                    .collect();
                finite(&drawn?)
            })
            .collect::<Result<Vec<f64>, Undefined>>()?;
        Self::new(value, replicates, acceleration(&whole, &finite)?)
    }

    /// From the statistic of the data, those of the resamples, and the acceleration.
    pub(super) fn new(
        value: f64,
        mut replicates: Vec<f64>,
        acceleration: f64,
    ) -> Result<Self, Undefined> {
        replicates.sort_by(f64::total_cmp);
        let bias = normal::quantile(share_below(&replicates, value));
        if !bias.is_finite() || replicates.first() == replicates.last() {
            return Err(Undefined::NoSpread);
        }
        Ok(Self { value, replicates, bias, acceleration })
    }

    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let z = normal::quantile(0.5 + checked(level)? / 2.0);
        let at = |z: f64| {
            let shifted = self.bias + z;
            let p = normal::below(self.bias + shifted / (1.0 - self.acceleration * shifted));
            percentile(&self.replicates, 100.0 * p)
        };
        Ok(Interval { low: at(-z), high: at(z) })
    }

    /// Two-sided p of the hypothesis that the true value is `bound`: 1 − the level at which the interval
    /// ends there, up to the grain of the replicates. Never smaller than 2 ÷ (replicates + 1).
    #[must_use]
    pub fn p(&self, bound: f64) -> f64 {
        let smallest = 2.0 / (self.replicates.len() + 1) as f64;
        let w = normal::quantile(share_below(&self.replicates, bound)) - self.bias;
        if w.is_infinite() {
            return smallest;
        }
        let z = w / (1.0 + self.acceleration * w) - self.bias;
        (2.0 * normal::above(z.abs())).clamp(smallest, 1.0)
    }
}

fn resample(values: Vec<f64>) -> Result<Sample, Undefined> {
    Sample::new(values).map_err(|_| Undefined::Resample)
}

/// The share of sorted values below one, those equal to it counting one half.
fn share_below(sorted: &[f64], value: f64) -> f64 {
    let below = sorted.partition_point(|other| *other < value);
    let up_to = sorted.partition_point(|other| *other <= value);
    (below + up_to) as f64 / (2 * sorted.len()) as f64
}

/// Skewness of the statistic, by leaving out each value once.
fn acceleration(
    samples: &[Sample],
    statistic: &impl Fn(&[Sample]) -> Result<f64, Undefined>,
) -> Result<f64, Undefined> {
    let (mut cubes, mut squares) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let mut changed = samples.to_vec();
        let mut left_out = Vec::with_capacity(sample.n());
        for out in 0..sample.n() {
            let mut values = sample.values().to_vec();
            values.remove(out);
            changed[index] = resample(values)?;
            left_out.push(statistic(&changed)?);
        }
        let n = sample.n() as f64;
        let mean = left_out.iter().sum::<f64>() / n;
        let influence = |value: f64| (n - 1.0) * (mean - value) / n;
        cubes += left_out.iter().map(|value| influence(*value).powi(3)).sum::<f64>();
        squares += left_out.iter().map(|value| influence(*value).powi(2)).sum::<f64>();
    }
    // a median among ties does not move when one value is left out
    Ok(if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 })
}
