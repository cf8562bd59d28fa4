//! Looking at data before they are complete: what each look may spend of the level of significance.

use super::{Undefined, checked, normal};

/// Points over which the chance to have come so far is integrated (an odd number, for Simpson's rule).
const POINTS: usize = 401;
const HALVINGS: usize = 80;

/// Two-sided levels of significance of each look, so that the chance of any false decision at any of them is
/// `alpha`. `information` are the shares of the runs at the looks, ascending, the last one 1.
///
/// Each side spends α ÷ 2 by the function of O'Brien and Fleming's type of Lan & `DeMets`, "Discrete sequential
/// boundaries for clinical trials", Biometrika 70 (1983): 2 − 2 Φ(z ÷ √t) for one side of a level a, with z the
/// quantile of 1 − a ÷ 2. Early looks decide only what is very clear, and nearly all is left for the last. The boundaries are found by the recursive integration of Armitage,
/// `McPherson` & Rowe, "Repeated significance tests on accumulating data", JRSS A 132 (1969).
pub fn obrien_fleming(information: &[f64], alpha: f64) -> Result<Vec<f64>, Undefined> {
    let alpha = 1.0 - checked(1.0 - alpha)?;
    let ascending = information.windows(2).all(|pair| pair[0] < pair[1]);
    let ends = information.first().is_some_and(|first| *first > 0.0)
        && information.last().is_some_and(|last| (last - 1.0).abs() < 1e-12);
    if !ascending || !ends {
        return Err(Undefined::OutOfRange { what: "the looks" });
    }
    let z = normal::quantile(1.0 - alpha / 4.0);
    let spent = |t: f64| 4.0 * normal::above(z / t.sqrt());
    let mut levels = Vec::with_capacity(information.len());
    // where the path of the test statistic may be before this look, each place with its density × step
    let mut paths = vec![(0.0, 1.0)];
    let (mut before, mut used) = (0.0, 0.0);
    for t in information {
        let step = (t - before).sqrt();
        let out = |edge: f64| -> f64 {
            let leaves = |(at, weight): &(f64, f64)| {
                weight * (normal::above((edge - at) / step) + normal::below((-edge - at) / step))
            };
            paths.iter().map(leaves).sum()
        };
        let wanted = spent(*t) - used;
        let (mut low, mut high) = (0.0, 40.0 * t.sqrt());
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if out(middle) > wanted { low = middle } else { high = middle }
        }
        let edge = f64::midpoint(low, high);
        levels.push(2.0 * normal::above(edge / t.sqrt()));
        paths = stay(&paths, edge, step);
        (before, used) = (*t, spent(*t));
    }
    Ok(levels)
}

/// The paths that have not left between −edge and edge, a step of this standard deviation later.
fn stay(paths: &[(f64, f64)], edge: f64, step: f64) -> Vec<(f64, f64)> {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // beyond this nothing comes: a wide region would otherwise waste its points
    let far = paths.iter().map(|(at, _)| at.abs()).fold(0.0, f64::max) + 8.0 * step;
    let edge = edge.min(far);
    let width = 2.0 * edge / (POINTS - 1) as f64;
    (0..POINTS)
        .map(|point| {
            let at = -edge + width * point as f64;
            let simpson = match point {
                0 => 1.0,
                last if last == POINTS - 1 => 1.0,
                odd if odd % 2 == 1 => 4.0,
                _ => 2.0,
            };
            let here: f64 = paths
                .iter()
                .map(|(from, weight)| weight * density((at - from) / step) / step)
                .sum();
            (at, here * width * simpson / 3.0)
        })
        .collect()
}
