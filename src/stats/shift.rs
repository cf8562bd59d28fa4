//! How far one sample lies from another by order alone: an estimate with an interval, where outliers and
//! skewness count for no more than their ranks.

use super::ranks::rank_sum_orders;
use super::sample::ROUNDING;
use super::{Interval, Sample, Undefined, checked, normal};

/// The shift between two samples, or the middle of the differences of pairs (Hodges & Lehmann, "Estimates of
/// location based on rank tests", Annals of Mathematical Statistics 34 (1963)).
#[derive(Debug, Clone)]
pub struct Shift {
    /// The median of all differences, or of the means of any two differences.
    pub value: f64,
    /// These, sorted.
    steps: Vec<f64>,
    null: Null,
}

/// The distribution of the number of steps below 0 where nothing differs.
#[derive(Debug, Clone)]
enum Null {
    /// Probability of each number, from 0.
    Exact(Vec<f64>),
    Normal {
        mean: f64,
        sd: f64,
    },
}

/// Steps up to which all orders are counted.
const EXACT_STEPS: usize = 1000;
/// Pairs up to which all signs are counted.
const EXACT_PAIRS: usize = 40;

/// Of two independent samples: the test of Mann & Whitney (1947), turned round.
pub fn shift(x: &Sample, y: &Sample) -> Result<Shift, Undefined> {
    let steps: Vec<f64> =
        x.values().iter().flat_map(|x| y.values().iter().map(move |y| x - y)).collect();
    let (n, m) = (x.n(), y.n());
    let null = if n * m <= EXACT_STEPS {
        Null::Exact(shares(rank_sum_orders(n, m)))
    } else {
        let (n, m) = (n as f64, m as f64);
        Null::Normal { mean: n * m / 2.0, sd: (n * m * (n + m + 1.0) / 12.0).sqrt() }
    };
    Shift::new(steps, null, largest(x).max(largest(y)))
}

/// Of pairs, given in the same order on both sides: the signed-rank test of Wilcoxon, "Individual comparisons
/// by ranking methods", Biometrics Bulletin 1 (1945), turned round.
pub fn paired_shift(x: &Sample, y: &Sample) -> Result<Shift, Undefined> {
    if x.n() != y.n() {
        return Err(Undefined::Unpaired { left: x.n(), right: y.n() });
    }
    let d: Vec<f64> = x.values().iter().zip(y.values()).map(|(x, y)| x - y).collect();
    let steps: Vec<f64> = (0..d.len())
        .flat_map(|i| (i..d.len()).map(move |j| (i, j)))
        .map(|(i, j)| f64::midpoint(d[i], d[j]))
        .collect();
    let n = d.len();
    let null = if n <= EXACT_PAIRS {
        Null::Exact(shares(signed_rank_orders(n)))
    } else {
        let n = n as f64;
        let mean = n * (n + 1.0) / 4.0;
        Null::Normal { mean, sd: (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt() }
    };
    Shift::new(steps, null, largest(x).max(largest(y)))
}

fn largest(sample: &Sample) -> f64 {
    sample.min().abs().max(sample.max().abs())
}

impl Shift {
    /// `scale` is that of the values, whose rounding the steps keep.
    fn new(mut steps: Vec<f64>, null: Null, scale: f64) -> Result<Self, Undefined> {
        steps.sort_by(f64::total_cmp);
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return Err(Undefined::TooFew { needed: 1, found: 0 });
        };
        if last - first <= ROUNDING * scale {
            return Err(Undefined::NoSpread);
        }
        let value = super::sample::percentile(&steps, 50.0);
        Ok(Self { value, steps, null })
    }

    /// Two-sided p of the hypothesis that the true shift is `bound`. A step that equals the bound counts
    /// against it on neither side.
    #[must_use]
    pub fn p(&self, bound: f64) -> f64 {
        let below = self.steps.partition_point(|step| *step <= bound);
        let above = self.steps.len() - self.steps.partition_point(|step| *step < bound);
        (2.0 * self.tail(below.min(above))).min(1.0)
    }

    /// The bounds whose p is not below 1 − level; infinite where the samples are too small to bound the shift.
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let alpha = 1.0 - checked(level)?;
        // so many steps may lie on the far side of a bound that is rejected
        let rejected =
            (0..=self.steps.len() / 2).take_while(|k| 2.0 * self.tail(*k) < alpha).count();
        if rejected == 0 {
            return Ok(Interval { low: f64::NEG_INFINITY, high: f64::INFINITY });
        }
        let last = self.steps.len() - rejected;
        Ok(Interval { low: self.steps[rejected - 1], high: self.steps[last] })
    }

    /// The chance of at most this many steps on one side.
    fn tail(&self, count: usize) -> f64 {
        match &self.null {
            Null::Exact(shares) => shares.iter().take(count + 1).sum(),
            Null::Normal { mean, sd } => normal::below((count as f64 + 0.5 - mean) / sd),
        }
    }
}

fn shares(orders: Vec<f64>) -> Vec<f64> {
    let all: f64 = orders.iter().sum();
    orders.into_iter().map(|count| count / all).collect()
}

/// For each sum of ranks from 0 to n (n + 1) ÷ 2, the number of choices of signs that give it.
fn signed_rank_orders(n: usize) -> Vec<f64> {
    let largest = n * (n + 1) / 2;
    let mut orders = vec![0.0; largest + 1];
    orders[0] = 1.0;
    for rank in 1..=n {
        for sum in (rank..=largest).rev() {
            orders[sum] += orders[sum - rank];
        }
    }
    orders
}
