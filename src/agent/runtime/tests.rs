//! The throttle by itself.

use super::throttle::Throttle;

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
