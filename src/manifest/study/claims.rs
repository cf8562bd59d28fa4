//! What is held against the data: hypotheses of the study, published numbers, and what the author recommends by them.

use formats::protocol::Stage;

use crate::manifest::command::Stat;
use crate::manifest::criterion::{Cells, Criterion, Terms};
use crate::manifest::sign::Sign;
pub use crate::manifest::written::{ClaimAs, ClaimOver};

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
    pub published: Published,
    /// As written; the metric's where none is.
    pub unit: Option<String>,
    pub quantity: Quantity,
    pub statistic: ClaimStatistic,
    pub over: ClaimOver,
    /// What each cell's runs come to, over cells and pairs.
    pub of: ClaimStatistic,
    pub side: ClaimSide,
    /// Left out of both sides; nothing where it is empty.
    pub except: Cells,
    /// Axes on which a cell and its counterpart have the same level, over pairs.
    pub paired_by: Vec<String>,
    /// What the figure is held against.
    pub against: Option<(ClaimSide, ClaimAs)>,
    pub repeat: Option<u32>,
    pub agent: Option<String>,
    pub stage: Option<Stage>,
    /// Also calls that do not count.
    pub uncounted: bool,
    /// Only runs whose calls all count.
    pub complete: bool,
    /// The profile whose results it is about; `None`: whichever results it is held against.
    pub profile: Option<String>,
    /// Where it was published.
    pub source: String,
}

/// What was published of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Published {
    Value(f64, Tolerance),
    AtLeast(f64),
    AtMost(f64),
}

/// What a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    Metric(String),
    /// A level that is a number.
    Level(String),
}

/// Cells that a figure is taken of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimSide {
    /// `None`: any.
    pub experiment: Option<String>,
    pub cells: Cells,
}

/// What is made of several values.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimStatistic {
    Of(Stat),
    /// sd ÷ |mean|.
    Cv,
    /// Largest − smallest.
    Range,
    /// 100 × (largest ÷ smallest − 1).
    RangePercent,
    /// How many, of those that are so where it says so.
    Count(Option<(Sign, f64)>),
    /// Which part of them is so.
    Share(Sign, f64),
    /// How many different ones.
    Distinct,
    /// Place among these cells, or among the levels of an axis, by the mean; 1 is the best.
    Rank {
        among: Cells,
        by: Option<String>,
    },
    /// Pearson's r with another metric.
    Correlation(String),
    /// Of Welch's test against the other side, two-sided.
    P,
}

impl ClaimStatistic {
    /// As it is written.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Of(stat) => stat.to_string(),
            Self::Cv => "cv".to_owned(),
            Self::Range => "range".to_owned(),
            Self::RangePercent => "range in per cent".to_owned(),
            Self::Count(_) => "count".to_owned(),
            Self::Share(..) => "share".to_owned(),
            Self::Distinct => "number of different values".to_owned(),
            Self::Rank { .. } => "rank".to_owned(),
            Self::Correlation(with) => format!("correlation with {with}"),
            Self::P => "p".to_owned(),
        }
    }
}

/// What the author recommends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    pub name: String,
    pub text: String,
    /// It stands while all of these hold.
    pub grounds: Vec<Ground>,
}

/// A verdict or a claim that a recommendation rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    pub of: GroundOf,
    /// What it must be: `supported`, `refuted`, `reproduced` or `contradicted`.
    pub is: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroundOf {
    /// `<experiment>/<hypothesis>`.
    Hypothesis(String),
    Claim(String),
}

/// How far a recomputed number may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// As a share of the published value.
    Relative(f64),
    /// In the claim's unit.
    Absolute(f64),
}
