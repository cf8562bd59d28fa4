//! The instruments inside the process, and that they find what they are for.

use std::process::{Command, Stdio};
use std::time::Duration;

use formats::protocol::{CallSpec, LOOP_LAG_COLUMNS, LOOP_LAG_FILE, LagDose, Outcome};
use runner::metrics::{self, Conditions, Recorded};
use runner::store::record::{Metrics, ProcessUsage};

use crate::accuracy::{jittered, measured, paced, streams};
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

/// 20 ms of each 100 ms are taken from a loop that is otherwise free, while the measured calls last and
/// at no other time: the probe finds as much, and the streams suffer from it.
#[test]
fn a_dose_of_lag_is_found_in_both_runtimes() {
    let rust = || {
        let mut rust = Command::new(env!("CARGO_BIN_EXE_runner"));
        rust.arg("agent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        rust
    };
    for (make, processes) in
        [(&rust as &dyn Fn() -> Command, None), (&command, None), (&command, Some("agent"))]
    {
        // Whoever else takes the machine for a while adds lag of his own.
        let tries = (0..5).map(|_| dosed_and_free(make(), processes));
        let mut wrong = Vec::new();
        let fits = tries.map(|(dosed, free)| unlike_a_dose(&dosed, &free)).any(|found| {
            wrong.extend(found.clone());
            found.is_none()
        });
        assert!(fits, "processes {processes:?}: {wrong:?}");
    }
}

/// The metrics of two streams with a dose of 20 ms, and those of their warm-up calls.
fn dosed_and_free(command: Command, processes: Option<&str>) -> (Metrics, Metrics) {
    let server = paced(100.0);
    let mut spec = streams(&server, 2, 100);
    spec.probes.loop_lag_ns = Some(1_000_000);
    spec.probes.idle_ns = Some(500_000_000);
    spec.lag_dose = Some(LagDose { busy_ns: 20_000_000, every_ns: LagDose::EVERY_NS });
    spec.variant = processes.map(|own| ("processes".to_owned(), own.into())).into_iter().collect();
    for agent in &mut spec.agents {
        let warm = CallSpec { warmup: true, ..agent.calls[0].clone() };
        agent.calls.insert(0, warm);
    }
    let run = spec.run.clone();
    let finished = run_with(command, spec);
    let record = finished.record.as_ref().unwrap();
    assert!(record.calls.iter().all(|call| call.outcome == Outcome::Length), "{record:?}");
    let sends = server.take_sends(&run);
    let lag = metrics::lag::read(&finished.dir.path().join(LOOP_LAG_FILE)).unwrap().unwrap();
    let recorded = Recorded { sends: Some(&sends), lag: &lag, ..Recorded::default() };
    let of = |record| {
        metrics::compute(record, &recorded, &ProcessUsage::default(), Conditions::default()).run
    };
    let mut warm = record.clone();
    warm.calls.retain_mut(|call| std::mem::take(&mut call.warmup));
    (of(record), of(&warm))
}

/// What these metrics show that a dose of 20 ms in each 100 ms does not explain.
fn unlike_a_dose(dosed: &Metrics, free: &Metrics) -> Option<String> {
    let grown = |name: &str| dosed[name].unwrap() - free[name].unwrap();
    let all = [
        // Up to a sleep of the probe is missing from each busy wait; what others do comes on top.
        ("mean wait", dosed["loop_wait_mean_ms"].unwrap(), 1.5..3.5),
        ("wait of one moment in a hundred", dosed["loop_wait_p99_ms"].unwrap(), 17.0..40.0),
        ("more time held than in the warm-up", grown("loop_blocked_percent"), 12.0..28.0),
        ("mean wait in the warm-up", free["loop_wait_mean_ms"].unwrap(), 0.0..0.6),
        ("mean wait in the idle control", dosed["idle_loop_wait_mean_ms"].unwrap(), 0.0..0.6),
        ("more error of gaps", grown("gap_error_p99_ms"), 6.0..40.0),
    ];
    all.into_iter()
        .find(|(_, value, fitting)| !fitting.contains(value))
        .map(|(what, value, fitting)| format!("{what}: {value}, not in {fitting:?}"))
}

/// What cannot be given is refused, and never left out.
#[test]
fn a_dose_that_fills_its_period_is_refused() {
    let server = paced(100.0);
    for busy_ns in [0, 100_000_000] {
        let mut spec = streams(&server, 1, 5);
        spec.lag_dose = Some(LagDose { busy_ns, every_ns: LagDose::EVERY_NS });
        let finished = run(spec);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("lag_dose"), "{}", finished.stderr);
    }
}
