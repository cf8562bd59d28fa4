//! The instruments inside the process, and that they find what they are for.

use std::process::Stdio;
use std::time::Duration;

use formats::protocol::{LOOP_LAG_COLUMNS, LOOP_LAG_FILE};

use crate::accuracy::{jittered, measured, paced, streams};
use crate::process::{Finished, command, run};
use crate::runtime::changed;

/// Time and lag in milliseconds of every sample.
fn samples(finished: &Finished) -> Vec<(u64, f64)> {
    let table = std::fs::read_to_string(finished.dir.path().join(LOOP_LAG_FILE)).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next().unwrap(), LOOP_LAG_COLUMNS.join(","));
    lines
        .map(|line| {
            let (time, lag) = line.split_once(',').unwrap();
            (time.parse().unwrap(), lag.parse().unwrap())
        })
        .collect()
}

fn percentile(mut lags: Vec<f64>, share: f64) -> f64 {
    lags.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = ((lags.len() - 1) as f64 * share) as usize;
    lags[index]
}

#[test]
fn the_loop_lag_probe_samples_the_idle_control_and_the_calls() {
    let server = paced(100.0);
    let mut spec = streams(&server, 2, 50);
    spec.probes.loop_lag_ns = Some(1_000_000);
    spec.probes.idle_ns = Some(300_000_000);
    let finished = run(spec);
    let record = finished.record.as_ref().unwrap();
    let idle = record.idle.unwrap();
    let first = record.calls[0].start_ns;
    let end = record.calls.iter().map(|call| call.end_ns).max().unwrap();
    assert!(record.clock.monotonic_ns <= idle.start_ns && idle.end_ns <= first);
    assert!((290..400).contains(&((idle.end_ns - idle.start_ns) / 1_000_000)));
    let samples = samples(&finished);
    assert!(samples.is_sorted_by_key(|(time, _)| *time));
    let within =
        |from: u64, to: u64| samples.iter().filter(|(time, _)| (from..=to).contains(time)).count();
    // A sleep of 1 ms is rounded up by the loop's own timer, to 2 ms at most.
    assert!(within(idle.start_ns, idle.end_ns) > 100);
    assert!(within(first, end) > 150);
    assert!(samples.iter().all(|(_, lag)| *lag >= 0.0));
    let cost = record.probe_cost_ns["loop_lag"];
    assert!((1_000..200_000).contains(&(cost / samples.len() as u64)), "{cost} ns in all");
}

/// A probe that cannot fail is no probe: a parse that blocks the loop for 20 ms is found by it, and
/// distorts what is measured.
#[test]
fn a_parse_that_blocks_is_found_and_distorts() {
    // First tokens at the same moment would all be read before the first is parsed; four within 30 ms
    // cannot all be parsed in time.
    let server = jittered(10.0, Duration::from_millis(15));
    let spec = || {
        let mut spec = streams(&server, 4, 20);
        spec.probes.loop_lag_ns = Some(1_000_000);
        spec
    };
    let folder = tempfile::tempdir().unwrap();
    let blocking = changed(
        folder.path(),
        "payload.py",
        "    return lambda payload: decode(payload.decode())",
        "    import time\n    return lambda payload: (time.sleep(0.02), decode(payload.decode()))[1]",
    );
    let mut blocked = blocking.command();
    blocked.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (free, free_error) = measured(command(), &server, spec());
    let (blocked, blocked_error) = measured(blocked, &server, spec());
    let lags = |finished: &Finished| -> Vec<f64> {
        samples(finished).into_iter().map(|(_, lag)| lag).collect()
    };
    let stalls = |finished| lags(finished).into_iter().filter(|lag| *lag > 10.0).count();
    // A busy machine makes some stalls of its own.
    let (found, usual) = (stalls(&blocked), stalls(&free));
    assert!(found >= 15 && found > 2 * usual, "{found} stalls found, {usual} in a free loop");
    assert!(percentile(lags(&blocked), 0.99) > 18.0);
    let grown = |blocked: f64, free: f64| blocked > free + 5.0;
    let (now, before) = (&blocked_error, &free_error);
    assert!(grown(now.gap_error_ms.max, before.gap_error_ms.max), "{now:?} {before:?}");
    assert!(grown(now.ttft_error_ms.max, before.ttft_error_ms.max), "{now:?} {before:?}");
}

#[test]
fn the_chunk_probe_tells_its_cost() {
    let server = paced(200.0);
    let mut spec = streams(&server, 1, 20);
    spec.probes.chunks = true;
    let record = run(spec).record.unwrap();
    assert!(record.probe_cost_ns["chunks"] > 0);
    assert!(!record.probe_cost_ns.contains_key("loop_lag"));
    assert_eq!(record.idle, None);
}
