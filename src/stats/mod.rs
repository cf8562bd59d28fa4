//! Pure statistics of small samples, so that every figure in a report has one definition.
//!
//! Knows nothing of runs or metrics. What cannot be said is `None` or an [`Undefined`] with the reason,
//! never 0 and never not-a-number. Checked against `NumPy` and `SciPy` to 1e-9
//! (`tests/golden/stats.py`, `robust.py`). Distributions are the library's ([`statrs`]).

mod bootstrap;
mod correlation;
mod effect;
mod estimate;
mod log_ratio;
mod lognormal;
mod multiple;
mod noncentral;
mod normal;
mod order;
mod outliers;
mod permutation;
mod proportion;
mod ranks;
mod ratio;
mod sample;
mod sample_size;
mod sequential;
mod shift;
mod spread;
mod student;

#[cfg(test)]
mod tests;

pub use bootstrap::{Bootstrap, REPLICATES};
pub use correlation::{Correlation, pearson, spearman};
pub use effect::{HedgesG, cliffs_delta, hedges_g};
pub use estimate::{Estimate, compare, difference, mean, paired_difference, pairs_tell};
pub use log_ratio::{LogRatio, geometric_mean, log_ratio, logarithms};
pub use lognormal::{LognormalMean, lognormal_difference, lognormal_mean};
pub use multiple::{benjamini_hochberg, holm};
pub use order::QuantileTest;
pub use outliers::{FlagRates, OutlierRule, flag_rate, flag_rates, outliers};
pub use permutation::{Permutation, paired_permutation, permutation};
pub use proportion::wilson;
pub use ranks::{MannWhitney, mann_whitney};
pub use ratio::{Ratio, ratio};
pub use sample::{Sample, SampleError};
pub use sample_size::{
    Needed, POWER, correlation_runs, difference_runs, equivalence_runs, needed_interval,
    paired_runs,
};
pub use sequential::obrien_fleming;
pub use shift::{Shift, paired_shift, shift};
pub use spread::{Spread, SpreadRatio, looks_normal, spread, spread_ratio};
pub use student::student_quantile;

pub(crate) use normal::deviate as normal_deviate;
pub(crate) use spread::chi_squared_quantile;

/// Why a statistic has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Undefined {
    #[error("it needs {needed} values, there are {found}")]
    TooFew { needed: usize, found: usize },
    #[error("the values do not vary")]
    NoSpread,
    #[error("pairs need as many values on both sides, there are {left} and {right}")]
    Unpaired { left: usize, right: usize },
    #[error("the values lie exactly on a line")]
    Exact,
    #[error("a value is not above 0, so that it has no logarithm")]
    NotPositive,
    #[error("the denominator cannot be told from 0")]
    ZeroDenominator,
    #[error("the statistic is not defined for a resample of the values")]
    Resample,
    #[error("{what} lies outside its range")]
    OutOfRange { what: &'static str },
}

impl Undefined {
    pub(crate) fn unless(sample: &Sample, needed: usize) -> Result<(), Self> {
        match sample.n() {
            found if found < needed => Err(Self::TooFew { needed, found }),
            _ => Ok(()),
        }
    }
}

/// A closed interval; a bound may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A level of confidence, 0 < level < 1.
fn checked(level: f64) -> Result<f64, Undefined> {
    if level > 0.0 && level < 1.0 {
        Ok(level)
    } else {
        Err(Undefined::OutOfRange { what: "the level" })
    }
}
