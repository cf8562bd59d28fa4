//! Events on their way to standard output, by a thread of their own.
//!
//! A reader that is slow or asleep must not hold up the event loop: sending only appends to a list.
//! The thread wakes at intervals and writes what came together, so that hundreds of streams cost the
//! measured core a few wake-ups a second. Only progress is dropped when the list grows.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use formats::protocol::Event;

/// Longest time that an event waits for its neighbours.
const INTERVAL: Duration = Duration::from_millis(50);
/// Events that may wait before progress is dropped.
const ROOM: usize = 4096;

/// The sending side; cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    queue: Arc<Queue>,
    writer: Arc<Mutex<Option<JoinHandle<io::Result<()>>>>>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Event>,
    urgent: bool,
    closed: bool,
}

impl Events {
    /// Starts the thread that writes to `output`.
    pub(crate) fn start(output: impl Write + Send + 'static) -> Self {
        let queue = Arc::new(Queue::default());
        let read = Arc::clone(&queue);
        let writer = std::thread::spawn(move || write_all(&read, output));
        Self { queue, writer: Arc::new(Mutex::new(Some(writer))) }
    }

    /// Appends an event; never waits for the reader.
    pub(crate) fn send(&self, event: Event) {
        let mut state = self.queue.lock();
        let urgent =
            matches!(event, Event::Ready { .. } | Event::Done { .. } | Event::Error { .. });
        if matches!(event, Event::Progress { .. }) && state.waiting.len() >= ROOM {
            return;
        }
        state.waiting.push(event);
        if urgent {
            state.urgent = true;
            self.queue.wake.notify_one();
        }
    }

    /// Waits until everything is written.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.queue.lock().closed = true;
        self.queue.wake.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the writer's thread ended early")),
        }
    }
}

impl Queue {
    /// A list of events stays usable whatever happened to another thread that held it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came since the last time; `None`: nothing will come any more.
    fn take(&self) -> Option<Vec<Event>> {
        let idle = |state: &mut State| !state.urgent && !state.closed;
        let mut state = self
            .wake
            .wait_timeout_while(self.lock(), INTERVAL, idle)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        state.urgent = false;
        let events = std::mem::take(&mut state.waiting);
        (!events.is_empty() || !state.closed).then_some(events)
    }
}

fn write_all(queue: &Queue, mut output: impl Write) -> io::Result<()> {
    let mut lines = Vec::new();
    while let Some(events) = queue.take() {
        lines.clear();
        for event in events {
            serde_json::to_writer(&mut lines, &event)?;
            lines.push(b'\n');
        }
        if !lines.is_empty() {
            output.write_all(&lines)?;
            output.flush()?;
        }
    }
    Ok(())
}
