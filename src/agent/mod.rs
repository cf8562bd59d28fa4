//! The agent protocol and the Rust runtime.
//!
//! Agents drive calls and only record; every metric is computed elsewhere. A runtime is a process of
//! its own: the executor never shares a process with what it measures.

pub mod protocol;

/// (being built)
#[must_use]
pub fn schemas() -> Vec<(&'static str, serde_json::Value)> {
    Vec::new()
}
