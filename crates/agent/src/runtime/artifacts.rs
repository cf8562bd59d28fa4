//! What a runtime leaves behind, written after the measured window.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem;
use std::path::Path;

use formats::protocol::{
    AgentRecord, CHUNK_COLUMNS, CHUNK_FILE, ClockPair, LOOP_LAG_FILE, PROMPTS_DIR, PROTOCOL,
    RESPONSES_DIR, RuntimeInfo, Spec,
};

use super::call::{CallLog, ChunkRow};
use super::{Recorded, cost};
use crate::finish::RuntimeError;
use crate::http::Delays;
use crate::output::Folder;

/// Writes answers, what probes found and, last of all, the record.
pub(super) fn write(
    folder: &Folder<'_>,
    spec: &Spec,
    runtime: RuntimeInfo,
    clock: ClockPair,
    recorded: Recorded,
    delays: Option<Delays>,
) -> Result<(), RuntimeError> {
    let Recorded { logs, idle, lag } = recorded;
    let (mut calls, mut stages) = (Vec::new(), Vec::new());
    for log in logs {
        calls.extend(log.calls);
        stages.extend(log.stages);
    }
    calls.sort_by_key(|call| call.record.start_ns);
    stages.sort_by_key(|stage| stage.start_ns);
    for call in &mut calls {
        let name = format!("{}-{}.txt", call.record.agent, call.record.call);
        folder.write(Path::new(RESPONSES_DIR).join(&name), mem::take(&mut call.text))?;
        // What a workflow made.
        if let Some(prompt) = call.prompt.take() {
            folder.write(Path::new(PROMPTS_DIR).join(&name), prompt)?;
        }
    }
    let mut probe_cost_ns = BTreeMap::new();
    if spec.probes.chunks {
        let rows = calls.iter().map(|call| call.chunks.len()).sum();
        probe_cost_ns.extend(cost::chunk_rows_ns(rows).map(|cost| ("chunks".to_owned(), cost)));
        folder.write(CHUNK_FILE, chunk_table(&calls))?;
    }
    if let Some(lag) = lag {
        folder.write(LOOP_LAG_FILE, lag.table())?;
        probe_cost_ns.extend(lag.cost_ns.map(|cost| ("loop_lag".to_owned(), cost)));
    }
    let reads = calls.iter().map(CallLog::stamped_reads).sum();
    probe_cost_ns.extend(cost::read_stamps_ns(reads).map(|cost| ("read_delay".to_owned(), cost)));
    let calls = calls.into_iter().map(|call| call.into_record(delays)).collect();
    let record = AgentRecord {
        protocol: PROTOCOL,
        runtime,
        clock,
        calls,
        idle,
        probe_cost_ns,
        stages,
        tokenize: None,
    };
    folder.write_record(&record)
}

/// The rows of the chunk probe; no field needs quoting.
fn chunk_table(calls: &[CallLog]) -> String {
    let mut table = CHUNK_COLUMNS.join(",");
    table.push('\n');
    for call in calls {
        let mut previous: Option<&ChunkRow> = None;
        for (index, chunk) in call.chunks.iter().enumerate() {
            let ChunkRow { time_ns, read_ns, bytes, parse_ns, text } = chunk;
            let (agent, number) = (&call.record.agent, call.record.call);
            let gap = previous.map_or_else(String::new, |previous| {
                format!("{:.6}", time_ns.saturating_sub(previous.time_ns) as f64 / 1e6)
            });
            let parse_ms = *parse_ns as f64 / 1e6;
            let text = u8::from(*text);
            // Writing to a string cannot fail.
            let _ = writeln!(
                table,
                "{time_ns},{read_ns},{agent},{number},{index},{bytes},{gap},{parse_ms:.6},{text}"
            );
            previous = Some(chunk);
        }
    }
    table
}
