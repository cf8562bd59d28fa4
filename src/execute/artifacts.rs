//! The contract of an agent's artifacts: what must lie in the folder for the run to count.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::{ArtifactFault, AttemptFault};
use crate::agent::protocol::{
    AgentRecord, CHUNK_COLUMNS, CHUNK_FILE, PROTOCOL, RECORD_FILE, RESPONSES_DIR, Spec,
};
use crate::metrics;
use crate::store::failed::CallOutcome;

/// Reads the record and checks everything that was asked for. A call that does not count is a fault
/// of its own, the worst one is named.
pub fn check(folder: &Path, spec: &Spec) -> Result<AgentRecord, AttemptFault> {
    let record = read(folder)?;
    let failed = record.calls.iter().filter(|call| !call.outcome.counts());
    if let Some(call) = failed.max_by_key(|call| call.outcome) {
        return Err(AttemptFault::Call {
            agent: call.agent.clone(),
            call: call.call,
            warmup: call.warmup,
            outcome: call.outcome,
            status: call.http_status.filter(|status| *status >= 400),
            error: call.error.clone(),
        });
    }
    calls(&record, spec)?;
    responses(folder, &record)?;
    if spec.probes.chunks {
        chunks(folder, &record)?;
    }
    Ok(record)
}

/// How the calls ended, as far as the folder tells; for attempts that failed.
#[must_use]
pub fn outcomes(folder: &Path) -> Vec<CallOutcome> {
    let calls = read(folder).map(|record| record.calls).unwrap_or_default();
    calls
        .into_iter()
        .map(|call| CallOutcome {
            agent: call.agent,
            call: call.call,
            warmup: call.warmup,
            outcome: call.outcome,
            error: call.error,
        })
        .collect()
}

fn read(folder: &Path) -> Result<AgentRecord, ArtifactFault> {
    let unreadable =
        |reason: String| ArtifactFault::Unreadable { path: RECORD_FILE.into(), reason };
    let record = metrics::read_record(&folder.join(RECORD_FILE))
        .map_err(|error| unreadable(error.reason))?;
    if record.protocol != PROTOCOL {
        return Err(unreadable(format!("its protocol is {}, not {PROTOCOL}", record.protocol)));
    }
    Ok(record)
}

/// Every call exactly once, as warm-up or not as asked.
fn calls(record: &AgentRecord, spec: &Spec) -> Result<(), ArtifactFault> {
    let mut wanted: BTreeMap<(&str, u32), bool> = spec
        .agents
        .iter()
        .flat_map(|agent| {
            (0..).zip(&agent.calls).map(|(index, call)| ((agent.name.as_str(), index), call.warmup))
        })
        .collect();
    for call in &record.calls {
        if wanted.remove(&(call.agent.as_str(), call.call)) != Some(call.warmup) {
            let (agent, call) = (call.agent.clone(), call.call);
            return Err(ArtifactFault::ForeignCall { file: RECORD_FILE, agent, call });
        }
    }
    match wanted.into_keys().next() {
        None => Ok(()),
        Some((agent, call)) => {
            Err(ArtifactFault::MissingCall { file: RECORD_FILE, agent: agent.to_owned(), call })
        }
    }
}

fn responses(folder: &Path, record: &AgentRecord) -> Result<(), ArtifactFault> {
    for call in &record.calls {
        let path = Path::new(RESPONSES_DIR).join(format!("{}-{}.txt", call.agent, call.call));
        if !folder.join(&path).is_file() {
            let (agent, call) = (call.agent.clone(), call.call);
            return Err(ArtifactFault::MissingResponse { path, agent, call });
        }
    }
    Ok(())
}

/// One row per chunk: a header alone is a probe that measured nothing.
fn chunks(folder: &Path, record: &AgentRecord) -> Result<(), ArtifactFault> {
    let unreadable = |error: csv::Error| ArtifactFault::Unreadable {
        path: CHUNK_FILE.into(),
        reason: error.to_string(),
    };
    let mut reader = csv::Reader::from_path(folder.join(CHUNK_FILE)).map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?;
    if *header != CHUNK_COLUMNS[..] {
        return Err(ArtifactFault::Header {
            file: CHUNK_FILE,
            found: header.iter().collect::<Vec<_>>().join(","),
            expected: CHUNK_COLUMNS.join(","),
        });
    }
    let mut found = 0;
    let mut row = csv::ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(unreadable)? {
        found += 1;
    }
    let expected = record.calls.iter().map(|call| call.chunks).sum();
    if found == expected {
        Ok(())
    } else {
        Err(ArtifactFault::Rows { file: CHUNK_FILE, found, expected })
    }
}
