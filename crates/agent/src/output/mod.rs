//! What an agent's process says and leaves: events while it works, files after the measured window.

mod events;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use formats::protocol::{AgentRecord, RECORD_FILE, RuntimeInfo};

pub use self::events::Events;
use crate::finish::RuntimeError;

/// Leaves the record, which is written last of all.
pub fn write_record(folder: &Path, record: &AgentRecord) -> Result<(), RuntimeError> {
    let path = folder.join(RECORD_FILE);
    let json = serde_json::to_vec(record).map_err(|error| RuntimeError::Artifact {
        path: path.clone(),
        source: io::Error::other(error),
    })?;
    write_file(&path, &json)
}

/// Writes a file of the run's folder.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RuntimeError> {
    fs::write(path, bytes)
        .map_err(|source| RuntimeError::Artifact { path: path.to_owned(), source })
}

/// What this runtime is and what it is built on.
#[must_use]
pub fn info() -> RuntimeInfo {
    let details = [("event_loop", "tokio, one thread"), ("http", "hyper")];
    RuntimeInfo {
        name: "rust".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        details: BTreeMap::from(details.map(|(key, value)| (key.to_owned(), value.to_owned()))),
    }
}
