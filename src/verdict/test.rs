//! The tests of one side against the other: each gives an effect, its interval and p for any bound, from the
//! same numbers.

use crate::manifest::criterion::Test;
use crate::stats::{self, Estimate, Interval, LogRatio, Ratio, Sample, Shift, Undefined};

/// A difference or a ratio that can be held against bounds.
pub(super) enum Tested<'s> {
    /// Of means.
    T(Estimate),
    /// Of means, by Fieller.
    Fieller(Ratio<'s>),
    /// Of geometric means.
    Log(LogRatio),
    Rank(Shift),
    /// By order, on the logarithms: a ratio.
    LogRank(Shift),
    Exchanged(Exchanged),
}

/// A difference of means under exchanges of the values of both sides.
pub(super) struct Exchanged {
    of: Sample,
    to: Sample,
    paired: bool,
}

/// Of the draws, where there are too many exchanges to go through; any other would do as well.
const SEED: u64 = 0;
/// Halvings after which an end of an interval no longer moves to speak of.
const HALVINGS: usize = 40;

/// The difference of means, or what stands for it under another test.
pub(super) fn difference<'s>(
    one: &Sample,
    other: &Sample,
    paired: bool,
    test: Option<Test>,
) -> Result<Tested<'s>, Undefined> {
    match test {
        Some(Test::Rank) if paired => stats::paired_shift(one, other).map(Tested::Rank),
        Some(Test::Rank) => stats::shift(one, other).map(Tested::Rank),
        Some(Test::Permutation) => Exchanged::new(one, other, paired).map(Tested::Exchanged),
        _ => stats::compare(one, other, paired).map(Tested::T),
    }
}

/// The ratio of means, or what stands for it under another test.
pub(super) fn ratio<'s>(
    one: &'s Sample,
    other: &'s Sample,
    paired: bool,
    test: Test,
) -> Result<Tested<'s>, Undefined> {
    match test {
        Test::Log => stats::log_ratio(one, other, paired).map(Tested::Log),
        Test::Rank => {
            let (one, other) = (stats::logarithms(one)?, stats::logarithms(other)?);
            let shift =
                if paired { stats::paired_shift(&one, &other) } else { stats::shift(&one, &other) };
            shift.map(Tested::LogRank)
        }
        _ => stats::ratio(one, other, paired).map(Tested::Fieller),
    }
}

impl Tested<'_> {
    pub fn value(&self) -> f64 {
        match self {
            Self::T(found) => found.value,
            Self::Fieller(found) => found.value,
            Self::Log(found) => found.value(),
            Self::Rank(found) => found.value,
            Self::LogRank(found) => found.value.exp(),
            Self::Exchanged(found) => found.of.mean() - found.to.mean(),
        }
    }

    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        match self {
            Self::T(found) => found.interval(level),
            Self::Fieller(found) => found.interval(level),
            Self::Log(found) => found.interval(level),
            Self::Rank(found) => found.interval(level),
            Self::LogRank(found) => {
                let log = found.interval(level)?;
                Ok(Interval { low: log.low.exp(), high: log.high.exp() })
            }
            Self::Exchanged(found) => found.interval(level),
        }
    }

    /// Two-sided.
    pub fn p(&self, bound: f64) -> Result<f64, Undefined> {
        match self {
            Self::T(found) => Ok(found.p(bound)),
            Self::Fieller(found) => found.p(bound),
            // no ratio of positive figures is 0 or below
            Self::Log(found) => Ok(found.p(bound).unwrap_or(0.0)),
            Self::Rank(found) => Ok(found.p(bound)),
            Self::LogRank(found) if bound > 0.0 => Ok(found.p(bound.ln())),
            Self::LogRank(_) => Ok(0.0),
            Self::Exchanged(found) => found.p(bound),
        }
    }

    /// What the effect is.
    pub fn quantity(&self) -> &'static str {
        match self {
            Self::T(_) | Self::Exchanged(_) => "difference of means",
            Self::Fieller(_) => "ratio of means",
            Self::Log(_) => "ratio of geometric means",
            Self::Rank(_) => "shift (Hodges–Lehmann)",
            Self::LogRank(_) => "ratio (Hodges–Lehmann on the logarithms)",
        }
    }

    /// The test in words.
    pub fn name(&self, paired: bool) -> &'static str {
        match (self, paired) {
            (Self::T(_), true) => "paired t",
            (Self::T(_), false) => "Welch's t",
            (Self::Fieller(_), true) => {
                "paired t of one side against the bound times the other, Fieller's interval"
            }
            (Self::Fieller(_), false) => {
                "Welch's t of one side against the bound times the other, Fieller's interval"
            }
            (Self::Log(_), true) => "paired t of the logarithms",
            (Self::Log(_), false) => "Welch's t of the logarithms",
            (Self::Rank(_), true) => "Wilcoxon's signed ranks",
            (Self::Rank(_), false) => "Mann–Whitney's ranks",
            (Self::LogRank(_), true) => "Wilcoxon's signed ranks of the logarithms",
            (Self::LogRank(_), false) => "Mann–Whitney's ranks of the logarithms",
            (Self::Exchanged(_), true) => "permutation of the pairs",
            (Self::Exchanged(_), false) => "permutation",
        }
    }

    /// The t estimate behind it, on the scale on which it is one.
    pub fn estimate(&self) -> Option<Estimate> {
        match self {
            Self::T(found) => Some(*found),
            Self::Log(found) => Some(found.log),
            _ => None,
        }
    }
}

impl Exchanged {
    fn new(of: &Sample, to: &Sample, paired: bool) -> Result<Self, Undefined> {
        let found = Self { of: of.clone(), to: to.clone(), paired };
        // what cannot be tested at all is said at once
        found.p(of.mean() - to.mean() + 1.0)?;
        Ok(found)
    }

    fn p(&self, bound: f64) -> Result<f64, Undefined> {
        let moved = self.of.values().iter().map(|value| value - bound).collect();
        let moved = Sample::new(moved).map_err(|_| Undefined::OutOfRange { what: "the bound" })?;
        let found = if self.paired {
            stats::paired_permutation(&moved, &self.to, SEED)
        } else {
            stats::permutation(&moved, &self.to, SEED)
        };
        match found {
            Err(Undefined::NoSpread) => Ok(1.0),
            found => Ok(found?.p),
        }
    }

    /// The bounds that are not rejected at 1 − level; infinite where there are too few exchanges to reject any.
    fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let value = self.of.mean() - self.to.mean();
        let range = self.of.max().max(self.to.max()) - self.of.min().min(self.to.min());
        let side = |sign: f64| -> Result<f64, Undefined> {
            // beyond twice the range every exchange is less extreme than what was seen
            let (mut inside, mut outside) =
                (value, value + sign * (2.0 * range + f64::MIN_POSITIVE));
            if self.p(outside)? >= 1.0 - level {
                return Ok(sign * f64::INFINITY);
            }
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(inside, outside);
                if self.p(middle)? >= 1.0 - level { inside = middle } else { outside = middle }
            }
            Ok(inside)
        };
        Ok(Interval { low: side(-1.0)?, high: side(1.0)? })
    }
}
