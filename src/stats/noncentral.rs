//! The noncentral t distribution, which the distribution library lacks: the power of t tests.

use statrs::function::beta::beta_reg;
use statrs::function::gamma::{gamma_ur, ln_gamma};

use super::normal;

/// Above this the first term of the series is smaller than any double.
const LARGEST_SERIES: f64 = 37.62;
/// Above this many degrees of freedom the normal approximation is good, and the integral slow.
const LARGEST_INTEGRAL: f64 = 1e5;
const MOST_TERMS: usize = 100_000;

/// The probability that a t with these degrees of freedom and this noncentrality lies below `t`.
///
/// Lenth, "Algorithm AS 243: cumulative distribution function of the non-central t distribution",
/// Applied Statistics 38 (1989); for a large noncentrality the integral of its definition, and with very
/// many degrees of freedom the normal approximation of Abramowitz & Stegun, 26.7.10.
#[expect(clippy::many_single_char_names, reason = "as in the formula's source")]
pub(super) fn noncentral_t_below(t: f64, freedom: f64, noncentrality: f64) -> f64 {
    if t < 0.0 {
        return 1.0 - noncentral_t_below(-t, freedom, -noncentrality);
    }
    if noncentrality.abs() > LARGEST_SERIES && freedom <= LARGEST_INTEGRAL {
        return integral(t, freedom, noncentrality);
    }
    if noncentrality.abs() > LARGEST_SERIES {
        let z = t * (1.0 - 1.0 / (4.0 * freedom)) - noncentrality;
        return normal::below(z / (1.0 + t * t / (2.0 * freedom)).sqrt());
    }
    let base = normal::below(-noncentrality);
    let x = t * t / (t * t + freedom);
    if x <= 0.0 {
        return base;
    }
    let lambda = noncentrality * noncentrality;
    let (mut a, b) = (0.5, freedom / 2.0);
    let rest = (b * (-x).ln_1p()).exp();
    let mut p = 0.5 * (-lambda / 2.0).exp();
    let mut q = (2.0 / std::f64::consts::PI).sqrt() * p * noncentrality;
    let mut left = 0.5 - p;
    let ln_beta = std::f64::consts::PI.sqrt().ln() + ln_gamma(b) - ln_gamma(a + b);
    let mut odd = beta_reg(a, b, x);
    let mut odd_step = 2.0 * rest * (a * x.ln() - ln_beta).exp();
    let mut even = -(b * (-x).ln_1p()).exp_m1();
    let mut even_step = b * x * rest;
    let mut sum = p * odd + q * even;
    for term in 1..=MOST_TERMS {
        a += 1.0;
        odd -= odd_step;
        even -= even_step;
        odd_step *= x * (a + b - 1.0) / a;
        even_step *= x * (a + b - 0.5) / (a + 0.5);
        let term = term as f64;
        p *= lambda / (2.0 * term);
        q *= lambda / (2.0 * term + 1.0);
        left -= p;
        sum += p * odd + q * even;
        if (2.0 * left * (odd - odd_step)).abs() < 1e-15 {
            break;
        }
    }
    (sum + base).clamp(0.0, 1.0)
}

/// The chance that (z + noncentrality) ÷ √(v ÷ freedom) lies below `t` ≥ 0, for z normal and v χ²-distributed:
/// over z, the chance that v is large enough. The trapezoidal rule is exact to rounding for an integrand that
/// falls like a normal density on both sides.
fn integral(t: f64, freedom: f64, noncentrality: f64) -> f64 {
    const STEP: f64 = 0.25;
    const STEPS: i32 = 40;
    let half = freedom / 2.0;
    let sum: f64 = (-STEPS..=STEPS)
        .map(|step| {
            let z = STEP * f64::from(step);
            let ratio = (z + noncentrality) / t;
            let large = if z + noncentrality <= 0.0 {
                1.0
            } else {
                let v = half * ratio * ratio;
                if v.is_finite() { gamma_ur(half, v) } else { 0.0 }
            };
            (-z * z / 2.0).exp() * large
        })
        .sum();
    (STEP * sum / (2.0 * std::f64::consts::PI).sqrt()).clamp(0.0, 1.0)
}
