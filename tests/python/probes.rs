//! The instruments inside the process, and that they find what they are for.

use runner::agent::protocol::{LOOP_LAG_COLUMNS, LOOP_LAG_FILE};

use crate::accuracy::{measured, paced, rate, streams};
use crate::process::{Finished, command, run, run_with};
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
    let server = paced(20.0);
    let spec = || {
        let mut spec = streams(&server, 2, 20);
        spec.probes.loop_lag_ns = Some(1_000_000);
        spec
    };
    let folder = tempfile::tempdir().unwrap();
    let blocking = changed(
        folder.path(),
        "decoding.py",
        "    return lambda payload: decode(payload.decode())",
        "    import time\n    return lambda payload: (time.sleep(0.02), decode(payload.decode()))[1]",
    );
    let lags = |command| {
        let finished = run_with(command, spec());
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        samples(&finished).into_iter().map(|(_, lag)| lag).collect::<Vec<f64>>()
    };
    let mut blocked = blocking.command();
    blocked.stdin(std::process::Stdio::piped());
    blocked.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let stalls = |lags: &[f64]| lags.iter().filter(|lag| **lag > 10.0).count();
    let free = lags(command());
    assert!(stalls(&free) <= 3, "{} stalls in a free loop", stalls(&free));
    let found = lags(blocked);
    assert!(stalls(&found) >= 15, "{} stalls found", stalls(&found));
    assert!(percentile(found, 0.99) > 18.0);

    let (_, free) = measured(command(), &server, spec());
    let mut blocked = blocking.command();
    blocked.stdin(std::process::Stdio::piped());
    blocked.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let (record, blocked) = measured(blocked, &server, spec());
    assert!(blocked.gap_error_ms.max > free.gap_error_ms.max + 5.0, "{blocked:?} {free:?}");
    assert!(blocked.ttft_error_ms.max > free.ttft_error_ms.max + 5.0, "{blocked:?} {free:?}");
    assert!(record.calls.iter().all(|call| rate(call) > 15.0));
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
