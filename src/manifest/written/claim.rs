//! Claims as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Scalar;

/// A published number: a value with a tolerance of one kind, or a bound.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The number as published.
    pub value: Option<f64>,
    /// In place of a value: it is this or more.
    pub above: Option<f64>,
    /// In place of a value: it is this or less.
    pub below: Option<f64>,
    /// Unit of the value (default: the metric's), e.g. "tok/s", "s", "%".
    pub unit: Option<String>,
    /// A metric (`runner schema metrics`).
    pub metric: Option<String>,
    /// In place of a metric: a level that is a number, also one that is no axis.
    pub level: Option<String>,
    /// mean (default), median, sd, cv, min, max, sum, p95, p99 or any other percentile, range, `range_percent`, count, share, distinct, rank, correlation, p.
    pub stat: Option<String>,
    /// With count or share: what is counted, e.g. ">= 96".
    pub is: Option<String>,
    /// What the statistic is taken over (default runs).
    pub over: Option<ClaimOver>,
    /// With over = "cells" or "pairs": what each cell's runs come to (default mean).
    pub of: Option<String>,
    /// Only this repeat of each cell, from 1.
    pub repeat: Option<u32>,
    /// Figures of this agent alone.
    pub agent: Option<String>,
    /// With over = "calls": only calls of this stage of a workflow.
    pub stage: Option<String>,
    /// With over = "calls": also calls that do not count.
    #[serde(default)]
    pub uncounted: bool,
    /// Only runs whose calls all count.
    #[serde(default)]
    pub complete: bool,
    /// What the figure is held against: levels of other cells, with experiment = "…" where they are of another.
    pub against: Option<IndexMap<String, Scalar>>,
    /// With against: a difference (default), percent or a ratio.
    #[serde(rename = "as")]
    pub against_as: Option<ClaimAs>,
    /// With stat = "correlation": the other metric.
    pub with: Option<String>,
    /// With stat = "rank": the cells that are ranked; those of `where` are among them (default: with `by` those of `where` at any level of that axis, else all of the experiment, or of all where none is named).
    pub among: Option<IndexMap<String, Scalar>>,
    /// With stat = "rank": the axis whose levels are ranked (default: cell by cell).
    pub by: Option<String>,
    /// Only cells of this experiment (default: any).
    pub experiment: Option<String>,
    /// Levels of the cells that it is about.
    #[serde(rename = "where", default)]
    pub cells: IndexMap<String, Scalar>,
    /// Levels of cells that are left out.
    #[serde(default)]
    pub except: IndexMap<String, Scalar>,
    /// How far the recomputed number may be off, as a share of the value: 0.01 is 1 %.
    pub tolerance: Option<f64>,
    /// How far the recomputed number may be off, in the unit of the value.
    pub tolerance_abs: Option<f64>,
    /// The profile whose results it is about (default: whichever it is held against).
    pub profile: Option<String>,
    /// Where it was published.
    pub source: String,
}

/// What a statistic is taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimOver {
    #[default]
    Runs,
    /// Calls are not the unit of replication; so much was published over them.
    Calls,
    /// What each cell's runs come to.
    Cells,
    /// With against: each cell held against its counterpart there, which has the same levels otherwise.
    Pairs,
}

/// How two figures are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimAs {
    /// The one less the other.
    #[default]
    Difference,
    /// By how many per cent the one is more than the other.
    Percent,
    /// The one divided by the other.
    Ratio,
}
