//! Published numbers against stored runs.

mod figure;
pub(super) mod quantity;

use serde::Serialize;

use super::cells::Cell;
use super::unit;
use crate::manifest::study::{Claim, Published, Tolerance};
use crate::metrics::DeclaredMetric;

/// What stored runs say of a published number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reproduction {
    /// The recomputed number is within the tolerance.
    Reproduced,
    Contradicted,
    NoData,
}

impl Reproduction {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Contradicted => "contradicted",
            Self::NoData => "no data",
        }
    }
}

/// How what was published relates to the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Relation {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "≥")]
    AtLeast,
    #[serde(rename = "≤")]
    AtMost,
}

impl Relation {
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        }
    }
}

/// A claim with what was recomputed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    pub name: String,
    pub result: Reproduction,
    /// Why nothing was recomputed.
    pub reason: Option<String>,
    /// `mean of client_tokens_per_s at throttle 60 tok/s`.
    pub quantity: String,
    pub relation: Relation,
    /// As published, in `unit`.
    pub published: f64,
    pub recomputed: Option<f64>,
    /// Empty for a pure number.
    pub unit: String,
    /// How far the two may differ, in `unit`; 0 for a bound.
    pub allowed: f64,
    /// Runs behind the recomputed number, and the cells that they are of.
    pub runs: usize,
    pub cells: usize,
    pub source: String,
    pub notes: Vec<String>,
}

/// Recomputes the number of a claim. `experiments` are the names of experiments with their cells, and
/// `profile` is the profile whose results they are,
/// `declared` the study's own metrics.
#[must_use]
pub fn check(
    claim: &Claim,
    experiments: &[(&str, &[Cell])],
    profile: Option<&str>,
    declared: &[DeclaredMetric],
) -> Checked {
    let (relation, published, allowed) = match claim.published {
        Published::Value(value, Tolerance::Relative(share)) => {
            (Relation::Equal, value, share * value.abs())
        }
        Published::Value(value, Tolerance::Absolute(size)) => (Relation::Equal, value, size),
        Published::AtLeast(bound) => (Relation::AtLeast, bound, 0.0),
        Published::AtMost(bound) => (Relation::AtMost, bound, 0.0),
    };
    let own_unit = quantity::unit(claim, declared);
    let written = claim.unit.as_deref();
    let mut checked = Checked {
        name: claim.name.clone(),
        result: Reproduction::NoData,
        reason: None,
        quantity: quantity::in_words(claim),
        relation,
        published,
        recomputed: None,
        // a part of a whole is a pure number
        unit: match written.unwrap_or(&own_unit) {
            quantity::SHARE => String::new(),
            unit => unit.to_owned(),
        },
        allowed,
        runs: 0,
        cells: 0,
        source: claim.source.clone(),
        notes: Vec::new(),
    };
    if let Some(wanted) = &claim.profile
        && profile != Some(wanted)
    {
        checked.reason = Some(format!("it is about the results of profile `{wanted}`"));
        return checked;
    }
    let figure = match figure::recompute(claim, experiments, declared) {
        Ok(figure) => figure,
        Err(reason) => {
            checked.reason = Some(reason);
            return checked;
        }
    };
    (checked.runs, checked.cells, checked.notes) = (figure.runs, figure.cells, figure.notes);
    let Some(factor) = unit::factor(&own_unit, written.unwrap_or(&own_unit)) else {
        checked.reason = Some(format!("`{own_unit}` cannot be turned into {}", checked.unit));
        return checked;
    };
    let recomputed = figure.value * factor;
    // the rounding of the subtraction is no contradiction
    let rounding = 1e-12 * published.abs();
    let agrees = match relation {
        Relation::Equal => (recomputed - published).abs() <= allowed + rounding,
        Relation::AtLeast => recomputed >= published - rounding,
        Relation::AtMost => recomputed <= published + rounding,
    };
    checked.recomputed = Some(recomputed);
    checked.result = if agrees { Reproduction::Reproduced } else { Reproduction::Contradicted };
    checked
}
