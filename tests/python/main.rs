//! The Python runtime in its real environment: what every runtime must do, by the same tests as the
//! Rust one, and what only it can do.
//!
//! Where the environment cannot be made the tests are skipped, visibly; with `CI=true` they fail.

mod accuracy;
#[path = "../agent/answers.rs"]
mod answers;
#[path = "../agent/calls.rs"]
mod calls;
mod conformance;
mod decoding;
mod environment;
#[path = "../agent/lifecycle.rs"]
mod lifecycle;
#[path = "../agent/outcomes.rs"]
mod outcomes;
#[path = "../agent/pieces.rs"]
mod pieces;
mod probes;
#[path = "../agent/process.rs"]
mod process;
mod runtime;
#[path = "../agent/scripted.rs"]
mod scripted;
#[path = "../agent/timing.rs"]
mod timing;
mod variants;
