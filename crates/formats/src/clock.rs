//! The clock that every timestamp is of, the time of day that goes with it, and waking on time by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of the machine's monotonic clock, shared by all processes (`CLOCK_MONOTONIC`).
#[cfg(unix)]
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Nanoseconds on a clock that never goes back within a process. Untested: Windows has no shared
/// monotonic clock in the standard library, so processes agree only as far as the wall clock held
/// still between their starts.
#[cfg(not(unix))]
#[must_use]
pub fn monotonic_ns() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, base) = START.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    });
    base + u64::try_from(start.elapsed().as_nanos()).unwrap_or(0)
}

/// The same moment on the monotonic clock and by the time of day, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub monotonic: u64,
    pub day: u64,
}

/// Seconds and nanoseconds of a stamp as nanoseconds; `None` before 1970.
#[must_use]
pub fn nanoseconds(seconds: i64, nanoseconds: i64) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(u64::try_from(nanoseconds).ok()?)
}

/// Reads both clocks as close together as they can be read.
#[must_use]
pub fn pair() -> Pair {
    /// The closest of so many counts.
    const ATTEMPTS: usize = 8;
    let read = || {
        let before = monotonic_ns();
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let after = monotonic_ns();
        let day = u64::try_from(day.as_nanos()).unwrap_or(u64::MAX);
        (after - before, Pair { monotonic: before + (after - before) / 2, day })
    };
    let mut best = read();
    for _ in 1..ATTEMPTS {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Now, RFC 3339, UTC, milliseconds.
#[must_use]
pub fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Lets the calling thread, and threads it starts, wake from a sleep as close to the deadline as the
/// kernel can: Linux otherwise groups wake-ups within 50 µs. Elsewhere nothing needs to be asked for.
pub fn wake_on_time() {
    #[cfg(target_os = "linux")]
    {
        // A kernel that refuses leaves sleeps 50 µs coarser, which the logs of who sleeps show.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
