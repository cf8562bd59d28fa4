//! The log of real send times.

use serde::{Deserialize, Serialize};

/// File of the log in a run's folder.
pub const SENDS_FILE: &str = "sends.csv";

/// One write to the socket: one row of [`SENDS_FILE`].
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
}
