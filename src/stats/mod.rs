//! Pure statistics of small samples, so that every figure in a report has one definition.
//!
//! Knows nothing of runs or metrics. A statistic that needs more values than there are is `None`,
//! never 0. Checked against `NumPy` and `SciPy` to 1e-9 (`tests/golden/stats.py`).

mod student;

#[cfg(test)]
mod tests;

pub use student::student_quantile;

/// Φ⁻¹(0.75).
const NORMAL_UPPER_QUARTILE: f64 = 0.674_489_750_196_081_7;

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
}

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Sample {
    pub fn new(values: Vec<f64>) -> Result<Self, SampleError> {
        if values.is_empty() {
            return Err(SampleError::Empty);
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(SampleError::NotFinite { index });
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
        let position = (self.n() - 1) as f64 * percent.clamp(0.0, 100.0) / 100.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 to n − 1
        let below = position.floor() as usize;
        let above = (below + 1).min(self.n() - 1);
        let (low, high) = (self.sorted[below], self.sorted[above]);
        low + (high - low) * (position - below as f64)
    }

    /// Median of the absolute deviations from the median, unscaled (Hampel 1974): half of the values
    /// lie no farther from the median than this. 0 when more than half of the values are equal.
    #[must_use]
    pub fn median_absolute_deviation(&self) -> f64 {
        let median = self.median();
        let deviations = self.values.iter().map(|value| (value - median).abs()).collect();
        Self::new(deviations).map_or(f64::INFINITY, |deviations| deviations.median())
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
