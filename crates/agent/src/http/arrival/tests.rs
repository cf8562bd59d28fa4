use super::*;

const FIRST: Pair = Pair { monotonic: 1_000, day: 5_000_000_001_000 };

#[test]
fn a_stamp_lies_between_the_pairs() {
    // The time of day ran 100 ppm fast over ten seconds.
    let last = Pair { monotonic: 10_000_001_000, day: 5_010_001_001_000 };
    let delays = Delays::between(FIRST, last).unwrap();
    let half = Arrival { read_ns: 5_000_001_000 + 70_000, stamp_ns: 5_005_000_501_000 };
    assert_eq!(delays.of(half), 70_000);
}

#[test]
fn a_clock_that_was_set_gives_no_delays() {
    let last = Pair { monotonic: 10_000_001_000, day: 5_011_000_001_000 };
    assert!(Delays::between(FIRST, last).is_none());
}

#[test]
fn a_read_before_its_own_segment_counts_as_no_delay() {
    let last = Pair { monotonic: 2_000, day: 5_000_000_002_000 };
    let delays = Delays::between(FIRST, last).unwrap();
    assert_eq!(delays.of(Arrival { read_ns: 1_100, stamp_ns: 5_000_000_001_200 }), 0);
}
