//! What is written and read by more than one part of `runner`.
//!
//! The agent protocol, endpoints and their wire protocols, the schedule of the paced endpoint and its
//! log, the clock that every timestamp is of, and digests as they are written in files. Only types and
//! their text forms: what makes, sends or judges them stands elsewhere. It is linked into the agent's
//! process, so an edit here makes stored runs of the Rust runtime stale; what only `runner` itself reads
//! (sealed runs, the journal, the rows of probes outside the agent) therefore stays in `runner`.

pub mod clock;
pub mod digest;
pub mod endpoint;
pub mod pacing;
pub mod protocol;
pub mod sends;

use serde_json::Value;

/// JSON Schemas of the agent protocol's documents, by the names of their files.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Value)> {
    let schema = |schema: schemars::Schema| schema.to_value();
    vec![
        ("agent-spec.schema.json", schema(schemars::schema_for!(protocol::Spec))),
        ("agent-event.schema.json", schema(schemars::schema_for!(protocol::Event))),
        ("agent-record.schema.json", schema(schemars::schema_for!(protocol::AgentRecord))),
    ]
}
