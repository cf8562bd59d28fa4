//! Student's t distribution.

use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};

/// The value below which a t-distributed variable with `freedom` degrees of freedom lies with
/// probability `p`. `None` unless 0 < `p` < 1 and `freedom` > 0.
///
/// Newton steps on the distribution function remove the error that the library's numerical inversion
/// of the incomplete beta function leaves.
#[must_use]
pub fn student_quantile(p: f64, freedom: f64) -> Option<f64> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?;
    // the upper tail keeps its digits where 1 − p would lose them
    let (tail, sign) = if p < 0.5 { (p, -1.0) } else { (1.0 - p, 1.0) };
    if tail >= 0.5 {
        return Some(0.0);
    }
    let mut x = t.inverse_cdf(tail).abs();
    for _ in 0..8 {
        let step = (t.sf(x) - tail) / t.pdf(x);
        if !step.is_finite() {
            break;
        }
        x += step;
        if step.abs() <= x.abs() * 1e-15 {
            break;
        }
    }
    x.is_finite().then_some(sign * x)
}

/// The probability that a t-distributed variable lies farther from 0 than `t`, on either side.
#[must_use]
pub(super) fn two_sided(t: f64, freedom: f64) -> f64 {
    2.0 * above(t.abs(), freedom)
}

/// The probability that a t-distributed variable lies above `t`.
#[must_use]
pub(super) fn above(t: f64, freedom: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| student.sf(t))
}
