//! Taking chunks: when each may be taken, and what is noted of it.

use formats::protocol::Event;

use super::call::{CallLog, ChunkRow, Settings};
use super::pieces::Times;
use super::throttle::Throttle;
use crate::output::Events;
use crate::wire::Chunk;

/// Least time between two progress events of a call, nanoseconds.
const PROGRESS_NS: u64 = 100_000_000;

/// Notes each chunk when it may be taken.
pub(super) struct Taker<'a> {
    log: &'a mut CallLog,
    events: &'a Events,
    throttle: Option<Throttle>,
    probe: bool,
    last_taken_ns: u64,
    last_progress_ns: u64,
}

impl<'a> Taker<'a> {
    pub(super) fn new(log: &'a mut CallLog, settings: &Settings, events: &'a Events) -> Self {
        let start_ns = log.record.start_ns;
        Self {
            log,
            events,
            throttle: settings.throttle.map(Throttle::new),
            probe: settings.chunks,
            last_taken_ns: start_ns,
            last_progress_ns: start_ns,
        }
    }

    /// Whether parsing is to be timed.
    pub(super) fn probes(&self) -> bool {
        self.probe
    }

    /// Whether a chunk with text was taken.
    pub(super) fn has_text(&self) -> bool {
        !self.log.record.text_offsets_ns.is_empty()
    }

    /// Chunks of any kind taken so far.
    pub(super) fn chunks(&self) -> u64 {
        self.log.record.chunks
    }

    /// Bytes of text taken so far.
    pub(super) fn text_bytes(&self) -> usize {
        self.log.text.len()
    }

    /// Whether the last so many chunks with text all had the same.
    pub(super) fn last_texts_are_alike(&self, count: usize) -> bool {
        let lengths = &self.log.record.text_bytes;
        let Some(last) = lengths.len().checked_sub(count).and_then(|at| lengths.get(at..)) else {
            return false;
        };
        let Some(length) = last.first().and_then(|first| usize::try_from(*first).ok()) else {
            return false;
        };
        let text = self.log.text.as_bytes();
        let tail = text.len().checked_sub(length * count).and_then(|at| text.get(at..));
        let equal = |tail: &[u8]| tail.chunks(length).all(|part| part == &tail[..length]);
        length > 0 && last.iter().all(|other| *other == last[0]) && tail.is_some_and(equal)
    }

    /// Takes a chunk, after the throttle's wait if it carries text.
    pub(super) async fn take(&mut self, chunk: Chunk<'_>, times: Times, parse_ns: u64) {
        let mut taken_ns = times.handed_ns.max(self.last_taken_ns);
        let text = !chunk.text.is_empty();
        if text && let Some(throttle) = &mut self.throttle {
            taken_ns = throttle.wait(taken_ns, times.waited).await;
        }
        self.last_taken_ns = taken_ns;
        let record = &mut self.log.record;
        record.chunks += 1;
        if text {
            if record.text_offsets_ns.is_empty() {
                let (agent, call) = (record.agent.clone(), record.call);
                self.events.send(Event::FirstToken { t_ns: taken_ns, agent, call });
            }
            record.text_offsets_ns.push(taken_ns.saturating_sub(record.start_ns));
            record.text_bytes.push(chunk.text.len() as u64);
            self.log.text.push_str(&chunk.text);
        }
        if self.probe {
            let (read_ns, bytes) = (times.read_ns, chunk.bytes);
            self.log.chunks.push(ChunkRow { time_ns: taken_ns, read_ns, bytes, parse_ns, text });
        }
        if taken_ns.saturating_sub(self.last_progress_ns) >= PROGRESS_NS {
            self.last_progress_ns = taken_ns;
            let (agent, call, chunks) = (record.agent.clone(), record.call, record.chunks);
            self.events.send(Event::Progress { t_ns: taken_ns, agent, call, chunks });
        }
    }
}
