//! When the kernel had received what a read brought: stamps of the time of day on the monotonic clock.
//!
//! The kernel stamps segments with the time of day, everything else here is of the monotonic clock. The
//! distance between the two is measured before the first call and after the last; between them it may
//! drift as far as a clock that is disciplined does. A clock that was set meanwhile gives no delays.

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use formats::clock;

/// Attempts at reading both clocks at the same moment; the closest counts.
const ATTEMPTS: usize = 8;
/// How far the distance may change without the clock having been set, nanoseconds and parts per
/// million: the kernel slews by 500 ppm at most.
const SLACK_NS: u64 = 200_000;
const DRIFT_PPM: u64 = 600;

/// A read that brought data: when it returned (monotonic clock), and the time of day that the kernel gave
/// to the newest segment in it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub read_ns: u64,
    pub stamp_ns: u64,
}

/// Both clocks before the first call.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    first: Pair,
}

/// The same moment on both clocks, nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Pair {
    monotonic: u64,
    day: u64,
}

impl Arrivals {
    #[must_use]
    pub fn begin() -> Self {
        Self { first: pair() }
    }

    /// After the last call: what puts stamps on the monotonic clock; `None` if the time of day was set
    /// meanwhile.
    #[must_use]
    pub fn end(self) -> Option<Delays> {
        Delays::between(self.first, pair())
    }
}

/// Turns stamps into delays.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    first: Pair,
    last: Pair,
}

impl Delays {
    fn between(first: Pair, last: Pair) -> Option<Self> {
        let distance = |pair: Pair| pair.day.wrapping_sub(pair.monotonic);
        let elapsed = last.monotonic.saturating_sub(first.monotonic);
        let allowed = SLACK_NS + elapsed / 1_000_000 * DRIFT_PPM;
        let changed = distance(last).abs_diff(distance(first));
        (changed <= allowed).then_some(Self { first, last })
    }

    /// From the kernel's receipt of the newest segment of a read until the read returned, nanoseconds;
    /// 0 where the difference of the clocks is less than it can be known.
    #[must_use]
    pub fn of(&self, arrival: Arrival) -> u64 {
        arrival.read_ns.saturating_sub(self.monotonic_ns(arrival.stamp_ns))
    }

    /// A stamp of the time of day on the monotonic clock, nanoseconds.
    #[must_use]
    pub fn monotonic_ns(&self, stamp_ns: u64) -> u64 {
        let day = i128::from(stamp_ns) - i128::from(self.first.day);
        let monotonic = i128::from(self.last.monotonic) - i128::from(self.first.monotonic);
        let whole = (i128::from(self.last.day) - i128::from(self.first.day)).max(1);
        let then = i128::from(self.first.monotonic) + day * monotonic / whole;
        u64::try_from(then).unwrap_or(0)
    }
}

/// Reads both clocks as close together as they can be read.
fn pair() -> Pair {
    let read = || {
        let before = clock::monotonic_ns();
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let after = clock::monotonic_ns();
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
