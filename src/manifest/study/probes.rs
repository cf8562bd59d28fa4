//! Instruments and controls of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Instruments switched on for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probes {
    /// Sleep of the loop-lag probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_lag: Option<Duration>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chunks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuProbe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<SampledProbe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flamegraph: Option<FlamegraphProbe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire: Option<WireProbe>,
}

/// The packet capture of the run's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WireProbe {
    /// A run fails when the instrument is unavailable.
    pub required: bool,
}

/// The sampling profiler of the agent's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlamegraphProbe {
    /// Samples per second.
    pub rate: u32,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
}

impl FlamegraphProbe {
    /// Samples per second unless the manifest says otherwise.
    pub const RATE: u32 = 100;
}

/// A probe that samples at an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampledProbe {
    pub interval: Duration,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
}

/// The GPU probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuProbe {
    pub interval: Duration,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
    /// GPUs by index or UUID, in the order of the manifest; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

/// A run made only to interpret others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// The runtime's process before its first call.
    Idle,
    /// Each agent of a scenario alone.
    Solo,
    /// Every cell a second time under another label.
    Aa,
}

impl Control {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Solo => "solo",
            Self::Aa => "aa",
        }
    }
}
