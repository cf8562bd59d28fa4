//! The clock and timers of this machine, measured: they bound what any client can tell.

use std::time::Duration;

use formats::clock;
use formats::clock::monotonic_ns;

use super::Line;
use crate::preflight::{Finding, Subject};
use crate::stats::Sample;

/// Readings of the clock.
const READINGS: u32 = 10_000;
/// Sleeps, and how long each is asked to be.
const SLEEPS: u32 = 100;
const SLEEP: Duration = Duration::from_millis(1);
/// Lateness that a sleep of [`SLEEP`] should keep below, 99 in 100, milliseconds.
const LATE_MS: f64 = 1.0;

pub(super) fn lines() -> Vec<Line> {
    vec![reading(), sleeping()]
}

/// The smallest step that was seen, and what a reading costs.
fn reading() -> Line {
    let began = monotonic_ns();
    let mut step = u64::MAX;
    let mut last = began;
    for _ in 0..READINGS {
        let now = monotonic_ns();
        if now > last {
            step = step.min(now - last);
        }
        last = now;
    }
    let cost = (last - began) as f64 / f64::from(READINGS);
    let found = format!("steps of {step} ns at least, {cost:.0} ns per reading");
    let slow = (cost > 1000.0).then(|| {
        let message = format!("{found}: reading it takes long enough to disturb");
        Finding::warning(Subject::Clock, message, "see the clock source")
    });
    Line::judged("clock", found, slow)
}

/// How much later than asked a thread wakes.
fn sleeping() -> Line {
    let measured = std::thread::spawn(|| {
        clock::wake_on_time();
        let late = (0..SLEEPS).map(|_| {
            let due = monotonic_ns() + u64::try_from(SLEEP.as_nanos()).unwrap_or(u64::MAX);
            std::thread::sleep(SLEEP);
            monotonic_ns().saturating_sub(due) as f64 / 1e6
        });
        late.collect::<Vec<f64>>()
    });
    let late = measured.join().ok().and_then(|late| Sample::new(late).ok());
    let Some(late) = late else {
        return Line::unavailable("timer", "it could not be measured", "");
    };
    let (p50, p99) = (late.percentile(50.0), late.percentile(99.0));
    let found = format!(
        "sleeps of 1 ms end {p50:.3} ms late (p50), {p99:.3} ms (p99), {:.3} ms (max)",
        late.max()
    );
    let coarse = (p99 > LATE_MS).then(|| {
        let message = format!("{found}: lags of that size are the machine's own");
        let advice = "quieten the machine; the idle control measures the same in every run";
        Finding::warning(Subject::Clock, message, advice)
    });
    Line::judged("timer", found, coarse)
}
