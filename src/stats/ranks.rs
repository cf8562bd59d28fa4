//! Comparing two samples by their order alone.

use super::{Sample, Undefined, normal};

/// The test that neither sample tends to be larger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which x is larger, ties counting one half.
    pub u: f64,
    /// Two-sided.
    pub p: f64,
    /// By counting all orders; else by the normal approximation.
    pub exact: bool,
}

/// The smaller sample up to which all orders are counted, and the most pairs.
const EXACT_SMALLER: usize = 8;
const EXACT_PAIRS: usize = 1000;

/// Mann & Whitney, "On a test of whether one of two random variables is stochastically larger than the
/// other", Annals of Mathematical Statistics 18 (1947). Exact for small samples without ties; otherwise
/// normal, with corrections for ties and for continuity.
#[expect(clippy::many_single_char_names, reason = "as in the formula's source")]
pub fn mann_whitney(x: &Sample, y: &Sample) -> Result<MannWhitney, Undefined> {
    let (n, m) = (x.n(), y.n());
    let together: Vec<f64> = x.values().iter().chain(y.values()).copied().collect();
    let (ranks, ties) = ranks(&together);
    let of_x: f64 = ranks[..n].iter().sum();
    let u = of_x - (n * (n + 1)) as f64 / 2.0;
    let larger = u.max((n * m) as f64 - u);
    if ties == 0.0 && n.min(m) <= EXACT_SMALLER && n * m <= EXACT_PAIRS {
        let counts = rank_sum_orders(n, m);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole without ties
        let tail: f64 = counts[larger as usize..].iter().sum();
        let p = 2.0 * tail / counts.iter().sum::<f64>();
        return Ok(MannWhitney { u, p: p.min(1.0), exact: true });
    }
    let (n, m) = (n as f64, m as f64);
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return Err(Undefined::NoSpread);
    }
    let z = (larger - n * m / 2.0 - 0.5) / variance.sqrt();
    Ok(MannWhitney { u, p: (2.0 * normal::above(z)).min(1.0), exact: false })
}

/// For each u from 0 to n · m, the number of orders of n and m different values that give it. Which of both is
/// the smaller makes no difference to it, and much to the time that it takes.
pub(super) fn rank_sum_orders(n: usize, m: usize) -> Vec<f64> {
    let (n, m) = (n.min(m), n.max(m));
    // subsets of the ranks 1 to n + m by their size and sum
    let largest = n * m + n * (n + 1) / 2;
    let mut subsets = vec![vec![0.0_f64; largest + 1]; n + 1];
    subsets[0][0] = 1.0;
    for rank in 1..=n + m {
        for size in (1..=n.min(rank)).rev() {
            for sum in (rank..=largest).rev() {
                let with = subsets[size - 1][sum - rank];
                subsets[size][sum] += with;
            }
        }
    }
    subsets[n].split_off(n * (n + 1) / 2)
}

/// The rank of each value from 1, ties sharing their mean rank; and Σ (t³ − t) over groups of t ties.
pub(super) fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ties = 0.0;
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let size = group.len() as f64;
        let rank = start as f64 + f64::midpoint(size, 1.0);
        for index in group {
            ranks[*index] = rank;
        }
        ties += size * size * size - size;
        start += group.len();
    }
    (ranks, ties)
}
