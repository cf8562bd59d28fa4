//! Carrying a plan out: one run, the loop over runs, retries, cancelling.
//!
//! Says what happens through [`ExecEvent`] and prints nothing. Synchronous: one run at a time, in
//! threads only where something has to be heard while something else is awaited. [`attempt()`] is
//! the unit; [`execute`] is the loop around it.

mod agenda;
mod artifacts;
pub mod attempt;
mod calibrate;
mod cancel;
mod command;
mod conversation;
mod declare;
pub mod derived;
mod doomed;
mod error;
pub mod event;
mod fallback;
pub mod fault;
mod flamegraph;
mod folder;
pub mod forecast;
mod group;
mod keys;
mod limits;
mod machine;
mod memory;
mod opening;
pub mod paced;
mod pause;
mod process;
pub mod prompt;
mod reach;
mod recovery;
pub mod request;
pub mod runtimes;
mod sampling;
mod scenario;
mod session;
mod surroundings;
pub mod tokenize;
pub mod until;
mod watched;
mod wire;
mod workflow;

pub use agenda::StaleRuns;
pub use attempt::attempt;
pub use cancel::Cancel;
pub use declare::declare;
pub use error::ExecError;
pub use event::ExecEvent;
pub use limits::Limits;
pub use opening::{Settings, Stale, Summary, execute};

#[cfg(test)]
mod tests;
