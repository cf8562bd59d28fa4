//! When the kernel had received what a read brought: stamps of the time of day on the monotonic clock.
//!
//! The kernel stamps segments with the time of day, everything else here is of the monotonic clock. The
//! distance between the two is measured before the first call and after the last; between them it may
//! drift as far as a clock that is disciplined does. A clock that was set meanwhile gives no delays.

#[cfg(test)]
mod tests;

use formats::clock::{Pair, pair};

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
