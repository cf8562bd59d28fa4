//! `runner`: a declarative experiment runner for LLM inference research.
//!
//! Three crates stand beside it: `formats` (what is written and read by more than one part), `agent`
//! (the process that makes the calls, and nothing else) and `simulator` (the paced endpoint, which shares
//! no decoder with the client that it checks). The Python runtime is in `runtimes/`.
//!
//! Layers, the lowest first; none knows one above it, which a test holds:
//!
//! ```text
//! os, stats, encoding, shown, corpus, workflow, python
//! server, probe, manifest
//! cells
//! plan, store, provenance
//! metrics, verdict, preflight
//! recompute, report, execute, conformance
//! progress
//! cli
//! ```
//!
//! `stats` and the matrix of `plan` are pure. Reports read only the study, the plan and the store. Execution
//! prints nothing and says what happens by events. Nothing but `cli` prints or chooses exit codes.
//!
//! - [`os`]: what depends on the operating system, with a branch for each.
//! - [`stats`]: pure statistics.
//! - [`encoding`]: text files as editors and shells save them.
//! - [`shown`]: text from outside on its way to a terminal or a page.
//! - [`corpus`]: the texts of tokenizer experiments, generated from a seed.
//! - [`workflow`]: what a workflow is asked for, and what a runtime must leave of it.
//! - [`python`]: a Python of the user's, private environments of pinned packages on it, the bundled runtime.
//! - [`server`]: questions to servers beside the calls that are measured.
//! - [`probe`]: instruments that watch a run from outside the agent's process. Their files' rows and what
//!   they say of themselves are read and stored by the others as they are.
//! - [`manifest`]: TOML as written, with positions → a checked [`manifest::Study`]; diagnostics.
//! - [`cells`]: the levels of cells, and what selects by them: filters, templates, hypotheses, baselines.
//! - [`plan`]: factors, matrix algebra, cells, identity, run order. Touches no server and no store.
//! - [`store`]: layout, sealed records, journal, lock, verification.
//! - [`provenance`]: what was met: the machine, the code.
//! - [`metrics`]: raw artifacts → metrics, the one implementation for every runtime.
//! - [`verdict`]: hypotheses and published numbers against stored runs that it is given.
//! - [`preflight`]: what cells need against what there is: findings before the first call; `doctor`.
//! - [`execute`]: one run, the loop over runs, retries, cancelling.
//! - [`recompute`]: the metrics of stored runs again, by today's formulas.
//! - [`import`]: files of earlier results → sealed runs.
//! - [`report`]: context, tables, rendering, export.
//! - [`conformance`]: whether a program is a runtime, tried against the paced endpoint.
//! - [`progress`]: bars, plain lines and JSON lines. Only listens to events.
//! - [`cli`]: ties them together.

// A character may have several bytes: `get`, `split_once`, or `split_at` of a place that was found.
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub mod cells;
pub mod cli;
pub mod conformance;
pub mod corpus;
pub mod encoding;
pub mod execute;
pub mod import;
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
pub mod shown;
pub mod stats;
pub mod store;
pub mod verdict;
pub mod workflow;
