//! What a sampling probe says of itself: what it watched and how, how well it kept its schedule, what
//! it cost, and what it could not see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::schedule::Pace;

/// The report of one sampling probe on one run. Stored in `run.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Where the samples come from, in words (`NVML`, `nvidia-smi -lms`, `/proc`).
    pub source: String,
    /// What was watched, one sentence fragment each.
    #[serde(default)]
    pub watched: Vec<String>,
    pub pace: Pace,
    /// Rows of the probe's file.
    pub rows: u64,
    /// CPU time of the probe: its threads and the programs that it started, seconds. Absent where the
    /// system does not tell.
    #[serde(default)]
    pub cpu_s: Option<f64>,
    /// Share of a core that this is of the time in which the probe was at work.
    #[serde(default)]
    pub cpu_percent: Option<f64>,
    /// Columns in which nothing was ever known, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unavailable: BTreeMap<String, String>,
    /// What else a reader of the samples should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Sampling {
    /// Takes over what the probe used in `wall_ns`.
    pub fn cost(&mut self, cpu_s: Option<f64>, wall_ns: u64) {
        self.cpu_s = cpu_s;
        let passed = wall_ns as f64 / 1e9;
        self.cpu_percent = cpu_s.filter(|_| passed > 0.0).map(|used| 100.0 * used / passed);
    }
}

/// An instrument that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);
