//! The standard normal distribution.

use rand::{Rng, RngExt};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Φ(x).
pub(super) fn below(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// 1 − Φ(x), with its digits where it is small.
pub(super) fn above(x: f64) -> f64 {
    Normal::standard().sf(x)
}

/// A value drawn from the standard normal distribution.
pub(crate) fn deviate(rng: &mut impl Rng) -> f64 {
    // the quantile of exactly 0 is no number
    quantile(rng.random::<f64>().max(f64::EPSILON))
}

/// Φ⁻¹(p); infinite for 0 and 1. A Newton step removes what the library's inversion leaves.
pub(crate) fn quantile(p: f64) -> f64 {
    let normal = Normal::standard();
    // the tail keeps its digits where 1 − p would lose them
    let (tail, sign) = if p < 0.5 { (p, -1.0) } else { (1.0 - p, 1.0) };
    let x = -normal.inverse_cdf(tail);
    let step = (normal.sf(x) - tail) / normal.pdf(x);
    sign * if step.is_finite() { x + step } else { x }
}
