//! What a sampling probe says of itself: what it watched and how, how well it kept its schedule, what
//! it cost, and what it could not see.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Pace;

/// Looks that a probe may lose in a row, if that makes more than [`HOLE`].
const LOST: u32 = 10;
/// What a busy machine may keep a probe from looking.
const HOLE: Duration = Duration::from_secs(1);

/// How long a probe that looks at this interval may see nothing of what it watches.
#[must_use]
pub fn longest_gap(interval: Duration) -> Duration {
    interval.saturating_mul(LOST).max(HOLE)
}

/// CPU time of the calling thread from a moment on.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime(Option<u64>);

impl CpuTime {
    #[must_use]
    pub fn start() -> Self {
        Self(agent::os::thread_cpu_ns())
    }

    /// Nanoseconds; absent where the system does not tell. To be asked by the same thread.
    #[must_use]
    pub fn used_ns(self) -> Option<u64> {
        agent::os::thread_cpu_ns().zip(self.0).map(|(now, began)| now.saturating_sub(began))
    }
}

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
    /// From when until when each GPU was seen; empty of other probes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Seen>,
    /// Columns in which nothing was ever known, each with the reason; of some GPUs alone where it
    /// names them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unavailable: BTreeMap<String, String>,
    /// What else a reader of the samples should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Sampling {
    /// GPUs that were not seen to the end, in sentences.
    pub fn losses(&self) -> impl Iterator<Item = String> {
        self.gpus.iter().filter_map(|seen| {
            let reason = seen.lost.as_ref()?;
            Some(format!("{} was not seen to the end: {reason}", seen.name))
        })
    }

    /// Takes over what the probe used in `wall_ns`.
    pub fn cost(&mut self, cpu_s: Option<f64>, wall_ns: u64) {
        self.cpu_s = cpu_s;
        let passed = wall_ns as f64 / 1e9;
        self.cpu_percent = cpu_s.filter(|_| passed > 0.0).map(|used| 100.0 * used / passed);
    }
}

/// How long one of several GPUs was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// By the driver's count.
    pub gpu: u32,
    /// As it is `watched`.
    pub name: String,
    pub rows: u64,
    /// Of its first row, monotonic; absent without one.
    #[serde(default)]
    pub from_ns: Option<u64>,
    /// Of its last row.
    #[serde(default)]
    pub until_ns: Option<u64>,
    /// Why it was not seen to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// An instrument that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);
