//! Estimates with a standard error: means and their differences, by Student's t.
//!
//! Interval and test come from the same three numbers, so they cannot disagree: `bound` lies outside
//! the interval at a level exactly when its p is below 1 − level.

use super::sample::ROUNDING;
use super::{Interval, Sample, Undefined, checked, student, student_quantile};

/// A value, its standard error (> 0) and the degrees of freedom (> 0) of that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub standard_error: f64,
    pub freedom: f64,
}

impl Estimate {
    /// value ± t(freedom) · standard error.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let t = student_quantile(0.5 + checked(level)? / 2.0, self.freedom);
        let half = t.ok_or(Undefined::OutOfRange { what: "the level" })? * self.standard_error;
        Ok(Interval { low: self.value - half, high: self.value + half })
    }

    /// Standard errors from `bound` to the value.
    #[must_use]
    pub fn t(&self, bound: f64) -> f64 {
        (self.value - bound) / self.standard_error
    }

    /// Two-sided p of the hypothesis that the true value is `bound`.
    #[must_use]
    pub fn p(&self, bound: f64) -> f64 {
        student::two_sided(self.t(bound), self.freedom)
    }

    /// p of two one-sided tests for equivalence: the larger p of "not above −margin" and "not below
    /// +margin". It is below α exactly when the interval at level 1 − 2α lies inside ±margin.
    ///
    /// Schuirmann, "A comparison of the two one-sided tests procedure and the power approach",
    /// Journal of Pharmacokinetics and Biopharmaceutics 15 (1987).
    #[must_use]
    pub fn equivalence_p(&self, margin: f64) -> f64 {
        let above_low = student::above(self.t(-margin), self.freedom);
        let below_high = student::above(-self.t(margin), self.freedom);
        above_low.max(below_high)
    }

    /// p of the hypothesis that the true value lies within ±margin, for a value outside of it. It is
    /// below α exactly when the interval at level 1 − 2α lies outside ±margin.
    #[must_use]
    pub fn outside_p(&self, margin: f64) -> f64 {
        student::above((self.value.abs() - margin) / self.standard_error, self.freedom)
    }
}

/// The mean of one sample (Student, "The probable error of a mean", Biometrika 6 (1908)).
pub fn mean(sample: &Sample) -> Result<Estimate, Undefined> {
    let (variance, freedom) = spread(sample)?;
    if !sample.varies() {
        return Err(Undefined::NoSpread);
    }
    Ok(Estimate { value: sample.mean(), standard_error: variance.sqrt(), freedom })
}

/// mean(x) − mean(y) of independent samples whose variances may differ.
///
/// Welch, "The generalization of 'Student's' problem when several different population variances are
/// involved", Biometrika 34 (1947); degrees of freedom after Satterthwaite (1946).
pub fn difference(x: &Sample, y: &Sample) -> Result<Estimate, Undefined> {
    welch(x, y, 1.0)
}

/// mean(x) − factor · mean(y).
pub(super) fn welch(x: &Sample, y: &Sample, factor: f64) -> Result<Estimate, Undefined> {
    let ((of_x, freedom_x), (of_y, freedom_y)) = (spread(x)?, spread(y)?);
    if !x.varies() && !y.varies() {
        return Err(Undefined::NoSpread);
    }
    let of_y = factor * factor * of_y;
    let variance = of_x + of_y;
    let (share_x, share_y) = (of_x / variance, of_y / variance);
    Ok(Estimate {
        value: x.mean() - factor * y.mean(),
        standard_error: variance.sqrt(),
        freedom: 1.0 / (share_x * share_x / freedom_x + share_y * share_y / freedom_y),
    })
}

/// The mean of x − y over pairs, given in the same order on both sides.
pub fn paired_difference(x: &Sample, y: &Sample) -> Result<Estimate, Undefined> {
    paired(x, y, 1.0)
}

/// mean(x) − mean(y), of pairs or of independent samples.
pub fn compare(x: &Sample, y: &Sample, pairs: bool) -> Result<Estimate, Undefined> {
    if pairs { paired_difference(x, y) } else { difference(x, y) }
}

/// Whether the differences of pairs are what to test by. Pairs that all differ by the same leave nothing
/// to test by; the values themselves may.
#[must_use]
pub fn pairs_tell(x: &Sample, y: &Sample) -> bool {
    paired_difference(x, y).is_ok() || difference(x, y).is_err()
}

/// The mean of x − factor · y over pairs.
pub(super) fn paired(x: &Sample, y: &Sample, factor: f64) -> Result<Estimate, Undefined> {
    if x.n() != y.n() {
        return Err(Undefined::Unpaired { left: x.n(), right: y.n() });
    }
    Undefined::unless(x, 2)?;
    let pairs = x.values().iter().zip(y.values());
    let differences: Vec<f64> = pairs.map(|(x, y)| x - factor * y).collect();
    let largest = |sample: &Sample| sample.min().abs().max(sample.max().abs());
    let scale = largest(x).max(factor.abs() * largest(y));
    let differences =
        Sample::new(differences).map_err(|_| Undefined::OutOfRange { what: "a difference" })?;
    // differences of large numbers keep the rounding of those
    if differences.max() - differences.min() <= ROUNDING * scale {
        return Err(Undefined::NoSpread);
    }
    let (variance, freedom) = spread(&differences)?;
    Ok(Estimate { value: differences.mean(), standard_error: variance.sqrt(), freedom })
}

/// Variance of the mean and its degrees of freedom.
fn spread(sample: &Sample) -> Result<(f64, f64), Undefined> {
    let sd = sample.sd().ok_or(Undefined::TooFew { needed: 2, found: sample.n() })?;
    Ok((sd * sd / sample.n() as f64, (sample.n() - 1) as f64))
}
