//! When a sampling probe looks: at whole multiples of its interval after its start, whatever the
//! looking itself takes.
//!
//! A tick that comes late is taken late and does not move the next one; ticks that have passed
//! meanwhile are skipped and counted, never made up for. What is looked at is left to the probes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use formats::clock;
use serde::{Deserialize, Serialize};

use crate::stats::Sample;

/// An absolute schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    start_ns: u64,
    interval_ns: u64,
    /// Number of the tick that comes next; the start is tick 0.
    next: u64,
    missed: u64,
    taken_ns: Vec<u64>,
    late_ms: Vec<f64>,
}

impl Schedule {
    /// Begins now; the first tick is due at once.
    #[must_use]
    pub fn new(now_ns: u64, interval: Duration) -> Self {
        Self {
            start_ns: now_ns,
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
            next: 0,
            missed: 0,
            taken_ns: Vec::new(),
            late_ms: Vec::new(),
        }
    }

    /// When the next tick is due.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.next.saturating_mul(self.interval_ns))
    }

    /// The tick that was due is taken now.
    pub fn take(&mut self, now_ns: u64) {
        self.late_ms.push(now_ns.saturating_sub(self.due_ns()) as f64 / 1e6);
        self.taken_ns.push(now_ns);
    }

    /// Goes on to the first tick that is still to come.
    pub fn advance(&mut self, now_ns: u64) {
        let next = now_ns.saturating_sub(self.start_ns) / self.interval_ns + 1;
        self.missed += next.saturating_sub(self.next + 1);
        self.next = next.max(self.next + 1);
    }

    /// How well the schedule was kept.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            asked_ms: self.interval_ns as f64 / 1e6,
            ticks: self.taken_ns.len() as u64,
            missed: self.missed,
            interval_ms: Spread::of(intervals_ms(&self.taken_ns)),
            late_ms: Spread::of(self.late_ms.clone()),
        }
    }
}

/// Milliseconds between consecutive times.
#[must_use]
pub fn intervals_ms(times_ns: &[u64]) -> Vec<f64> {
    times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 / 1e6).collect()
}

/// Looks on schedule until it is asked to stop, and once more then, so that what was measured is
/// enclosed by samples. A message asks for a look beyond the schedule, or, if `is_stop` says so, for the
/// end; so does the end of the channel. `look` gets the time; `false` ends the sampling.
pub fn sample<T>(
    interval: Duration,
    messages: &Receiver<T>,
    is_stop: impl Fn(&T) -> bool,
    look: &mut dyn FnMut(u64) -> bool,
) -> Schedule {
    let mut schedule = Schedule::new(clock::monotonic_ns(), interval);
    loop {
        let left_ns = schedule.due_ns().saturating_sub(clock::monotonic_ns());
        let waited = match left_ns {
            0 => messages.try_recv().map_err(|error| match error {
                std::sync::mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
                std::sync::mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            left_ns => messages.recv_timeout(Duration::from_nanos(left_ns)),
        };
        let now_ns = clock::monotonic_ns();
        match waited {
            Err(RecvTimeoutError::Timeout) => {
                // A wait may end a little early.
                if now_ns < schedule.due_ns() {
                    continue;
                }
                schedule.take(now_ns);
                if !look(now_ns) {
                    return schedule;
                }
                schedule.advance(clock::monotonic_ns());
            }
            Ok(message) if !is_stop(&message) => {
                if !look(now_ns) {
                    return schedule;
                }
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                look(now_ns);
                return schedule;
            }
        }
    }
}

/// How well a schedule was kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The interval that was asked for.
    pub asked_ms: f64,
    /// Ticks that were taken on schedule.
    pub ticks: u64,
    /// Ticks that passed while an earlier one was still being taken.
    pub missed: u64,
    /// Between two ticks that were taken; absent with fewer.
    #[serde(default)]
    pub interval_ms: Option<Spread>,
    /// How much later than due ticks were taken; absent where another program keeps the time.
    #[serde(default)]
    pub late_ms: Option<Spread>,
}

/// Percentiles of a duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    /// `None` of nothing.
    #[must_use]
    pub fn of(values: Vec<f64>) -> Option<Self> {
        let sample = Sample::new(values).ok()?;
        Some(Self {
            mean: sample.mean(),
            p50: sample.percentile(50.0),
            p99: sample.percentile(99.0),
            max: sample.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn schedule() -> Schedule {
        Schedule::new(1000 * MS, Duration::from_millis(10))
    }

    #[test]
    fn a_late_tick_does_not_move_the_next() {
        let mut schedule = schedule();
        for (due, taken) in [(1000, 1000), (1010, 1013), (1020, 1020), (1030, 1039)] {
            assert_eq!(schedule.due_ns(), due * MS);
            schedule.take(taken * MS);
            schedule.advance(taken * MS);
        }
        assert_eq!(schedule.due_ns(), 1040 * MS);
        let pace = schedule.pace();
        assert_eq!((pace.ticks, pace.missed), (4, 0));
        assert!((pace.late_ms.unwrap().max - 9.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_passed_is_skipped_and_counted_never_bunched() {
        let mut schedule = schedule();
        schedule.take(1000 * MS);
        // Looking took 35 ms: the ticks at 10, 20 and 30 ms are gone.
        schedule.advance(1035 * MS);
        assert_eq!(schedule.due_ns(), 1040 * MS);
        schedule.take(1040 * MS);
        // To the nanosecond on the next tick: that one has passed, too.
        schedule.advance(1050 * MS);
        assert_eq!(schedule.due_ns(), 1060 * MS);
        assert_eq!(schedule.pace().missed, 4);
        assert!((schedule.pace().interval_ms.unwrap().mean - 40.0).abs() < 1e-9);
    }

    #[test]
    fn sampling_begins_at_once_keeps_its_schedule_and_ends_with_a_last_look() {
        let (stop, stopped) = std::sync::mpsc::channel();
        let mut times = Vec::new();
        let schedule = sample(Duration::from_millis(2), &stopped, |()| true, &mut |now_ns| {
            times.push(now_ns);
            if times.len() == 20 {
                stop.send(()).unwrap();
            }
            true
        });
        assert_eq!(times.len(), 21, "the last look is no tick");
        let pace = schedule.pace();
        assert_eq!(pace.ticks, 20);
        let passed = (times[19] - times[0]) / (2 * MS);
        assert!(passed >= 19 && passed <= 19 + pace.missed, "{passed} {pace:?}");
        assert!(times.is_sorted());
    }
}
