//! The log of real send times.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// File of the log in a run's folder.
pub const SENDS_FILE: &str = "sends.csv";

/// One write to the socket: one row of [`SENDS_FILE`].
///
/// Under the fault `slow` a chunk takes one write per byte; it has one row still, with the time of
/// its last byte, since only then can it be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Monotonic nanoseconds right before the write.
    pub time_ns: u64,
    /// The request's `x-request-id` header (`<run>/<agent>/<call>`), or `#<n>` counting requests.
    pub request: String,
    /// From 0 within the request, counting chunks with and without text.
    pub index: u32,
    /// Tokens of text in it; 0 for headers, role chunks and the last record.
    pub tokens: u32,
    pub bytes: u32,
    /// Monotonic nanoseconds right after the request's last byte was read; the same for all its rows.
    /// Absent for a request that was refused before it was read to its end, and in logs of older
    /// versions.
    #[serde(default)]
    pub request_read_ns: Option<u64>,
    /// Monotonic nanoseconds at which the kernel had received the request's last byte, which a server
    /// without a core at that moment reads later. Absent where the kernel does not tell (other systems
    /// than Linux, a request that came with the one before), and in logs of older versions.
    #[serde(default)]
    pub request_arrived_ns: Option<u64>,
}

/// A log that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SendsError {
    #[error("cannot write the log of sends to {path}")]
    Write { path: PathBuf, source: csv::Error },
    #[error("cannot read the log of sends in {path}")]
    Read { path: PathBuf, source: csv::Error },
}

/// Writes the log as CSV with a header row, also when it is empty.
pub fn write(path: &Path, sends: &[Send]) -> Result<(), SendsError> {
    let rows = || -> Result<(), csv::Error> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_path(path)?;
        writer.write_record([
            "time_ns",
            "request",
            "index",
            "tokens",
            "bytes",
            "request_read_ns",
            "request_arrived_ns",
        ])?;
        for send in sends {
            writer.serialize(send)?;
        }
        Ok(writer.flush()?)
    };
    rows().map_err(|source| SendsError::Write { path: path.to_owned(), source })
}

/// Reads what [`write`] wrote.
pub fn read(path: &Path) -> Result<Vec<Send>, SendsError> {
    let rows =
        || csv::Reader::from_path(path)?.into_deserialize().collect::<Result<_, csv::Error>>();
    rows().map_err(|source| SendsError::Read { path: path.to_owned(), source })
}
