//! Claims as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Scalar;

/// A published number; with a tolerance of one kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The number as published.
    pub value: f64,
    /// Unit of the value (default: the metric's), e.g. "tok/s", "s", "%".
    pub unit: Option<String>,
    /// A metric of runs (`runner schema metrics`).
    pub metric: String,
    /// mean (default), median, sd, cv, min, max, p95, p99; over runs.
    pub stat: Option<String>,
    /// Only cells of this experiment (default: any).
    pub experiment: Option<String>,
    /// Levels of the cells that it is about.
    #[serde(rename = "where", default)]
    pub cells: IndexMap<String, Scalar>,
    /// How far the recomputed number may be off, as a share of the value: 0.01 is 1 %.
    pub tolerance: Option<f64>,
    /// How far the recomputed number may be off, in the unit of the value.
    pub tolerance_abs: Option<f64>,
    /// The profile whose results it is about (default: whichever it is held against).
    pub profile: Option<String>,
    /// Where it was published.
    pub source: String,
}
