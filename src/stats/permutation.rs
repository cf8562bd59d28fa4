//! Tests by exchanging what should not matter: no distribution is assumed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sample::ROUNDING;
use super::{Sample, Undefined};

/// The test of a difference of means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Permutation {
    /// Two-sided: twice the smaller one-sided p.
    pub p: f64,
    /// By going through all exchanges; else by drawing [`DRAWS`] of them.
    pub exact: bool,
}

/// The most exchanges that are gone through, and the number that is drawn where there are more.
const DRAWS: u32 = 9999;

/// mean(x) − mean(y), under every way to label the values as x or y (Fisher, "The Design of
/// Experiments", 1935). Where there are too many, a seeded draw with p = (hits + 1) ÷ (draws + 1)
/// (Phipson & Smyth, "Permutation p-values should never be zero", 2010).
pub fn permutation(x: &Sample, y: &Sample, seed: u64) -> Result<Permutation, Undefined> {
    let values: Vec<f64> = x.values().iter().chain(y.values()).copied().collect();
    varying(&values)?;
    let n = x.n();
    let all: f64 = values.iter().sum();
    let shift = all / values.len() as f64;
    // with sizes and total fixed, the difference of means grows with the sum of x
    let centered: Vec<f64> = values.iter().map(|value| value - shift).collect();
    let mut tails = Tails::new(centered[..n].iter().sum(), &centered);
    if subsets(values.len(), n).is_some_and(|count| count <= f64::from(DRAWS)) {
        let mut chosen: Vec<usize> = (0..n).collect();
        loop {
            tails.add(chosen.iter().map(|index| centered[*index]).sum());
            if !next_subset(&mut chosen, values.len()) {
                return Ok(tails.exact());
            }
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mixed = centered.clone();
    for _ in 0..DRAWS {
        for place in 0..n {
            let other = rng.random_range(place..mixed.len());
            mixed.swap(place, other);
        }
        tails.add(mixed[..n].iter().sum());
    }
    Ok(tails.drawn())
}

/// The mean of x − y over pairs, under every way to exchange the two within pairs.
pub fn paired_permutation(x: &Sample, y: &Sample, seed: u64) -> Result<Permutation, Undefined> {
    if x.n() != y.n() {
        return Err(Undefined::Unpaired { left: x.n(), right: y.n() });
    }
    let differences: Vec<f64> = x.values().iter().zip(y.values()).map(|(x, y)| x - y).collect();
    if differences.iter().all(|difference| *difference == 0.0) {
        return Err(Undefined::NoSpread);
    }
    let mut tails = Tails::new(differences.iter().sum(), &differences);
    let signed = |signs: &mut dyn FnMut(usize) -> bool| -> f64 {
        let one = |(place, d): (usize, &f64)| if signs(place) { -*d } else { *d };
        differences.iter().enumerate().map(one).sum()
    };
    if x.n() < 32 && 1_u32 << x.n() <= DRAWS {
        for pattern in 0..1_u32 << x.n() {
            tails.add(signed(&mut |place| pattern >> place & 1 == 1));
        }
        return Ok(tails.exact());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..DRAWS {
        tails.add(signed(&mut |_| rng.random_bool(0.5)));
    }
    Ok(tails.drawn())
}

fn varying(values: &[f64]) -> Result<(), Undefined> {
    let same = |value: &f64| value.total_cmp(&values[0]).is_eq();
    if values.iter().all(same) { Err(Undefined::NoSpread) } else { Ok(()) }
}

/// How many of the exchanges are as extreme as what was seen.
struct Tails {
    seen: f64,
    /// Sums of the same values in another order differ by rounding.
    rounding: f64,
    low: u32,
    high: u32,
    count: u32,
}

impl Tails {
    fn new(seen: f64, values: &[f64]) -> Self {
        let rounding = ROUNDING * values.iter().map(|value| value.abs()).sum::<f64>();
        Self { seen, rounding, low: 0, high: 0, count: 0 }
    }

    fn add(&mut self, sum: f64) {
        self.count += 1;
        self.low += u32::from(sum <= self.seen + self.rounding);
        self.high += u32::from(sum >= self.seen - self.rounding);
    }

    fn exact(&self) -> Permutation {
        let p = 2.0 * f64::from(self.low.min(self.high)) / f64::from(self.count);
        Permutation { p: p.min(1.0), exact: true }
    }

    fn drawn(&self) -> Permutation {
        let p = 2.0 * f64::from(self.low.min(self.high) + 1) / f64::from(self.count + 1);
        Permutation { p: p.min(1.0), exact: false }
    }
}

/// Number of ways to choose `size` of `of`; `None` when it is larger than anything here.
fn subsets(of: usize, size: usize) -> Option<f64> {
    let count = (0..size.min(of - size))
        .fold(1.0_f64, |count, step| count * (of - step) as f64 / (step + 1) as f64);
    count.is_finite().then_some(count.round())
}

/// The next choice in the order of the dictionary; false after the last.
fn next_subset(chosen: &mut [usize], of: usize) -> bool {
    let size = chosen.len();
    let Some(place) = (0..size).rev().find(|place| chosen[*place] < of - size + place) else {
        return false;
    };
    chosen[place] += 1;
    for next in place + 1..size {
        chosen[next] = chosen[next - 1] + 1;
    }
    true
}
