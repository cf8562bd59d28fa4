//! What an agent's process says and leaves: events while it works, files after the measured window.

mod events;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use formats::protocol::{AgentRecord, RECORD_FILE, RuntimeInfo};

pub use self::events::Events;
use crate::finish::RuntimeError;
use crate::wire::secrets::Secrets;

/// The run's folder. What is written there repeats no key.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) path: &'a Path,
    pub(crate) secrets: &'a Secrets,
}

impl Folder<'_> {
    /// Writes a file of it, by its path below it; its folder is made where there is none.
    pub(crate) fn write(&self, name: impl AsRef<Path>, text: String) -> Result<(), RuntimeError> {
        let path = self.path.join(name);
        let mut bytes = text.into_bytes();
        self.secrets.cover(&mut bytes);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|source| RuntimeError::Artifact { path, source })
    }

    /// Leaves the record, which is written last of all.
    pub(crate) fn write_record(&self, record: &AgentRecord) -> Result<(), RuntimeError> {
        let unwritable = |error| RuntimeError::Artifact {
            path: self.path.join(RECORD_FILE),
            source: io::Error::other(error),
        };
        self.write(RECORD_FILE, serde_json::to_string(record).map_err(unwritable)?)
    }
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
