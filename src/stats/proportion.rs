//! Rates of events.

use super::{Interval, Undefined, checked, normal};

/// Wilson's interval of a rate, `successes` of `n`: it stays within 0 to 1 and has a width at 0 of n and
/// n of n. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
/// (1927).
pub fn wilson(successes: u64, n: u64, level: f64) -> Result<Interval, Undefined> {
    let level = checked(level)?;
    if n == 0 {
        return Err(Undefined::TooFew { needed: 1, found: 0 });
    }
    if successes > n {
        return Err(Undefined::OutOfRange { what: "the number of successes" });
    }
    let z = normal::quantile(0.5 + level / 2.0);
    let (rate, n) = (successes as f64 / n as f64, n as f64);
    let whole = 1.0 + z * z / n;
    let center = (rate + z * z / (2.0 * n)) / whole;
    let half = z / whole * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
    // at the ends the difference of equal terms leaves rounding
    let low = if successes == 0 { 0.0 } else { center - half };
    let high = if rate >= 1.0 { 1.0 } else { center + half };
    Ok(Interval { low, high })
}
