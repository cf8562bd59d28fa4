//! How many runs a test would have needed.
//!
//! The number at which the test decides in the direction that was seen with [`POWER`], if the true
//! effect and spread were those that were seen. A figure for planning the next study: of the data at
//! hand it says nothing that p does not say (Hoenig & Heisey, "The abuse of power", The American
//! Statistician 55 (2001)).

use super::noncentral::noncentral_t_below;
use super::{Sample, Undefined, checked, normal, student_quantile};

/// Chance of deciding that is asked for.
pub const POWER: f64 = 0.8;

/// A number of runs per side, of pairs, or of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    Runs(u64),
    /// More than [`Needed::LARGEST`].
    TooMany,
}

impl Needed {
    pub const LARGEST: u64 = 1_000_000;
}

/// Pairs (or runs, for one mean) so that a two-sided t test at `alpha` tells a mean from a value that
/// lies `distance` from it. Exact for normal data, by the noncentral t distribution.
pub fn paired_runs(distance: f64, sd: f64, alpha: f64) -> Result<Needed, Undefined> {
    let alpha = 1.0 - checked(1.0 - alpha)?;
    if sd <= 0.0 {
        return Err(Undefined::NoSpread);
    }
    Ok(smallest(|n| power(distance.abs() / sd * n.sqrt(), n - 1.0, alpha / 2.0)))
}

/// How many runs [`paired_runs`] and [`difference_runs`] may ask for, given how little the runs at hand tell of
/// the effect: the numbers for the ends of the interval of the standardised effect at `level`. `t` is the
/// effect in its standard errors, with these degrees of freedom, found with `n` runs; a number of n² ÷ t² scales
/// with the runs, so the numbers are those of one sample with the same noncentrality. Where the interval holds
/// no effect at all the larger number is [`Needed::TooMany`].
pub fn needed_interval(
    t: f64,
    freedom: f64,
    n: f64,
    alpha: f64,
    level: f64,
) -> Result<(Needed, Needed), Undefined> {
    let tail = (1.0 - checked(level)?) / 2.0;
    let alpha = 1.0 - checked(1.0 - alpha)?;
    let t = t.abs();
    // the noncentrality under which what was seen lies in a tail of this size
    let at = |share: f64| {
        let (mut low, mut high) = (-(t + 40.0), t + 40.0 + 10.0 * t);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if noncentral_t_below(t, freedom, middle) > share {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    };
    let (least, most) = (at(1.0 - tail), at(tail));
    let per_run = freedom / (n - 1.0);
    let runs = |noncentrality: f64| {
        if noncentrality <= 0.0 {
            return Needed::TooMany;
        }
        let effect = noncentrality / n.sqrt();
        smallest(|runs| power(effect * runs.sqrt(), (runs - 1.0) * per_run, alpha / 2.0))
    };
    Ok((runs(most), runs(least)))
}

/// Runs per side so that Welch's two-sided test at `alpha` tells two means apart that lie `distance`
/// from what is tested. By the noncentral t distribution with Welch's degrees of freedom.
pub fn difference_runs(
    x: &Sample,
    y: &Sample,
    distance: f64,
    alpha: f64,
) -> Result<Needed, Undefined> {
    let alpha = 1.0 - checked(1.0 - alpha)?;
    let variance = |sample: &Sample| {
        let sd = sample.sd().ok_or(Undefined::TooFew { needed: 2, found: sample.n() })?;
        Ok::<f64, Undefined>(sd * sd)
    };
    let (of_x, of_y) = (variance(x)?, variance(y)?);
    let both = of_x + of_y;
    if both <= 0.0 {
        return Err(Undefined::NoSpread);
    }
    let (share_x, share_y) = (of_x / both, of_y / both);
    let freedom = 1.0 / (share_x * share_x + share_y * share_y);
    let shift = distance.abs() / both.sqrt();
    Ok(smallest(|n| power(shift * n.sqrt(), (n - 1.0) * freedom, alpha / 2.0)))
}

/// Pairs (with `freedom` 1) or runs per side (up to 2) so that two one-sided tests at `alpha` show that
/// a difference, `seen` as that with `sd` for n = 1, lies within ±margin. The chance that both succeed
/// is at least 1 − the sum of their chances to fail.
pub fn equivalence_runs(
    seen: f64,
    sd: f64,
    freedom: f64,
    margin: f64,
    alpha: f64,
) -> Result<Needed, Undefined> {
    checked(1.0 - alpha)?;
    if sd <= 0.0 {
        return Err(Undefined::NoSpread);
    }
    let one = |room: f64, n: f64| {
        if room <= 0.0 { 0.0 } else { power(room / sd * n.sqrt(), (n - 1.0) * freedom, alpha) }
    };
    Ok(smallest(|n| one(margin - seen, n) + one(margin + seen, n) - 1.0))
}

/// Points so that Fisher's test at `alpha` tells a correlation of `seen` from `bound`; normal
/// approximation on the transformed scale.
pub fn correlation_runs(seen: f64, bound: f64, alpha: f64) -> Result<Needed, Undefined> {
    let alpha = 1.0 - checked(1.0 - alpha)?;
    let distance = (seen.atanh() - bound.atanh()).abs();
    if !distance.is_finite() {
        return Err(Undefined::OutOfRange { what: "the correlation" });
    }
    let z = normal::quantile(1.0 - alpha / 2.0) + normal::quantile(POWER);
    Ok(smallest(|n| if n < 4.0 { 0.0 } else { POWER + distance * (n - 3.0).sqrt() - z }))
}

/// The chance that a t with this noncentrality lies above its critical value.
fn power(noncentrality: f64, freedom: f64, tail: f64) -> f64 {
    let Some(critical) = student_quantile(1.0 - tail, freedom) else { return 0.0 };
    1.0 - noncentral_t_below(critical, freedom, noncentrality)
}

/// The smallest n from 2 with at least [`POWER`], which grows with n.
fn smallest(power: impl Fn(f64) -> f64) -> Needed {
    let enough = |n: u64| power(n as f64) >= POWER;
    let mut high = 2;
    while !enough(high) {
        if high >= Needed::LARGEST {
            return Needed::TooMany;
        }
        high = (high * 2).min(Needed::LARGEST);
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Needed::Runs(high)
}
