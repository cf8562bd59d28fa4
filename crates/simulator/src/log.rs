//! The sends of a server in memory, kept per request so that streams never wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use formats::sends::Send;

/// All requests whose sends have not been taken yet.
#[derive(Debug, Default)]
pub struct Log {
    requests: Mutex<Vec<Arc<RequestLog>>>,
    /// Requests begun so far, also those that were taken.
    count: AtomicU64,
}

/// The sends of one request.
#[derive(Debug)]
pub struct RequestLog {
    /// Of the request, counting from 1.
    pub number: u64,
    /// The request's own name, or its number.
    pub name: String,
    /// When it came; `None` if it was refused before it was read.
    came: Option<Came>,
    rows: Mutex<Vec<Row>>,
}

/// When a request's last byte came, monotonic nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// When the kernel had received it; `None`: not known.
    pub arrived_ns: Option<u64>,
    /// Right after it was read.
    pub read_ns: u64,
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
    pub fn begin(&self, name: Option<String>, came: Option<Came>) -> Arc<RequestLog> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let name = name.unwrap_or_else(|| format!("#{number}"));
        let log = Arc::new(RequestLog { number, name, came, rows: Mutex::default() });
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
            if !log.name.starts_with(prefix) {
                return !ended || !lock(&log.rows).is_empty();
            }
            taken.extend(std::mem::take(&mut *lock(&log.rows)).into_iter().map(|row| Send {
                time_ns: row.time_ns,
                request: log.name.clone(),
                index: row.index,
                tokens: row.tokens,
                bytes: row.bytes,
                request_read_ns: log.came.map(|came| came.read_ns),
                request_arrived_ns: log.came.and_then(|came| came.arrived_ns),
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

#[cfg(test)]
mod tests;
