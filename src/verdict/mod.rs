//! What stored runs say of hypotheses and of published numbers.
//!
//! Pure: takes runs that the caller has chosen (finished, measured under one set of circumstances, no
//! controls) and gives verdicts; reads no store and writes no text beyond reasons. The run is the unit
//! of replication. How a verdict is reached is explained in `docs/verdicts.md`.

mod catalogue;
mod cells;
mod claim;
mod compound;
mod contrast;
mod correlation;
mod declared;
pub mod drawn;
mod each;
mod family;
mod guard;
mod judge;
mod looks;
pub mod power;
mod remarks;
mod sides;
mod test;
#[cfg(test)]
mod tests;
mod threshold;
mod unit;
mod words;

pub use catalogue::{claim_problems, unknown_metrics};
pub use cells::Cell;
pub use claim::{Checked, Relation, Reproduction, check};
pub use declared::{Known, Repeats, Standing, Today, repeats, standing, withdrawn};
pub use family::adjust;
pub use judge::{Question, judge};
pub use words::{criterion as in_words, terms as terms_in_words};

use serde::Serialize;

use crate::stats::Needed;

/// What the data say of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies on the claim's side of the bound.
    Supported,
    /// The interval lies on the other side.
    Refuted,
    /// The interval contains the bound, or there is none although there are enough runs.
    Inconclusive,
    /// Runs are missing.
    NoData,
}

impl Verdict {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no data",
        }
    }

    /// Supported or refuted.
    #[must_use]
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Supported | Self::Refuted)
    }
}

/// A verdict with what it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub verdict: Verdict,
    /// What it would be if the interval had no width.
    leaning: Option<Verdict>,
    /// Why there is no decision, beyond an interval that contains the bound.
    pub reason: Option<String>,
    /// How it was tested, in words; empty where nothing could be.
    pub test: String,
    /// What `effect` is, in words.
    pub quantity: String,
    pub effect: Option<f64>,
    /// Empty for pure numbers.
    pub unit: String,
    pub interval: Option<crate::stats::Interval>,
    /// Confidence of the interval.
    pub level: f64,
    /// Below alpha exactly where the verdict is a decision (two-sided; for equivalence that of the
    /// claim). `None` where nothing is inferred beyond the runs at hand.
    pub p: Option<f64>,
    /// `5 pairs`, `5 and 4 runs`.
    pub n: String,
    /// How many of `needed_unit` the test would have needed.
    pub needed: Option<Needed>,
    /// The same for the ends of the effect's interval.
    pub needed_range: Option<(Needed, Needed)>,
    pub needed_unit: &'static str,
    /// Of a claim about load balance: what became of the work done.
    pub work: Option<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// Findings of the parts of a compound hypothesis, with their criteria in words.
    pub parts: Vec<(String, Finding)>,
}

impl Finding {
    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            leaning: None,
            reason: None,
            test: String::new(),
            quantity: String::new(),
            effect: None,
            unit: String::new(),
            interval: None,
            level: 0.0,
            p: None,
            n: String::new(),
            needed: None,
            needed_range: None,
            needed_unit: "",
            work: None,
            notes: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Without a decision, and why.
    fn open(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(verdict) }
    }

    /// The same figures, from which nothing is concluded.
    fn without_verdict(self, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, leaning: None, p: None, reason: Some(reason.into()), ..self }
    }

    fn no_data(reason: impl Into<String>) -> Self {
        Self::open(Verdict::NoData, reason)
    }
}
