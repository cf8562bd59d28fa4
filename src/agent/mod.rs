//! The agent protocol, the runtimes that ship (Rust and Python), and the check of other ones.
//!
//! Agents drive calls and only record; every metric is computed elsewhere. A runtime is a process of
//! its own: the executor never shares a process with what it measures.

pub mod conformance;
pub mod protocol;
pub mod python;
pub mod runtime;
pub mod workflow;

use serde_json::Value;

/// JSON Schemas of the protocol's documents, by the names of their files.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Value)> {
    let schema = |schema: schemars::Schema| schema.to_value();
    vec![
        ("agent-spec.schema.json", schema(schemars::schema_for!(protocol::Spec))),
        ("agent-event.schema.json", schema(schemars::schema_for!(protocol::Event))),
        ("agent-record.schema.json", schema(schemars::schema_for!(protocol::AgentRecord))),
    ]
}
