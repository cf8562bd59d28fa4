//! What a runtime may take before it is taken for broken.

use std::time::Duration;

/// Limits of one runtime's process; of its calls, the manifest's `timeout` decides.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the start to `ready`: interpreters load their libraries in it.
    pub startup: Duration,
    /// Added to the time that all calls may take: for writing artifacts and for waiting on others.
    pub slack: Duration,
    /// From `done` to the end of the process.
    pub after_done: Duration,
    /// Between asking a process to end and killing it.
    pub grace: Duration,
    /// Longest `agent.log`, bytes.
    pub log_bytes: u64,
    /// For a server to put its models out of memory before a cold run.
    pub unload: Duration,
    /// Wait before another attempt after a failure to connect, times the number of attempts made: a
    /// server that restarts gets a moment.
    pub connect_backoff: Duration,
    /// Wait after a server had too much to do and did not say until when; twice as long after each
    /// further attempt. Other failures are retried at once.
    pub busy_backoff: Duration,
    /// However long a server asks to be waited.
    pub longest_pause: Duration,
    /// How long an endpoint that takes no connections any more is waited for, once, before the runs that
    /// need it are left undone.
    pub absence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            startup: Duration::from_secs(30),
            slack: Duration::from_secs(30),
            after_done: Duration::from_secs(5),
            grace: Duration::from_secs(2),
            log_bytes: 64 * 1024 * 1024,
            unload: Duration::from_secs(30),
            connect_backoff: Duration::from_millis(500),
            busy_backoff: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            absence: Duration::from_secs(10),
        }
    }
}
