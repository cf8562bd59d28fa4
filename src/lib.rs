//! `runner`: a declarative experiment runner for LLM inference research.
//!
//! The house follows the data, from left to right:
//!
//! ```text
//! manifest → plan → agent, endpoint, probe, simulator → preflight → execute → verdict → report
//!                   store ← metrics ← stats
//! ```
//!
//! `manifest` and `plan` know nothing of running or storing (`plan` knows the names of wire
//! protocols). `store`, `metrics` and `stats` know nothing of plans or of execution: `execute` fills
//! the store with what `metrics` computes, `report` reads it. Nothing but `cli` knows everything.
//!
//! - [`manifest`]: TOML as written, with positions → a checked [`manifest::Study`]; diagnostics.
//! - [`plan`]: factors, matrix algebra, cells, identity, run order. Pure: touches no server and no store.
//! - [`agent`]: the agent protocol and the Rust runtime. Agents only record.
//! - [`python`]: a Python of the user's and private environments of pinned packages on it.
//! - [`probe`]: instruments that watch the agent's process from outside. Their files' rows and what they say
//!   of themselves are read and stored by the others as they are.
//! - [`endpoint`]: the wire formats of inference servers: requests, stream decoders, server facts.
//! - [`simulator`]: the paced endpoint. Shares no code with [`endpoint`], so errors cannot cancel out.
//! - [`preflight`]: what cells need against what there is: findings before the first call; `doctor`.
//! - [`execute`]: one run, the loop over runs, retries, cancelling. Prints nothing, emits events.
//! - [`progress`]: bars, plain lines and JSON lines. Only listens to events.
//! - [`store`]: layout, sealed records, journal, lock, verification.
//! - [`provenance`]: what was met: the machine, the servers and models, the code.
//! - [`metrics`]: raw artifacts → metrics, the one implementation for every runtime.
//! - [`recompute`]: the metrics of stored runs again, by today's formulas.
//! - [`stats`]: pure statistics.
//! - [`verdict`]: hypotheses and published numbers against stored runs that it is given.
//! - [`report`]: context, tables, rendering, export. Reads only the study, the plan and the store.
//! - [`cli`]: ties them together. The only part that prints or chooses exit codes.
//! - [`corpus`]: the texts of tokenizer experiments, generated from a seed.
//! - [`digest`]: SHA-256 in hex.
//! - [`os`]: everything that depends on the operating system.

pub mod cli;
pub mod conformance;
pub mod corpus;
pub mod execute;
pub mod manifest;
pub mod metrics;
pub mod os;
pub mod plan;
pub mod preflight;
pub mod probe;
pub mod progress;
pub mod provenance;
pub mod python;
pub mod recompute;
pub mod report;
pub mod server;
pub mod stats;
pub mod store;
pub mod verdict;
pub mod workflow;
