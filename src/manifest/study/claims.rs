//! What is held against the data: hypotheses of the study and published numbers.

use crate::manifest::criterion::{Cells, Criterion, Statistic, Terms};

/// A claim with a criterion; judged by the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    pub name: String,
    pub claim: String,
    /// Level of significance.
    pub alpha: f64,
    pub criterion: Criterion,
    pub terms: Terms,
    /// The criterion as written, normalised, with what is not the default: what is kept with
    /// the plan to show later that it was not changed.
    pub document: serde_json::Value,
}

/// A published number, to be held against stored runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub name: String,
    pub value: f64,
    /// As written; the metric's where none is.
    pub unit: Option<String>,
    pub metric: String,
    pub statistic: Statistic,
    /// The experiment whose cells it is about; `None`: any.
    pub experiment: Option<String>,
    pub cells: Cells,
    pub tolerance: Tolerance,
    /// The profile whose results it is about; `None`: whichever results it is held against.
    pub profile: Option<String>,
    /// Where it was published.
    pub source: String,
}

/// How far a recomputed number may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// As a share of the published value.
    Relative(f64),
    /// In the claim's unit.
    Absolute(f64),
}
