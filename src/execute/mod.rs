//! Carrying a plan out: one run, the loop over runs, retries, cancelling.
//!
//! Says what happens through [`ExecEvent`] and prints nothing.

pub mod event;

pub use event::ExecEvent;
