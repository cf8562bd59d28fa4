//! The sends of a server in memory, kept per request so that streams never wait for each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sends::Send;

/// All requests whose sends have not been taken yet.
#[derive(Debug, Default)]
pub struct Log {
    requests: Mutex<Vec<Arc<RequestLog>>>,
}

/// The sends of one request.
#[derive(Debug)]
pub struct RequestLog {
    pub request: String,
    rows: Mutex<Vec<Row>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub time_ns: u64,
    pub index: u32,
    pub tokens: u32,
    pub bytes: u32,
}

impl Log {
    /// A log for a request that begins; it ends when the result is dropped.
    pub fn begin(&self, request: String) -> Arc<RequestLog> {
        let log = Arc::new(RequestLog { request, rows: Mutex::default() });
        lock(&self.requests).push(Arc::clone(&log));
        log
    }

    /// Removes and returns the sends of all requests whose name starts with `prefix`, in time order.
    /// Of requests still being answered the later sends stay for the next time.
    pub fn take(&self, prefix: &str) -> Vec<Send> {
        let mut taken = Vec::new();
        lock(&self.requests).retain(|log| {
            // Looked at before the rows are: what ended before has no row after.
            let ended = Arc::strong_count(log) == 1;
            if !log.request.starts_with(prefix) {
                return !ended || !lock(&log.rows).is_empty();
            }
            taken.extend(std::mem::take(&mut *lock(&log.rows)).into_iter().map(|row| Send {
                time_ns: row.time_ns,
                request: log.request.clone(),
                index: row.index,
                tokens: row.tokens,
                bytes: row.bytes,
            }));
            !ended
        });
        taken.sort_by_key(|send| send.time_ns);
        taken
    }
}

impl RequestLog {
    pub fn push(&self, row: Row) {
        lock(&self.rows).push(row);
    }

    /// Takes the last row back: its send failed.
    pub fn pop(&self) {
        lock(&self.rows).pop();
    }
}

/// A thread that panicked between two rows leaves a log that is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
