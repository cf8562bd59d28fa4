//! Runs that are drawn and not made: for simulations of what a verdict would be.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::store::record::{Evidence, ProcessUsage, RUN_FORMAT, RunRecord};

/// A run with figures and a place in time, and nothing else: the `place`-th of its study, a second after the one
/// before.
#[must_use]
pub fn run(repeat: u32, place: u32, values: impl IntoIterator<Item = (String, f64)>) -> RunRecord {
    let at = |second: u32| {
        let since = SignedDuration::from_secs(i64::from(second));
        Timestamp::UNIX_EPOCH.saturating_add(since).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
    };
    RunRecord {
        format: RUN_FORMAT,
        cell: String::new(),
        identity_version: 2,
        levels: Vec::new(),
        cell_name: String::new(),
        repeat,
        attempt: 1,
        identity: serde_json::Value::Null,
        started: Some(at(place)),
        finished: Some(at(place + 1)),
        imported: None,
        agents: Vec::new(),
        evidence: Evidence::default(),
        process: ProcessUsage::default(),
        machine: None,
        fallback_of: None,
        rerun_of: None,
        tokens: None,
        probes: BTreeMap::new(),
        servers: BTreeMap::new(),
        serving: BTreeMap::new(),
        calls: Vec::new(),
        command: None,
        sampling: BTreeMap::new(),
        wire: None,
        metrics: values.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        recomputed: Vec::new(),
        files: BTreeMap::new(),
    }
}
