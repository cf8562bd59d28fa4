//! Hypotheses as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;
use crate::manifest::criterion::{Across, Over, Test};

/// A claim and its criterion; exactly one of correlation, greater, less, ratio, equivalent, threshold, steadier, all, any.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// The claim in one sentence.
    pub claim: Option<String>,
    /// Level of significance (default 0.05).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How it is tested, where the default is not wanted: "t" (Student's, Welch's or the paired t on the values as they are), "log" (on their logarithms), "rank", "permutation", "chi2" (of `sd` and `cv`: takes the runs for normal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// Where a side or a selection holds several cells: over their means, each cell one value ("cells", default), or of each of them, all of which must hold ("each").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// Judge although more than a tenth of the attempts at its cells failed (default false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub despite_failures: Option<bool>,
    /// Judge although its two sides were measured one after the other, so that a drift of the machine is in their difference (default false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub despite_drift: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greater: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub less: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalent: Option<Equivalent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steadier: Option<Steadier>,
    /// All of these hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Hypothesis>>,
    /// At least one of these holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Hypothesis>>,
}

/// Two metrics go together over the runs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    pub x: String,
    pub y: String,
    #[serde(rename = "where", default, skip_serializing_if = "IndexMap::is_empty")]
    pub cells: IndexMap<String, Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// "runs" (default): over the runs within each cell; "cells": over the means of the cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub across: Option<Across>,
}

/// A metric differs between two selections of cells.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub metric: String,
    pub at: IndexMap<String, Scalar>,
    pub than: IndexMap<String, Scalar>,
    /// Smallest difference that counts (default 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<f64>,
}

/// The ratio of a metric between two selections of cells lies above or below a bound.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    pub metric: String,
    pub of: IndexMap<String, Scalar>,
    pub to: IndexMap<String, Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// A metric is the same in two selections of cells, within a margin.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Equivalent {
    pub metric: String,
    pub at: IndexMap<String, Scalar>,
    pub to: IndexMap<String, Scalar>,
    pub margin: f64,
}

/// A statistic of a metric lies above or below a bound.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    pub metric: String,
    #[serde(rename = "where", default, skip_serializing_if = "IndexMap::is_empty")]
    pub cells: IndexMap<String, Scalar>,
    /// mean (default), median, sd, cv, min, max, p95, p99.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// A metric is spread less over the runs in one selection of cells than in another: the coefficient of variation
/// of positive metrics, the standard deviation of others.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steadier {
    pub metric: String,
    pub at: IndexMap<String, Scalar>,
    pub than: IndexMap<String, Scalar>,
    /// The ratio of the spreads lies below this (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}
