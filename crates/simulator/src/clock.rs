//! Sleeping to absolute deadlines, so that oversleeping once does not delay what follows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use formats::clock::monotonic_ns;

/// The longest sleep before looking whether the server is stopping.
pub const SLICE: Duration = Duration::from_millis(50);

/// The server ends while something waits.
#[derive(Debug)]
pub struct Stopped;

/// Returns when the monotonic clock has passed `deadline_ns`.
pub fn sleep_until(deadline_ns: u64, stopping: &AtomicBool) -> Result<(), Stopped> {
    loop {
        if stopping.load(Ordering::Relaxed) {
            return Err(Stopped);
        }
        let left = Duration::from_nanos(deadline_ns.saturating_sub(monotonic_ns()));
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// Nanoseconds of a duration that a clock can count.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
