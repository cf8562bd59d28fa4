//! How runs are made, repeated and judged to have failed: nothing of it is part of a run's identity but the
//! calls' own settings.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Level;

/// Settings that any experiment may override.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    pub repeats: u32,
    /// Calls of each agent before the measured ones; recorded, never counted.
    pub warmup: u32,
    /// Per call, from its start to its last byte.
    pub timeout: Duration,
    /// Most bytes of files that what is measured may leave in one attempt.
    pub max_output: u64,
    pub retry: Retry,
    pub order: Order,
    /// Seed of the run order; never part of a run's identity.
    pub order_seed: u64,
    pub max_tokens: Option<u32>,
    /// Put a short prefix, different per repeat, before each prompt.
    pub vary_prompt: bool,
    /// Add the repeat index to the inference option `seed`.
    pub vary_seed: bool,
    /// Answers that end before `max_tokens` because the context is full count.
    pub accept_context_full: bool,
    /// Largest matrix that is accepted, in runs of one experiment.
    pub max_runs: u64,
    /// Numbers of repeats after which hypotheses are judged, ascending, the last one `repeats`; empty: only then.
    pub looks: Vec<u32>,
    /// Repeats beyond `repeats`.
    pub until: Option<Until>,
    /// Pattern of the cell folders' readable names.
    pub cell_name: Option<String>,
}

/// Repeats that go on until every cell's mean is known well enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Until {
    pub half_width: HalfWidth,
    /// The most repeats.
    pub max: u32,
    /// `None`: every metric that the experiment's hypotheses name.
    pub metric: Option<String>,
}

/// Half of the 95 % interval of a mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HalfWidth {
    /// As a share of the mean: 0.02 is 2 %.
    Relative(f64),
    /// In the metric's unit.
    Absolute(f64),
}

/// When and how often a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Further attempts after the first.
    pub max: u32,
    pub on: Vec<RetryOn>,
}

/// What execution does when runs fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The other runs are made.
    Continue,
    /// Execution stops after this many failed runs of one exec.
    StopAfter(u32),
}

/// How outliers among the runs of a cell are found; they are named, never dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// Empty: none is looked for.
    pub metrics: Vec<String>,
    /// |value − median| > k × MAD.
    pub k: f64,
    pub mad: Mad,
}

impl Default for Outliers {
    fn default() -> Self {
        Self { metrics: Vec::new(), k: 2.0, mad: Mad::Raw }
    }
}

/// The scale of the median absolute deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mad {
    /// As it is: about 18 % of normal data lie farther out than twice of it.
    Raw,
    /// Scaled to the standard deviation of normal data.
    Scaled,
}

/// What is measured instead of a cell whose run failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fallback {
    /// Changes to the cell, tried one after the other; each is applied to the cell as it was asked
    /// for.
    pub steps: Vec<IndexMap<String, Level>>,
    pub on: FallbackOn,
}

/// Causes of a failed run after which the next step is tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FallbackOn(pub Vec<RetryOn>);

/// Causes of a failed attempt that a retry policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    Timeout,
    Connect,
    HttpError,
    InBandError,
    Truncated,
    Malformed,
    Refused,
    Empty,
    /// The agent process died, hung or broke the protocol.
    Agent,
}

/// The order in which runs are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Blocks: every cell once, in a seeded order of its own per block, before any cell's next repeat.
    Interleaved,
    /// All runs shuffled together.
    Shuffled,
    /// Cell by cell, all repeats of one before the next.
    Sequential,
}

impl Order {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interleaved => "interleaved",
            Self::Shuffled => "shuffled",
            Self::Sequential => "sequential",
        }
    }
}

/// What work costs; never part of identity, since it is no measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of the machine while it works, US dollars.
    pub usd_per_hour: Option<f64>,
    /// Of the electricity that the GPUs take, US dollars.
    pub usd_per_kwh: Option<f64>,
}
