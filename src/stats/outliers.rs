//! Values far from the others. They are named, never dropped. How many of them are only chance is
//! known: [`flag_rate`].

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Sample, normal};

/// |value − median| > `deviations` × MAD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierRule {
    pub deviations: f64,
    /// Of the scaled MAD, which estimates the standard deviation of normal data.
    pub scaled: bool,
}

impl OutlierRule {
    /// 2 raw MAD: some 20 % of normal data are farther out than that, 18 % of very many ([`flag_rate`]).
    pub const RAW: Self = Self { deviations: 2.0, scaled: false };
    /// 3.5 scaled MAD: about 1 in 2000 of very many normal values is farther out, but 1 in 20 of five
    /// ([`flag_rate`]). Iglewicz & Hoaglin, "How to Detect and Handle Outliers", ASQC 1993.
    pub const SCALED: Self = Self { deviations: 3.5, scaled: true };
}

/// Places of the values that the rule flags, in their order. Where more than half of the values are
/// equal the MAD is 0 and every other value is flagged.
#[must_use]
pub fn outliers(sample: &Sample, rule: OutlierRule) -> Vec<usize> {
    let mad = if rule.scaled {
        sample.scaled_median_absolute_deviation()
    } else {
        sample.median_absolute_deviation()
    };
    let (median, limit) = (sample.median(), rule.deviations * mad);
    let far = |value: &f64| (value - median).abs() > limit;
    sample.values().iter().enumerate().filter(|(_, value)| far(value)).map(|(i, _)| i).collect()
}

/// How often a rule flags values that are no outliers at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlagRates {
    /// The share of the values that it flags.
    pub per_value: f64,
    /// The share of the samples in which it flags at least one.
    pub per_sample: f64,
}

/// Values that are drawn for one n, at least; the rates are good to about half a percentage point.
const DRAWN: usize = 100_000;
/// Samples for one n, at least.
const SAMPLES: usize = 1000;
/// Of more values the share that is flagged hardly differs.
const MOST: usize = 1000;
const SEED: u64 = 1974;

/// Rates by a rule's deviations (as bits), whether it is scaled, and n.
type Known = HashMap<(u64, bool, usize), FlagRates>;

/// The share of the values of clean normal samples of `n` that a rule flags: the chance that a given value
/// that is no outlier is named as one. It does not depend on mean and spread. Found once per rule and n by
/// a seeded simulation; 0 for n < 2.
#[must_use]
pub fn flag_rate(rule: OutlierRule, n: usize) -> f64 {
    flag_rates(rule, n).per_value
}

/// [`flag_rate`], and the share of clean samples of `n` in which anything is flagged.
#[must_use]
pub fn flag_rates(rule: OutlierRule, n: usize) -> FlagRates {
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let n = n.min(MOST);
    let key = (rule.deviations.to_bits(), rule.scaled, n);
    // rates are only ever added whole
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(rates) = known().get(&key) {
        return *rates;
    }
    let rates = simulated(rule, n);
    known().insert(key, rates);
    rates
}

fn simulated(rule: OutlierRule, n: usize) -> FlagRates {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut drawn, mut values, mut samples) = (0_usize, 0_usize, 0_usize);
    let count = (DRAWN / n.max(1)).max(SAMPLES);
    for _ in 0..if n < 2 { 0 } else { count } {
        let Ok(sample) = Sample::new((0..n).map(|_| normal::deviate(&mut rng)).collect()) else {
            continue;
        };
        let flagged = outliers(&sample, rule).len();
        drawn += n;
        values += flagged;
        samples += usize::from(flagged > 0);
    }
    let share =
        |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    FlagRates { per_value: share(values, drawn), per_sample: share(samples * n, drawn) }
}
