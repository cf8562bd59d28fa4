//! Loading the model: the first call pays for it, and calls that come meanwhile wait with it.

use std::sync::{Mutex, PoisonError};

/// Whether and since when the pretended model is in memory.
#[derive(Debug)]
pub struct Load {
    duration_ns: u64,
    ready_ns: Mutex<Option<u64>>,
}

/// What loading means for one call.
#[derive(Debug, Clone, Copy)]
pub struct Loading {
    /// When the model is ready; may lie in the past.
    pub ready_ns: u64,
    /// The part that this call reports as its own; 0 for all but the first.
    pub own_ns: u64,
}

impl Load {
    pub fn new(duration_ns: u64) -> Self {
        Self { duration_ns, ready_ns: Mutex::new(None) }
    }

    /// Begins to load at `now_ns` unless that has happened before.
    pub fn begin(&self, now_ns: u64) -> Loading {
        let mut ready = self.ready_ns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready_ns) = *ready {
            return Loading { ready_ns, own_ns: 0 };
        }
        let ready_ns = now_ns.saturating_add(self.duration_ns);
        *ready = Some(ready_ns);
        Loading { ready_ns, own_ns: self.duration_ns }
    }

    /// Forgets the model: the next call loads it again.
    pub fn unload(&self) {
        *self.ready_ns.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
