//! Values far from the others. They are named, never dropped.

use super::Sample;

/// |value − median| > `deviations` × MAD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierRule {
    pub deviations: f64,
    /// Of the scaled MAD, which estimates the standard deviation of normal data.
    pub scaled: bool,
}

impl OutlierRule {
    /// 2 raw MAD: about 18 % of normal data are farther out than that.
    pub const RAW: Self = Self { deviations: 2.0, scaled: false };
    /// 3.5 scaled MAD: about 1 in 2000 normal values is farther out (Iglewicz & Hoaglin, "How to Detect
    /// and Handle Outliers", ASQC 1993).
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
