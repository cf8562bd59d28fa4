//! The throttle and the loop-lag probe by themselves.

use std::time::Duration;

use super::lag::Probe;
use super::throttle::Throttle;
use crate::os;

#[test]
fn a_throttle_spaces_chunks_that_come_together() {
    let mut throttle = Throttle::new(100.0);
    let due: Vec<u64> = (0..4).map(|_| throttle.due(1_000, true)).collect();
    assert_eq!(due, [1_000, 10_001_000, 20_001_000, 30_001_000]);
}

#[test]
fn a_stream_slower_than_the_throttle_is_not_delayed_and_saves_nothing_up() {
    let mut throttle = Throttle::new(100.0);
    let reads = [0, 50_000_000, 100_000_000, 100_000_000];
    let due: Vec<u64> = reads.iter().map(|&read| throttle.due(read, true)).collect();
    assert_eq!(due, [0, 50_000_000, 100_000_000, 110_000_000]);
}

#[test]
fn late_timers_do_not_add_up() {
    let mut throttle = Throttle::new(1000.0);
    throttle.due(0, true);
    let mut due = 0;
    for _ in 0..1000 {
        // Each sleep ends 1.5 ms late, when the next chunk has long been waiting.
        due = throttle.due(due + 1_500_000, false);
    }
    assert_eq!(due, 1_000_000_000);
}

#[test]
fn a_long_delay_that_is_not_the_timers_is_not_caught_up_with() {
    let mut throttle = Throttle::new(1000.0);
    throttle.due(0, true);
    assert_eq!(throttle.due(1_000_000_000, false), 995_000_000);
}

/// Runs the probe beside one piece of work on the same loop; lags in milliseconds.
fn lags_beside(work: impl Future<Output = ()>) -> Vec<f64> {
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lag = event_loop.block_on(async {
        let probe = Probe::start(1_000_000);
        tokio::time::sleep(Duration::from_millis(20)).await;
        work.await;
        probe.stop().await.unwrap()
    });
    assert!(lag.cost_ns.is_none_or(|cost| cost > 0));
    let table = lag.table();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("time_ns,lag_ms"));
    lines.map(|line| line.split_once(',').unwrap().1.parse().unwrap()).collect()
}

/// All that the loop's thread does here it does for the probe.
#[test]
fn the_lag_probe_tells_what_it_costs_with_the_turn_of_the_loop() {
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let share = || {
        let (cost, used) = event_loop.block_on(async {
            let probe = Probe::start(200_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let before = os::thread_cpu_ns();
            tokio::time::sleep(Duration::from_millis(400)).await;
            let used = os::thread_cpu_ns().zip(before).map(|(now, before)| now - before);
            (probe.stop().await.unwrap().cost_ns, used)
        });
        Some(cost? as f64 / used? as f64)
    };
    // Wake-ups of 420 ms; a busy machine makes some dearer than others, but not those of every try.
    let shares: Option<Vec<f64>> = (0..5).map(|_| share()).collect();
    let Some(shares) = shares else { return };
    assert!(shares.iter().any(|share| (0.6..2.0).contains(share)), "{shares:?}");
}

#[test]
fn the_lag_probe_sees_a_blocked_loop() {
    let lags = lags_beside(async { std::thread::sleep(Duration::from_millis(50)) });
    // The sample that was due in the middle of it, although the probe is stopped right after.
    assert!(lags.last().is_some_and(|lag| *lag > 45.0), "{lags:?}");
}

#[test]
fn the_lag_probe_is_finer_than_a_millisecond() {
    let mut lags = lags_beside(async { tokio::time::sleep(Duration::from_millis(200)).await });
    lags.sort_by(f64::total_cmp);
    // Sleeps that follow each other on a timer of whole milliseconds are nearly one too long, always;
    // a busy machine only delays some.
    assert!(lags[lags.len() / 10] < 0.5, "{lags:?}");
}
