//! The pieces of an answer's body, each with the times of its way here.
//!
//! This is where `rechunk` and `batch` act: the one holds bytes back until so many are there, the
//! other until its tick. Both make a piece available later than it was read.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::{self, Future};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use formats::clock;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::variant::Variant;
use crate::http::Connection;

/// The way of a piece to its consumer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Right after the socket read that completed it returned, monotonic nanoseconds.
    pub(super) read_ns: u64,
    /// When it was handed over: the same, or the batch's tick.
    pub(super) handed_ns: u64,
    /// The consumer had to wait for it.
    pub(super) waited: bool,
}

/// What comes next of a body.
pub(super) enum Next {
    Piece(Bytes),
    Broken(hyper::Error),
    Closed,
}

/// The body of one answer.
pub(super) struct Pieces<'c> {
    connection: &'c mut Connection,
    body: &'c mut Incoming,
    rechunk: Option<Rechunk>,
    batch: Option<Batch>,
}

impl<'c> Pieces<'c> {
    pub(super) fn new(
        connection: &'c mut Connection,
        body: &'c mut Incoming,
        variant: Variant,
    ) -> Self {
        let rechunk = variant.rechunk.map(|size| Rechunk { size, ..Rechunk::default() });
        let batch = variant.batch.map(Batch::new);
        Self { connection, body, rechunk, batch }
    }

    /// The next piece when it may be worked on, or the end.
    pub(super) async fn next(&mut self) -> (Next, Times) {
        let Some(batch) = &mut self.batch else {
            return received(self.connection, self.body, &mut self.rechunk).await;
        };
        loop {
            if let Some((next, times)) = batch.held.pop_front() {
                // The others of a tick lie ready while the first is worked on.
                let waited = std::mem::take(&mut batch.waited);
                return (next, Times { handed_ns: clock::monotonic_ns(), waited, ..times });
            }
            batch.until_tick(self.connection, self.body, &mut self.rechunk).await;
        }
    }

    /// Reads what is left of the body, and drops it.
    pub(super) async fn rest(&mut self) {
        while let Some(Ok(_)) = self.connection.next(self.body).await {}
    }
}

/// The next piece as it is read, or put together from what is read.
async fn received(
    connection: &mut Connection,
    body: &mut Incoming,
    rechunk: &mut Option<Rechunk>,
) -> (Next, Times) {
    let mut waited = false;
    loop {
        if let Some(piece) = rechunk.as_mut().and_then(Rechunk::whole) {
            return (Next::Piece(piece), times(connection, waited));
        }
        let read = {
            let mut next = pin!(connection.next(body));
            future::poll_fn(|cx| {
                let read = next.as_mut().poll(cx);
                waited |= read.is_pending();
                read
            })
            .await
        };
        let next = match (read, rechunk.as_mut()) {
            (Some(Ok(bytes)), None) => Next::Piece(bytes),
            (Some(Ok(bytes)), Some(rechunk)) => {
                rechunk.held.extend_from_slice(&bytes);
                continue;
            }
            (Some(Err(error)), _) => Next::Broken(error),
            (None, rechunk) => match rechunk.and_then(Rechunk::last) {
                Some(piece) => Next::Piece(piece),
                None => Next::Closed,
            },
        };
        return (next, times(connection, waited));
    }
}

fn times(connection: &Connection, waited: bool) -> Times {
    let read_ns = connection.meter().last_read_ns().unwrap_or_else(clock::monotonic_ns);
    Times { read_ns, handed_ns: read_ns, waited }
}

/// Bytes that are held back until they make a piece.
#[derive(Debug, Default)]
struct Rechunk {
    size: usize,
    held: BytesMut,
}

impl Rechunk {
    fn whole(&mut self) -> Option<Bytes> {
        (self.held.len() >= self.size).then(|| self.held.split_to(self.size).freeze())
    }

    /// What is left when the body has ended.
    fn last(&mut self) -> Option<Bytes> {
        (!self.held.is_empty()).then(|| self.held.split().freeze())
    }
}

/// Pieces that wait for the next tick.
struct Batch {
    interval: Duration,
    tick: Instant,
    held: VecDeque<(Next, Times)>,
    /// The consumer had to wait for the first of them.
    waited: bool,
}

impl Batch {
    fn new(interval: Duration) -> Self {
        Self { interval, tick: Instant::now(), held: VecDeque::new(), waited: true }
    }

    /// Reads on until the next tick; the end of the body waits for it, too. A tick that the work on
    /// the last one took is made up for at once, with what lies ready.
    async fn until_tick(
        &mut self,
        connection: &mut Connection,
        body: &mut Incoming,
        rechunk: &mut Option<Rechunk>,
    ) {
        let now = Instant::now();
        let missed = now >= self.tick + self.interval;
        self.tick = next_tick(self.tick, now, self.interval);
        self.waited = true;
        let mut ended = false;
        if missed {
            // Work that never waits leaves the loop no moment to see what has come.
            tokio::task::yield_now().await;
            while !ended && let Some(received) = at_once(connection, body, rechunk).await {
                ended = !matches!(received.0, Next::Piece(_));
                self.held.push_back(received);
            }
            if !self.held.is_empty() {
                self.waited = false;
                return;
            }
        }
        let mut tick = pin!(tokio::time::sleep_until(self.tick));
        while !ended {
            let received = {
                // A read that is dropped at the tick has taken nothing from the body.
                let mut next = pin!(received(connection, body, rechunk));
                future::poll_fn(|cx| {
                    if tick.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    next.as_mut().poll(cx).map(Some)
                })
                .await
            };
            let Some(received) = received else { return };
            ended = !matches!(received.0, Next::Piece(_));
            self.held.push_back(received);
        }
        tick.await;
    }
}

/// What can be received without waiting.
async fn at_once(
    connection: &mut Connection,
    body: &mut Incoming,
    rechunk: &mut Option<Rechunk>,
) -> Option<(Next, Times)> {
    // A read that is dropped has taken nothing from the body.
    let mut next = pin!(received(connection, body, rechunk));
    future::poll_fn(|cx| {
        Poll::Ready(match next.as_mut().poll(cx) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        })
    })
    .await
}

/// The tick after `last`, or the next on the same grid where work has missed some.
fn next_tick(last: Instant, now: Instant, interval: Duration) -> Instant {
    let missed = now.saturating_duration_since(last).as_nanos() / interval.as_nanos();
    let steps = u32::try_from(missed + 1).unwrap_or(u32::MAX);
    last + interval * steps
}
