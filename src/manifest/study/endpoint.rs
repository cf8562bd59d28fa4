//! Inference servers: where they are, what they speak, and the schedule of one that is paced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A named inference server.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    Ollama { url: String },
    OpenAi { url: String, api: OpenAiApi, api_key_env: Option<String> },
    Simulated(Pacing),
}

impl Endpoint {
    /// Why the server cannot put its models out of memory on request; `None`: it can.
    #[must_use]
    pub fn cannot_unload(&self) -> Option<&'static str> {
        match self {
            Endpoint::Ollama { .. } => None,
            Endpoint::OpenAi { .. } => {
                Some("is OpenAI-compatible, a protocol that has no word for unloading")
            }
            Endpoint::Simulated(pacing) => match pacing.protocol {
                PacedProtocol::Ollama => None,
                PacedProtocol::OpenaiChat | PacedProtocol::OpenaiCompletions => {
                    Some("speaks OpenAI's protocol, which has no word for unloading")
                }
            },
        }
    }
}

/// Which of the OpenAI endpoints is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenAiApi {
    Chat,
    Completions,
}

/// The schedule of the paced endpoint. Part of a run's identity: it is what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pacing {
    pub protocol: PacedProtocol,
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

/// What the paced endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacedProtocol {
    /// `/api/generate`, NDJSON.
    Ollama,
    /// `/v1/chat/completions`, SSE.
    OpenaiChat,
    /// `/v1/completions`, SSE.
    OpenaiCompletions,
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
