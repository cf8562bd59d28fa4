//! A cell in full: what its runs must do.

use std::time::Duration;

use crate::agent::protocol::Api;
use crate::manifest::study::{Endpoint, Options, Probes, Retry, RuntimeCommand};

/// Everything needed to execute one cell.
#[derive(Debug, Clone)]
pub struct CellSpec {
    /// The document whose digest is the cell's id.
    pub identity: serde_json::Value,
    /// `rust`, `python` or a user's runtime.
    pub runtime: String,
    /// How to start it, if it is a user's.
    pub command: Option<RuntimeCommand>,
    /// The runtime's own settings (`event_loop`, `json`, …), default levels left out.
    pub variant: std::collections::BTreeMap<String, serde_json::Value>,
    pub scenario: String,
    /// One entry per concurrent stream: copies are expanded (`collector`, `collector-2`, …).
    pub agents: Vec<SpecAgent>,
    pub read_buffer: Option<u64>,
    /// Chunks with text per second and call.
    pub throttle: Option<f64>,
    pub warmup: u32,
    pub probes: Probes,
    pub vary_prompt: bool,
    pub vary_seed: bool,
    pub timeout: Duration,
    pub retry: Retry,
    /// What this version cannot execute, in words; empty: it can.
    pub not_built: Vec<String>,
}

/// One stream of calls.
#[derive(Debug, Clone)]
pub struct SpecAgent {
    /// Unique within the cell.
    pub name: String,
    /// Name of the endpoint in the manifest.
    pub endpoint_name: String,
    pub endpoint: Endpoint,
    pub api: Api,
    pub model: String,
    /// Content, without the prefix that differs per repeat.
    pub prompt: String,
    /// Options sent to the server; empty: its defaults.
    pub options: Options,
    pub max_tokens: Option<u32>,
}
