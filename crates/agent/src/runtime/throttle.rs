//! A token bucket with a burst of one, kept on absolute times so that late timers do not add up.

use std::time::Duration;

use formats::clock;

/// How far a late timer may be caught up with, nanoseconds. Beyond it the delay was not the timer's.
const CATCH_UP_NS: u64 = 5_000_000;

/// Limits how often chunks with text are taken from one call.
#[derive(Debug)]
pub(super) struct Throttle {
    interval_ns: u64,
    /// When the last token was due.
    last_due_ns: Option<u64>,
}

impl Throttle {
    /// `rate` in chunks per second, above 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are positive"
    )]
    pub(super) fn new(rate: f64) -> Self {
        Self { interval_ns: (1e9 / rate).round() as u64, last_due_ns: None }
    }

    /// When the chunk that was read at `read_ns` may be taken. `waited`: the consumer had to wait for
    /// it; otherwise it lay ready before, and only the throttle's own sleep made its read late.
    pub(super) fn due(&mut self, read_ns: u64, waited: bool) -> u64 {
        let due = match self.last_due_ns {
            None => read_ns,
            Some(last) => {
                let earliest = if waited { read_ns } else { read_ns.saturating_sub(CATCH_UP_NS) };
                earliest.max(last.saturating_add(self.interval_ns))
            }
        };
        self.last_due_ns = Some(due);
        due
    }

    /// Waits until the chunk may be taken and says when it was taken.
    pub(super) async fn wait(&mut self, read_ns: u64, waited: bool) -> u64 {
        let due_ns = self.due(read_ns, waited);
        let now_ns = clock::monotonic_ns();
        if due_ns <= now_ns {
            return due_ns.max(read_ns);
        }
        tokio::time::sleep(Duration::from_nanos(due_ns - now_ns)).await;
        clock::monotonic_ns()
    }
}
