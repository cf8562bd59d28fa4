//! Values that statistics are taken of, and what describes them.

use super::{Interval, student_quantile};

/// Φ⁻¹(0.75).
const NORMAL_UPPER_QUARTILE: f64 = 0.674_489_750_196_081_7;

/// Relative error that a few operations on doubles leave.
pub(super) const ROUNDING: f64 = 1e-12;

/// Squares of such values, and sums of them, are still finite.
const LARGEST: f64 = 1e150;

/// One or more finite values, in the order in which they were given.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    values: Vec<f64>,
    sorted: Vec<f64>,
}

/// Values that are no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    #[error("a sample needs at least one value")]
    Empty,
    #[error("value {index} of the sample is not a finite number")]
    NotFinite { index: usize },
    #[error("value {index} of the sample is so large that its square is not a number")]
    TooLarge { index: usize },
}

impl Sample {
    pub fn new(values: Vec<f64>) -> Result<Self, SampleError> {
        if values.is_empty() {
            return Err(SampleError::Empty);
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(SampleError::NotFinite { index });
        }
        if let Some(index) = values.iter().position(|value| value.abs() > LARGEST) {
            return Err(SampleError::TooLarge { index });
        }
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        Ok(Self { values, sorted })
    }

    /// Number of values, at least 1.
    #[must_use]
    pub fn n(&self) -> usize {
        self.values.len()
    }

    /// The values in the order in which they were given.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values from the smallest to the largest.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// Whether the values differ by more than the rounding of their arithmetic: by more than 1e-12 of
    /// the largest. What varies less has no spread that a test could stand on.
    #[must_use]
    pub fn varies(&self) -> bool {
        let largest = self.min().abs().max(self.max().abs());
        self.max() - self.min() > ROUNDING * largest
    }

    #[must_use]
    pub fn min(&self) -> f64 {
        self.sorted[0]
    }

    #[must_use]
    pub fn max(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    /// Arithmetic mean, summed around the smallest value to keep the digits of long times.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let base = self.min();
        base + self.sorted.iter().map(|value| value - base).sum::<f64>() / self.n() as f64
    }

    /// Sample standard deviation (n − 1), by the two-pass algorithm. `None` for n < 2.
    #[must_use]
    pub fn sd(&self) -> Option<f64> {
        if self.n() < 2 {
            return None;
        }
        let mean = self.mean();
        let squares: f64 = self.sorted.iter().map(|value| (value - mean).powi(2)).sum();
        Some((squares / (self.n() - 1) as f64).sqrt())
    }

    #[must_use]
    pub fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// Percentile by linear interpolation between order statistics: type 7 of Hyndman & Fan,
    /// "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996); the default
    /// of `NumPy` and R. `percent` is held within 0 to 100.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.sorted, percent)
    }

    /// Median of the absolute deviations from the median, unscaled (Hampel 1974): half of the values
    /// lie no farther from the median than this. 0 when more than half of the values are equal.
    #[must_use]
    pub fn median_absolute_deviation(&self) -> f64 {
        let median = self.median();
        let mut deviations: Vec<f64> =
            self.values.iter().map(|value| (value - median).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        percentile(&deviations, 50.0)
    }

    /// The same divided by the 75th percentile of the standard normal distribution (0.6745), which makes
    /// it an estimate of the standard deviation of normal data.
    #[must_use]
    pub fn scaled_median_absolute_deviation(&self) -> f64 {
        self.median_absolute_deviation() / NORMAL_UPPER_QUARTILE
    }

    /// Coefficient of variation, sd ÷ |mean|. `None` for n < 2 and for a mean of 0.
    #[must_use]
    pub fn cv(&self) -> Option<f64> {
        let mean = self.mean();
        if mean == 0.0 { None } else { Some(self.sd()? / mean.abs()) }
    }

    /// Confidence interval of the mean, mean ± t(n − 1) · sd / √n (Student 1908): exact for normal
    /// data. `level` is e.g. 0.95. `None` for n < 2 and for a level outside 0 to 1.
    #[must_use]
    pub fn mean_ci(&self, level: f64) -> Option<Interval> {
        if !(level > 0.0 && level < 1.0) {
            return None;
        }
        let sd = self.sd()?;
        let t = student_quantile(0.5 + level / 2.0, (self.n() - 1) as f64)?;
        let half = t * sd / (self.n() as f64).sqrt();
        Some(Interval { low: self.mean() - half, high: self.mean() + half })
    }
}

/// [`Sample::percentile`] of one or more sorted values.
pub(super) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = last as f64 * percent.clamp(0.0, 100.0) / 100.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 to n − 1
    let below = position.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (position - below as f64)
}
