//! The Python runtime in its real environment: what every runtime must do, by the same tests as the
//! Rust one, and what only it can do.
//!
//! Where the environment cannot be made, these tests fail with what to do about it; all others of the
//! project need no more than any Python, or none.

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
#[path = "../agent/requests.rs"]
mod requests;
#[path = "../agent/route.rs"]
mod route;
mod runtime;
#[path = "../agent/scripted.rs"]
mod scripted;
#[path = "../agent/timing.rs"]
mod timing;
mod variants;
