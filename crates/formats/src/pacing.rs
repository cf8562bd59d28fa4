//! The schedule of the paced endpoint: what is asked of it, and what it plays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::endpoint::Api;

/// The schedule of the paced endpoint. Part of a run's identity: it is what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pacing {
    pub protocol: Api,
    /// From the arrival of the request to the first chunk with text (after `load`, and after queueing).
    pub ttft: Duration,
    /// Tokens per second after the first chunk. Ignored when `gaps` is not empty.
    pub rate: f64,
    /// A trace of gaps between chunks, repeated when it ends; empty: constant gaps from `rate`.
    pub gaps: Vec<Duration>,
    /// Scale of the random deviation of each gap and of the TTFT (never below zero in total).
    pub jitter: Duration,
    pub jitter_shape: JitterShape,
    pub seed: u64,
    pub tokens_per_chunk: u32,
    /// Tokens after which the answer ends by itself (`stop`), if before the request's limit (`length`).
    pub tokens: Option<u32>,
    /// Time of loading a model: on its first call, and again after it was unloaded or when another
    /// context is asked for.
    pub load: Duration,
    /// Calls served at the same time; further ones wait their turn. `None`: no limit.
    pub slots: Option<u32>,
    pub faults: Vec<Fault>,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            protocol: Api::Ollama,
            ttft: Duration::from_millis(50),
            rate: 100.0,
            gaps: Vec::new(),
            jitter: Duration::ZERO,
            jitter_shape: JitterShape::Uniform,
            seed: 0,
            tokens_per_chunk: 1,
            tokens: None,
            load: Duration::ZERO,
            slots: None,
            faults: Vec::new(),
        }
    }
}

/// Distribution of the jitter around the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JitterShape {
    /// Uniform in ± jitter.
    Uniform,
    /// Normal with standard deviation jitter.
    Normal,
    /// Exponential with mean jitter, added.
    Exponential,
}

/// A fault that the paced endpoint plays, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// Tokens sent before the fault (ignored by `Status` and `Slow`).
    pub after: u32,
    /// Only the first N calls that the server gets (counted from its start), or all.
    pub first: Option<u32>,
    /// Only every Nth call (the Nth, the 2Nth, …), or all.
    pub every: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// This HTTP status and an error body instead of an answer.
    Status(u16),
    /// An error object inside the stream, status 200.
    Error(String),
    /// Nothing more is sent; the connection stays open.
    Stall,
    /// The connection is reset (RST).
    Reset,
    /// The stream ends properly at HTTP level, without `done` or `[DONE]`.
    Truncate,
    /// A line that is not JSON, then the rest of the answer.
    Malformed,
    /// Every byte is sent by itself, this far apart.
    Slow(Duration),
}
