//! `wire.csv`: what the wire showed of each call, row by row.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::os::files;

/// File of the probe in the run's folder.
pub const WIRE_FILE: &str = "wire.csv";
/// Columns of [`WIRE_FILE`], rows of all calls (warm-up included) whose figures can be relied on.
///
/// `agent`, `call`: as in the agent's record; `event`: see [`Event`]; `index`: from 0 within the call and
/// event; `time_ns`: monotonic; `bytes`: of the request with its head, or of the chunk's payload line or
/// event; of encrypted calls those of the segments, as they went over the wire.
pub const WIRE_COLUMNS: [&str; 6] = ["agent", "call", "event", "index", "time_ns", "bytes"];

/// What a row tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The request's last byte went over the wire. Of an encrypted call: the last bytes that the client
    /// sent before the server's first.
    Request,
    /// A chunk with text was whole: one row for each that the agent's record has.
    Chunk,
    /// Of an encrypted call alone: the first bytes of the answer. Absent on a new connection of TLS 1.3
    /// where they cannot be told from session tickets.
    FirstBytes,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    agent: String,
    call: u32,
    event: Event,
    index: u32,
    time_ns: u64,
    bytes: u64,
}

/// When something went over the wire, monotonic nanoseconds, and how many bytes it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    pub time_ns: u64,
    pub bytes: u64,
}

/// What the wire showed of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOnTheWire {
    pub agent: String,
    pub call: u32,
    pub request: Passed,
    /// Chunks with text; none of an encrypted call.
    pub chunks: Vec<Passed>,
    /// Of an encrypted call, where it is known: the answer's first bytes.
    pub first_bytes: Option<Passed>,
}

/// A table that is not one of this probe.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error("its columns are {found}, not {}", WIRE_COLUMNS.join(","))]
    Columns { found: String },
    #[error("row {row} ({agent} call {call}): {reason}")]
    Row { row: usize, agent: String, call: u32, reason: &'static str },
}

/// Writes the table; with its header also when there are no calls.
pub fn write(path: &Path, calls: &[CallOnTheWire]) -> Result<(), csv::Error> {
    let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(files::create(path)?);
    table.write_record(WIRE_COLUMNS)?;
    for call in calls {
        let mut row = |event, index, passed: &Passed| {
            let (agent, Passed { time_ns, bytes }) = (call.agent.clone(), *passed);
            table.serialize(Row { agent, call: call.call, event, index, time_ns, bytes })
        };
        row(Event::Request, 0, &call.request)?;
        for (index, chunk) in (0..).zip(&call.chunks) {
            row(Event::Chunk, index, chunk)?;
        }
        if let Some(first) = &call.first_bytes {
            row(Event::FirstBytes, 0, first)?;
        }
    }
    Ok(table.flush()?)
}

/// Reads the table, in the order of agents and calls.
pub fn read(path: &Path) -> Result<Vec<CallOnTheWire>, TableError> {
    let mut table = csv::Reader::from_reader(files::open(path).map_err(csv::Error::from)?);
    let header = table.headers()?;
    if *header != WIRE_COLUMNS[..] {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(TableError::Columns { found });
    }
    let mut calls: BTreeMap<(String, u32), CallOnTheWire> = BTreeMap::new();
    for (number, row) in (1..).zip(table.deserialize()) {
        let Row { agent, call, event, index, time_ns, bytes } = row?;
        let passed = Passed { time_ns, bytes };
        let wrong = |reason| TableError::Row { row: number, agent: agent.clone(), call, reason };
        let key = (agent.clone(), call);
        if event == Event::Request {
            let (agent, request) = (agent.clone(), passed);
            let begun =
                CallOnTheWire { agent, call, request, chunks: Vec::new(), first_bytes: None };
            if calls.insert(key, begun).is_some() {
                return Err(wrong("it has a second request"));
            }
            continue;
        }
        let own = calls.get_mut(&key).ok_or_else(|| wrong("it comes before its request"))?;
        if event == Event::FirstBytes {
            own.first_bytes = Some(passed);
        } else if own.chunks.len() == index as usize {
            own.chunks.push(passed);
        } else {
            return Err(wrong("its index does not follow the one before"));
        }
    }
    Ok(calls.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn passed(time_ns: u64) -> Passed {
        Passed { time_ns, bytes: 9 }
    }

    #[test]
    fn the_rows_are_a_contract() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WIRE_FILE);
        let clear = CallOnTheWire {
            agent: "a".to_owned(),
            call: 0,
            request: passed(5),
            chunks: vec![passed(7), passed(8)],
            first_bytes: None,
        };
        let encrypted = CallOnTheWire {
            call: 1,
            chunks: Vec::new(),
            first_bytes: Some(passed(6)),
            ..clear.clone()
        };
        let calls = vec![clear, encrypted];
        write(&path, &calls).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "agent,call,event,index,time_ns,bytes\na,0,request,0,5,9\na,0,chunk,0,7,9\n\
             a,0,chunk,1,8,9\na,1,request,0,5,9\na,1,first_bytes,0,6,9\n"
        );
        assert_eq!(read(&path).unwrap(), calls);
        write(&path, &[]).unwrap();
        assert_eq!(read(&path).unwrap(), []);
    }

    #[test]
    fn what_is_no_table_of_the_probe_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WIRE_FILE);
        let header = WIRE_COLUMNS.join(",");
        for (rows, said) in [
            ("a,0,chunk,0,1,1\n", "before its request"),
            ("a,0,request,0,1,1\na,0,chunk,1,1,1\n", "does not follow"),
            ("a,0,request,0,1,1\na,0,request,0,1,1\n", "second request"),
            ("a,0,header,0,1,1\n", "unknown variant"),
        ] {
            fs::write(&path, format!("{header}\n{rows}")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        fs::write(&path, "agent,call\n").unwrap();
        assert!(matches!(read(&path), Err(TableError::Columns { .. })));
    }
}
