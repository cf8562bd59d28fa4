//! A loop that is held up on purpose, by a known amount.
//!
//! Runs as a task of the loop that makes the calls and spins there, as work of the client's own would.
//! Nothing is recorded of it: what it does to the loop and to the calls is what the probes are for.

use std::hint;
use std::sync::Arc;
use std::time::Duration;

use formats::clock;
use formats::protocol::LagDose;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// Steps of the golden section leave no gap in a period for long and never come back to where they were,
/// so the busy waits lock in with no rhythm of the streams.
const STEP: f64 = 0.618_033_988_749_895;

/// Starts on the loop that this is called in; the first period begins when the measured calls do.
/// Whoever waits for the calls aborts it after the last.
pub(super) fn start(dose: LagDose, measured: Arc<Barrier>) -> JoinHandle<()> {
    tokio::spawn(async move {
        measured.wait().await;
        hold(dose).await;
    })
}

async fn hold(dose: LagDose) {
    let start_ns = clock::monotonic_ns();
    // Another one in each run: what comes at a fixed time after the start is not met each time.
    let first = (start_ns % 1_000_000) as f64 / 1e6;
    let mut period: u64 = 0;
    loop {
        let from_ns = start_ns.saturating_add(period.saturating_mul(dose.every_ns));
        let due_ns = from_ns.saturating_add(offset_ns(dose, first, period));
        sleep_until(due_ns).await;
        let until_ns = clock::monotonic_ns().saturating_add(dose.busy_ns);
        while clock::monotonic_ns() < until_ns {
            hint::spin_loop();
        }
        // Periods that passed meanwhile are lost and never made up for.
        let passed = clock::monotonic_ns().saturating_sub(start_ns) / dose.every_ns.max(1);
        period = passed.max(period + 1);
    }
}

/// How long after the start of a period its busy wait begins.
fn offset_ns(dose: LagDose, first: f64, period: u64) -> u64 {
    let phase = (first + period as f64 * STEP).fract();
    let room_ns = dose.every_ns.saturating_sub(dose.busy_ns);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of the room, which is a whole number"
    )]
    let offset_ns = (phase * room_ns as f64) as u64;
    offset_ns
}

async fn sleep_until(due_ns: u64) {
    let left_ns = due_ns.saturating_sub(clock::monotonic_ns());
    tokio::time::sleep(Duration::from_nanos(left_ns)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_period_is_met_as_often() {
        let dose = LagDose { busy_ns: 20_000_000, every_ns: 100_000_000 };
        let mut met = [0; 8];
        for period in 0..800 {
            let offset_ns = offset_ns(dose, 0.25, period);
            assert!(offset_ns + dose.busy_ns <= dose.every_ns, "{offset_ns}");
            met[usize::try_from(offset_ns / 10_000_000).unwrap()] += 1;
        }
        assert!(met.iter().all(|times| (95..=105).contains(times)), "{met:?}");
    }
}
