//! The server's limit of calls at the same time: further ones wait in the order of their arrival.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::clock::{SLICE, Stopped};

/// A counting semaphore that is fair.
#[derive(Debug)]
pub struct Slots {
    limit: Option<u32>,
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    busy: u32,
    /// Tickets handed out, and the one whose turn is next.
    tickets: u64,
    turn: u64,
}

/// A place among the calls being served; given back when dropped.
#[derive(Debug)]
pub struct Slot<'s> {
    slots: &'s Slots,
    /// The call was not served at once.
    pub waited: bool,
}

impl Slots {
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, line: Mutex::default(), moved: Condvar::new() }
    }

    /// Waits for a free slot.
    pub fn take(&self, stopping: &AtomicBool) -> Result<Slot<'_>, Stopped> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = line.tickets;
        line.tickets += 1;
        let mut waited = false;
        while ticket != line.turn || self.limit.is_some_and(|limit| line.busy >= limit) {
            if stopping.load(Ordering::Relaxed) {
                return Err(Stopped);
            }
            waited = true;
            line = self.moved.wait_timeout(line, SLICE).unwrap_or_else(PoisonError::into_inner).0;
        }
        line.turn += 1;
        line.busy += 1;
        drop(line);
        // The next in line may find a free slot as well.
        self.moved.notify_all();
        Ok(Slot { slots: self, waited })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut line = self.slots.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.busy -= 1;
        drop(line);
        self.slots.moved.notify_all();
    }
}
