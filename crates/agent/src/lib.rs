//! The Rust runtime: the process that makes the calls that are measured, and nothing else.
//!
//! What stands here runs in the agent's process, so its digest ([`digest`]) is what tells which client
//! measured a run. Questions to servers beside the calls, preflight and every metric stand in `runner`.

mod check;
mod finish;
pub mod http;
pub mod os;
mod output;
mod process;
mod runtime;
pub mod tokenize;
pub mod wire;
pub mod workflow;

pub use finish::{Environment, Finish, RuntimeError};
pub use process::{prepare, run};

/// Digest of the code that makes calls: the sources of this crate and of `formats`, the locked versions
/// of what they link, and the build profile; 64 hex digits.
pub const DIGEST: &str = env!("RUNNER_AGENT_DIGEST");
/// As [`DIGEST`], with what tokenizer work has besides.
pub const TOKENIZE_DIGEST: &str = env!("RUNNER_TOKENIZE_DIGEST");
/// How this crate was compiled: `release`, or `debug`, which measures more slowly.
pub const PROFILE: &str = env!("RUNNER_AGENT_PROFILE");
/// Locked version of the crate that encodes text.
pub const TOKENIZERS_VERSION: &str = env!("RUNNER_TOKENIZERS_VERSION");
