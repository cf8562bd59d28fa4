//! What a runtime records, made up: for the tests and the benchmark of reports.

use std::collections::BTreeMap;

use formats::protocol::{
    AgentRecord, CallRecord, ClockPair, Outcome, PROTOCOL, RuntimeInfo, ServerCounts,
};

/// A call whose chunks of one token came at these times after its start; the first of an agent warms up.
pub fn call(agent: &str, call: u32, start_ns: u64, texts: Vec<u64>) -> CallRecord {
    let tokens = texts.len() as u64;
    CallRecord {
        agent: agent.into(),
        call,
        warmup: call == 0,
        start_ns,
        connected_ns: None,
        local_port: None,
        sent_ns: None,
        headers_ns: None,
        end_ns: start_ns + texts[texts.len() - 1] + 1_000_000,
        text_offsets_ns: texts,
        http_status: Some(200),
        outcome: Outcome::Length,
        error: None,
        chunks: tokens + 1,
        bytes: 100 * tokens,
        reads: None,
        largest_read: None,
        read_delays_ns: None,
        finish_reason: Some("length".into()),
        model: None,
        text_bytes: Vec::new(),
        server: ServerCounts { tokens: Some(tokens), ..ServerCounts::default() },
    }
}

pub fn record(calls: Vec<CallRecord>) -> AgentRecord {
    AgentRecord {
        protocol: PROTOCOL,
        runtime: RuntimeInfo {
            name: "rust".into(),
            version: "0.1.0".into(),
            details: BTreeMap::default(),
        },
        clock: ClockPair { monotonic_ns: 0, utc: "2025-06-01T10:00:00.000Z".into() },
        calls,
        idle: None,
        probe_cost_ns: BTreeMap::new(),
        stages: Vec::new(),
        tokenize: None,
    }
}
