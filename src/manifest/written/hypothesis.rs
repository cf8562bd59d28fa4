//! Hypotheses as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;

/// A claim and its criterion; exactly one of correlation, greater, less, ratio, equivalent, threshold, all, any.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// The claim in one sentence.
    pub claim: Option<String>,
    /// Level of significance (default 0.05).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
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
