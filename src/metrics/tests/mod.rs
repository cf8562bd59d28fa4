//! Figures computed by hand from small records.

use std::collections::BTreeMap;

use proptest::prelude::*;

mod counting;
mod probes;

use super::controls::Alone;
use super::*;
use crate::store::record::{Evidence, RunRecord};
use formats::protocol::{
    CallRecord, ClockPair, Outcome, PROTOCOL, RuntimeInfo, ServerCounts, Window,
};

const MS: u64 = 1_000_000;

pub(crate) fn call(agent: &str, start_ms: u64, text_ms: &[u64], end_ms: u64) -> CallRecord {
    CallRecord {
        agent: agent.into(),
        call: 0,
        warmup: false,
        start_ns: start_ms * MS,
        connected_ns: None,
        local_port: None,
        sent_ns: None,
        headers_ns: None,
        text_offsets_ns: text_ms.iter().map(|t| t * MS).collect(),
        end_ns: end_ms * MS,
        http_status: Some(200),
        retry_after_s: None,
        outcome: Outcome::Ok,
        error: None,
        chunks: text_ms.len() as u64 + 1,
        bytes: 100,
        reads: None,
        largest_read: None,
        read_delays_ns: None,
        finish_reason: None,
        model: None,
        text_bytes: Vec::new(),
        server: ServerCounts::default(),
    }
}

fn record(calls: Vec<CallRecord>) -> AgentRecord {
    AgentRecord {
        protocol: PROTOCOL,
        runtime: RuntimeInfo {
            name: "rust".into(),
            version: "1".into(),
            details: BTreeMap::default(),
        },
        clock: ClockPair { monotonic_ns: 0, utc: "2025-01-01T00:00:00.000Z".into() },
        calls,
        idle: None,
        probe_cost_ns: BTreeMap::default(),
        stages: Vec::new(),
        tokenize: None,
    }
}

fn send(request: &str, time_us: u64, index: u32, tokens: u32) -> Send {
    Send {
        time_ns: time_us * 1000,
        request: request.into(),
        index,
        tokens,
        bytes: 10,
        request_read_ns: None,
        request_arrived_ns: None,
    }
}

fn alone(calls: Vec<CallRecord>) -> RunMetrics {
    compute(&record(calls), &Recorded::default(), &ProcessUsage::default(), Conditions::default())
}

/// By what served them all.
pub(super) fn by(serving: &Serving, calls: Vec<CallRecord>) -> RunMetrics {
    let serving = calls.iter().map(|call| (call.agent.clone(), serving.clone())).collect();
    let conditions = Conditions { serving: &serving, ..Conditions::default() };
    compute(&record(calls), &Recorded::default(), &ProcessUsage::default(), conditions)
}

pub(super) fn serving(server: &str, version: Option<&str>, family: Option<&str>) -> Serving {
    Serving {
        server: Some(server.to_owned()),
        version: version.map(str::to_owned),
        family: family.map(str::to_owned),
        ..Serving::default()
    }
}

fn sent(sends: &[Send]) -> Recorded<'_> {
    Recorded { sends: Some(sends), ..Recorded::default() }
}

#[track_caller]
fn close(metrics: &Metrics, name: &str, expected: f64) {
    let value = metrics[name].unwrap_or_else(|| panic!("{name} is unknown"));
    assert!((value - expected).abs() < 1e-9, "{name}: {value} instead of {expected}");
}

#[track_caller]
fn unknown(metrics: &Metrics, names: &[&str]) {
    for name in names {
        assert_eq!(metrics[*name], None, "{name}");
    }
}

#[test]
fn a_call_with_all_the_server_can_say() {
    let mut one = call("a", 1000, &[50, 60, 80, 110], 1120);
    one.server = ServerCounts {
        total_ns: Some(115 * MS),
        load_ns: Some(5 * MS),
        prompt_tokens: Some(30),
        prefill_ns: Some(20 * MS),
        tokens: Some(7),
        decode_ns: Some(70 * MS),
        decode_tokens: None,
        cached_tokens: Some(10),
    };
    one.outcome = Outcome::Length;
    one.text_bytes = vec![1, 2, 2, 2];
    let serving = serving("paced endpoint", None, None);
    let metrics = &by(&serving, vec![one.clone()]).calls[0].metrics;
    close(metrics, "ttft_ms", 50.0);
    close(metrics, "itl_ms", 20.0); // gaps 10, 20, 30
    close(metrics, "itl_p50_ms", 20.0);
    close(metrics, "itl_p95_ms", 29.0); // 20 + 0.9 × 10
    close(metrics, "itl_p99_ms", 29.8);
    close(metrics, "itl_max_ms", 30.0);
    close(metrics, "tpot_ms", 10.0); // 60 ms ÷ 6
    close(metrics, "e2e_ms", 120.0);
    close(metrics, "tokens", 7.0);
    close(metrics, "chunks", 4.0);
    close(metrics, "client_tokens_per_s", 100.0); // 6 ÷ 0.06 s
    close(metrics, "decode_tokens_per_s", 100.0); // 7 ÷ 0.07 s
    close(metrics, "eval_rate_tokens_per_s", 100.0);
    let mut llama_cpp = call("a", 1000, &[50, 60], 1120);
    llama_cpp.server = ServerCounts { decode_tokens: Some(6), ..one.server.clone() };
    let metrics_of_llama_cpp = &alone(vec![llama_cpp]).calls[0].metrics;
    close(metrics_of_llama_cpp, "decode_tokens_per_s", 6.0 / 0.07);
    close(metrics_of_llama_cpp, "eval_rate_tokens_per_s", 7.0 / 0.07);
    close(metrics, "prefill_tokens_per_s", 1000.0); // (30 − 10) ÷ 0.02 s
    close(metrics, "load_ms", 5.0);
    close(metrics, "queue_ms", 20.0); // 115 − 5 − 20 − 70
    close(metrics, "client_residue_ms", 5.0); // 120 − 115
    close(metrics, "prompt_tokens", 30.0);
}

#[test]
fn what_nobody_said_is_unknown_not_zero() {
    let metrics = &alone(vec![call("a", 0, &[], 10)]).calls[0].metrics;
    unknown(
        metrics,
        &[
            "ttft_ms",
            "itl_ms",
            "itl_p99_ms",
            "tpot_ms",
            "tokens",
            "client_tokens_per_s",
            "queue_ms",
        ],
    );
    close(metrics, "chunks", 0.0);
    // all tokens in one chunk: there is no gap to divide by
    let mut one = call("a", 0, &[5], 10);
    one.server.tokens = Some(12);
    one.server.decode_ns = Some(0);
    unknown(
        &alone(vec![one]).calls[0].metrics,
        &["itl_ms", "client_tokens_per_s", "decode_tokens_per_s"],
    );
}

#[test]
fn two_agents_that_start_together() {
    let mut collector = call("collector", 100, &[10, 20, 30], 200);
    let mut insight = call("insight", 100, &[14, 16, 18], 150);
    collector.server.tokens = Some(3);
    insight.server.tokens = Some(3);
    let process = ProcessUsage {
        startup_ms: Some(8.0),
        peak_rss_mb: Some(12.5),
        cpu_s: Some(0.03),
        ..ProcessUsage::default()
    };
    let metrics = compute(
        &record(vec![insight, collector]),
        &Recorded::default(),
        &process,
        Conditions::default(),
    )
    .run;
    close(&metrics, "wall_ms", 100.0);
    close(&metrics, "speedup", 1.5); // (100 + 50) ÷ 100
    close(&metrics, "efficiency_percent", 75.0); // 50 × (1 + 50 ÷ 100)
    close(&metrics, "contention", 0.0);
    close(&metrics, "aggregate_tokens_per_s", 60.0); // 6 ÷ 0.1 s
    close(&metrics, "throughput_delta", 400.0); // 2 ÷ 4 ms − 2 ÷ 20 ms
    close(&metrics, "ttft_delta_ms", -4.0); // 10 − 14: insight answers later
    close(&metrics, "ttft_ms", 12.0);
    close(&metrics, "itl_ms", 6.0);
    close(&metrics, "itl_max_ms", 10.0);
    close(&metrics, "tokens", 6.0);
    close(&metrics, "startup_ms", 8.0);
    close(&metrics, "cpu_s_per_1000_tokens", 5.0);
    close(&metrics, "agents", 2.0);
    close(&metrics, "failed_calls", 0.0);
}

#[test]
fn one_after_the_other_is_contention() {
    let run = alone(vec![call("a", 0, &[1], 100), call("b", 100, &[1], 200)]).run;
    close(&run, "speedup", 1.0);
    close(&run, "contention", 1.0);
}

#[test]
fn contention_and_deltas_need_exactly_two_agents() {
    for names in [&["a"][..], &["a", "b", "c"]] {
        let run = alone(names.iter().map(|name| call(name, 0, &[1, 2], 10)).collect()).run;
        unknown(&run, &["contention", "throughput_delta", "ttft_delta_ms"]);
        close(&run, "speedup", names.len() as f64);
        close(&run, "efficiency_percent", 100.0);
    }
}

#[test]
fn warm_up_and_failed_calls_stay_out() {
    let mut warmup = call("a", 0, &[500], 600);
    warmup.warmup = true;
    let mut failed = call("a", 700, &[300], 1000);
    failed.outcome = Outcome::Truncated;
    let run = alone(vec![warmup, call("a", 610, &[10], 650), failed]).run;
    close(&run, "ttft_ms", 10.0);
    close(&run, "wall_ms", 40.0);
    close(&run, "measured_calls", 1.0);
    close(&run, "failed_calls", 1.0);
}

#[test]
fn an_agent_that_only_failed_leaves_the_speedup_unknown() {
    let mut failed = call("b", 0, &[], 10);
    failed.outcome = Outcome::HttpError;
    let run = alone(vec![call("a", 0, &[1], 10), failed]).run;
    unknown(&run, &["speedup", "efficiency_percent", "contention"]);
    close(&run, "agents", 2.0);
}

#[test]
fn a_run_without_a_call_that_counts_knows_nothing() {
    let run = alone(vec![]).run;
    for (name, value) in &run {
        let count = ["failed_calls", "measured_calls", "agents"].contains(&name.as_str());
        assert_eq!(*value, count.then_some(0.0), "{name}");
    }
}

#[test]
fn a_count_is_unknown_as_soon_as_one_calls_is() {
    let mut counted = call("a", 0, &[1, 2], 10);
    counted.server.tokens = Some(2);
    let run = alone(vec![counted, call("b", 0, &[1, 2], 10)]).run;
    unknown(&run, &["tokens", "aggregate_tokens_per_s"]);
    close(&run, "chunks", 4.0);
}

#[test]
fn times_to_the_first_chunk_count_from_the_sent_request() {
    let mut own = call("a", 1000, &[50, 60], 1080);
    own.connected_ns = Some(1_003 * MS);
    own.sent_ns = Some(1_004 * MS);
    own.read_delays_ns = Some(vec![20_000, 40_000]);
    let metrics = alone(vec![own]);
    close(&metrics.calls[0].metrics, "ttft_ms", 46.0);
    close(&metrics.calls[0].metrics, "connect_ms", 3.0);
    close(&metrics.calls[0].metrics, "send_delay_ms", 4.0);
    close(&metrics.run, "read_delay_p50_ms", 0.03);
    close(&metrics.run, "read_delay_max_ms", 0.04);
    close(&metrics.run, "e2e_ms", 80.0);
    // A record of protocol 1 does not tell when the request was sent.
    let older = alone(vec![call("a", 1000, &[50, 60], 1080)]);
    close(&older.calls[0].metrics, "ttft_ms", 50.0);
    unknown(&older.run, &["connect_ms", "send_delay_ms", "read_delay_p50_ms"]);
}

#[test]
fn the_error_of_a_first_chunk_holds_the_way_of_the_request() {
    let mut own = call("a", 1000, &[50], 1080);
    own.sent_ns = Some(1_001 * MS);
    let logged = Send {
        request_read_ns: Some(1_011 * MS),    // the request took 10 ms
        ..send("run/x/a/0", 1_049_000, 0, 1)  // and its first token 1 ms
    };
    let error = |logged: &Send| {
        let recorded =
            Recorded { sends: Some(std::slice::from_ref(logged)), ..Recorded::default() };
        let usage = ProcessUsage::default();
        compute(&record(vec![own.clone()]), &recorded, &usage, Conditions::default())
    };
    // By the client 49 ms, by the server 38 ms.
    close(&error(&logged).run, "ttft_error_ms", 11.0);
    // That the server read it 8 ms late is none of the client's.
    let stamped = Send { request_arrived_ns: Some(1_003 * MS), ..logged };
    close(&error(&stamped).run, "ttft_error_ms", 3.0);
}

#[test]
fn errors_against_the_send_log() {
    let record = record(vec![call("a", 1000, &[50, 60, 70], 1080)]);
    let sends = [
        send("run/x/a/0", 1_040_000, 0, 0), // headers
        send("run/x/a/0", 1_049_800, 1, 1),
        send("run/x/a/0", 1_059_500, 2, 1),
        send("run/x/a/0", 1_069_900, 3, 1),
        send("run/x/a/0", 1_070_000, 4, 0), // last record
        send("#7", 1_000_000, 0, 1),
    ];
    let metrics = compute(&record, &sent(&sends), &ProcessUsage::default(), Conditions::default());
    let call = &metrics.calls[0].metrics;
    close(call, "ttft_error_ms", 0.2);
    close(call, "gap_error_p50_ms", 0.35); // |10 − 9.7| and |10 − 10.4|
    close(call, "gap_error_max_ms", 0.4);
    close(&metrics.run, "gap_error_max_ms", 0.4);

    let calibration = calibration(&record, &sends).unwrap();
    assert_eq!((calibration.streams, calibration.samples), (1, 2));
    assert!((calibration.rate_tok_s - 2.0 / 0.0201).abs() < 1e-6);
    assert!((calibration.ttft_error_ms.p50 - 0.2).abs() < 1e-9);
    assert!((calibration.gap_error_ms.max - 0.4).abs() < 1e-9);

    let throttled = Conditions { throttled: true, ..Conditions::default() };
    let throttled = compute(&record, &sent(&sends), &ProcessUsage::default(), throttled);
    unknown(&throttled.run, &["gap_error_p50_ms", "gap_error_p99_ms", "gap_error_max_ms"]);
    close(&throttled.run, "ttft_error_ms", 0.2);
}

#[test]
fn chunks_that_cannot_be_paired_have_no_gap_error() {
    let record = record(vec![call("a", 1000, &[50, 60, 70], 1080)]);
    let short = [send("r/a/0", 1_050_000, 0, 1), send("r/a/0", 1_060_000, 1, 1)];
    unknown(
        &compute(&record, &sent(&short), &ProcessUsage::default(), Conditions::default()).run,
        &["gap_error_max_ms"],
    );
    assert_eq!(calibration(&record, &short), None);
    // two runs in one log: which of them was this?
    let twice = [send("r1/a/0", 1_050_000, 0, 1), send("r2/a/0", 1_050_000, 0, 1)];
    unknown(
        &compute(&record, &sent(&twice), &ProcessUsage::default(), Conditions::default()).run,
        &["ttft_error_ms"],
    );
}

#[test]
fn the_catalogue_lists_what_is_computed_and_nothing_else() {
    let metrics = alone(vec![call("a", 0, &[1, 2], 3)]);
    let names = |scopes: &[Scope]| {
        let mut names: Vec<&str> = catalogue()
            .iter()
            .filter(|info| scopes.contains(&info.scope))
            .map(|info| info.name)
            .collect();
        names.sort_unstable();
        names
    };
    let computed: Vec<&str> = metrics.calls[0].metrics.keys().map(String::as_str).collect();
    assert_eq!(computed, names(&[Scope::CallAndRun]));
    let computed: Vec<&str> = metrics.run.keys().map(String::as_str).collect();
    assert_eq!(computed, names(&[Scope::CallAndRun, Scope::Run]));
    let joined = controls::against_solo(&sealed(1, &metrics), &BTreeMap::new());
    let computed: Vec<&str> = joined.run.keys().map(String::as_str).collect();
    assert_eq!(computed, names(&[Scope::AgainstSolo, Scope::CallAndRunAgainstSolo]));
    let computed: Vec<&str> = joined.calls[0].keys().map(String::as_str).collect();
    assert_eq!(computed, names(&[Scope::CallAndRunAgainstSolo]));
    let page = catalogue_markdown();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), catalogue().len());
    for (row, info) in rows.iter().zip(catalogue()) {
        assert!(row.starts_with(&format!("| `{}` |", info.name)), "{row}");
        assert_eq!(row.replace("\\|", "").matches('|').count(), 8, "{row}");
    }
}

/// The metrics of a scenario run, by what lies in its folder.
fn scenario_metrics(folder: &Path) -> Result<RunMetrics, MetricsError> {
    let process = ProcessUsage::default();
    let seen = Seen { process: &process, machine: None };
    Work::Scenario(Conditions::default()).metrics(folder, seen)
}

#[test]
fn reads_what_lies_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let missing = scenario_metrics(folder.path()).unwrap_err();
    assert!(missing.to_string().contains("agent.json"), "{missing}");
    let record = record(vec![call("a", 1000, &[50, 60], 1080)]);
    let json = serde_json::to_vec(&record).unwrap();
    std::fs::write(folder.path().join(formats::protocol::RECORD_FILE), json).unwrap();
    let plain = scenario_metrics(folder.path()).unwrap();
    unknown(&plain.run, &["ttft_error_ms"]);
    let log = "time_ns,request,index,tokens,bytes\n1049000000,r/a/0,0,1,20\n";
    std::fs::write(folder.path().join(SENDS_FILE), log).unwrap();
    let paced = scenario_metrics(folder.path()).unwrap();
    close(&paced.run, "ttft_error_ms", 1.0);
    std::fs::write(folder.path().join(SENDS_FILE), "time_ns,request\nsoon,r/a/0\n").unwrap();
    let broken = scenario_metrics(folder.path()).unwrap_err();
    assert!(broken.to_string().contains("sends.csv"), "{broken}");
}

proptest! {
    /// The researchers' efficiency can only see how evenly two agents are loaded.
    #[test]
    fn efficiency_of_two_agents_is_load_balance(
        start in 0u64..1_000_000_000_000,
        first in 1u64..1_000_000_000_000,
        second in 1u64..1_000_000_000_000,
    ) {
        let mut a = call("a", 0, &[], 0);
        let mut b = call("b", 0, &[], 0);
        (a.start_ns, a.end_ns, b.start_ns, b.end_ns) = (start, start + first, start, start + second);
        let efficiency = alone(vec![a, b]).run["efficiency_percent"].unwrap();
        let (least, most) = (first.min(second) as f64, first.max(second) as f64);
        prop_assert!((efficiency - 50.0 * (1.0 + least / most)).abs() < 1e-9);
    }
}

fn lag(time_ms: u64, lag_ms: f64) -> LagSample {
    LagSample { time_ns: time_ms * MS, lag_ms, loop_name: None }
}

/// Idle from 0 to 100 ms, then a warm-up call and a measured one from 200 to 400 ms.
fn probed() -> AgentRecord {
    let mut warmup = call("a", 110, &[10], 150);
    warmup.warmup = true;
    let mut measured = call("a", 200, &[50, 100, 150], 400);
    measured.call = 1;
    let mut record = record(vec![warmup, measured]);
    record.idle = Some(Window { start_ns: 0, end_ns: 100 * MS });
    record.probe_cost_ns.insert("loop_lag".into(), 4 * MS);
    record
}

fn lag_metrics(record: &AgentRecord, samples: &[LagSample]) -> Metrics {
    compute(
        record,
        &Recorded { lag: samples, ..Recorded::default() },
        &ProcessUsage::default(),
        Conditions::default(),
    )
    .run
}

#[test]
fn loop_lag_loaded_and_idle() {
    let samples = [
        lag(10, 0.1),
        lag(50, 0.3),
        lag(90, 20.0),  // the only stall of the idle loop
        lag(120, 25.0), // due while idle, held up by the warm-up call: in neither window
        lag(210, 1.0),
        lag(300, 3.0),
        lag(390, 12.0),
        lag(410, 20.0), // due at 390, while the call was running
        lag(440, 30.0), // due at 410, after its end
    ];
    let run = lag_metrics(&probed(), &samples);
    close(&run, "loop_lag_samples", 4.0);
    close(&run, "loop_lag_p50_ms", 7.5);
    close(&run, "loop_lag_p99_ms", 19.76); // 12 + 0.97 × 8
    close(&run, "loop_lag_max_ms", 20.0);
    close(&run, "loop_lag_mean_ms", 9.0);
    close(&run, "loop_lag_stalls", 2.0);
    close(&run, "loop_lag_stalled_percent", 11.0); // 12, and 10 of the 20, of 200 ms
    // 1 + 3 + 12 and 10 of 200 ms; what came at 390 to 400 waits 20 to 10 ms, until 410.
    close(&run, "loop_blocked_percent", 13.0);
    close(&run, "loop_wait_mean_ms", (1.0 + 9.0 + 144.0 + 400.0 - 100.0) / 2.0 / 200.0);
    close(&run, "loop_wait_p99_ms", 18.0); // 2 ms of 200
    close(&run, "idle_loop_blocked_percent", 20.4);
    close(&run, "loop_blocked_percent_above_idle", 13.0 - 20.4);
    close(&run, "idle_loop_wait_mean_ms", (0.01 + 0.09 + 400.0) / 2.0 / 100.0);
    close(&run, "idle_loop_wait_p99_ms", 19.0);
    close(&run, "idle_loop_lag_p50_ms", 0.3);
    close(&run, "idle_loop_lag_max_ms", 20.0);
    close(&run, "idle_loop_lag_stalls", 1.0);
    close(&run, "loop_lag_p50_ms_above_idle", 7.2);
    close(&run, "loop_lag_max_ms_above_idle", 0.0);
    close(&run, "loop_lag_stalls_above_idle", 0.0); // 2 in 200 ms, 1 in 100 ms
    close(&run, "loop_lag_probe_cost_percent", 100.0 * 4.0 / 430.0);
}

#[test]
fn a_stall_counts_as_far_as_it_lies_in_the_window() {
    // From 170 to 500 ms; all 200 ms of the window lie in it.
    let run = lag_metrics(&probed(), &[lag(500, 330.0)]);
    close(&run, "loop_lag_stalled_percent", 100.0);
    let samples = [lag(205, 30.0), lag(450, 210.0)]; // 200–205 and 240–400 in it
    let run = lag_metrics(&probed(), &samples);
    close(&run, "loop_lag_stalled_percent", 82.5);
    close(&run, "loop_lag_max_ms", 210.0);
}

/// Two loops that are held up at the same time are not held up for twice the time.
#[test]
fn loops_of_agents_are_measured_each_in_its_own_window() {
    let mut record = record(vec![call("a", 200, &[50], 400), call("b", 200, &[50], 300)]);
    record.idle = Some(Window { start_ns: 0, end_ns: 100 * MS });
    record.probe_cost_ns.insert("loop_lag".into(), 6 * MS);
    record.probe_cost_ns.insert("chunks".into(), MS);
    record.probe_cost_ns.insert("read_delay".into(), MS / 2);
    let on = |own: &str, time_ms, lag_ms| LagSample {
        loop_name: Some(own.to_owned()),
        ..lag(time_ms, lag_ms)
    };
    let samples = [
        on("a", 50, 1.0),
        on("b", 50, 20.0),
        on("a", 250, 50.0),
        on("b", 250, 50.0),
        on("a", 310, 5.0),
        on("a", 350, 40.0),
        on("b", 350, 45.0), // its agent's call ended at 300
    ];
    let run = lag_metrics(&record, &samples);
    close(&run, "loop_lag_loops", 2.0);
    close(&run, "loop_lag_samples", 4.0);
    close(&run, "loop_lag_stalls", 1.5);
    close(&run, "idle_loop_lag_stalls", 0.5);
    close(&run, "loop_lag_stalls_above_idle", 1.5 - 0.5 * 150.0 / 100.0);
    close(&run, "loop_lag_stalled_percent", 100.0 * (50.0 + 40.0 + 50.0) / (200.0 + 100.0));
    // 50 + 5 + 40 of 200 ms, 50 of 100 ms
    close(&run, "loop_blocked_percent", 100.0 * 145.0 / 300.0);
    close(&run, "loop_wait_mean_ms", (2500.0 + 25.0 + 1600.0 + 2500.0) / 2.0 / 300.0);
    close(&run, "loop_lag_p50_ms", 45.0);
    close(&run, "loop_lag_probe_cost_percent", 100.0 * 6.0 / (300.0 + 300.0));
    close(&run, "chunk_probe_cost_percent", 0.5); // 1 of 200 ms
    close(&run, "read_delay_cost_percent", 0.25);
    let windows = lag::windows(&record, &samples);
    let of = |own: &str| -> Vec<(usize, usize)> {
        let own = windows.iter().filter(|window| window.loop_name.as_deref() == Some(own));
        own.map(|window| (window.samples, window.chunks)).collect()
    };
    // text at 250 in both
    assert_eq!(of("a"), [(1, 0), (0, 0), (2, 1), (1, 0)]);
    assert_eq!(of("b"), [(1, 0), (0, 0), (2, 1)]);
}

#[test]
fn without_idle_or_probe_nothing_is_known_of_them() {
    let mut record = probed();
    record.idle = None;
    let run = lag_metrics(&record, &[lag(300, 3.0)]);
    close(&run, "loop_lag_p99_ms", 3.0);
    unknown(&run, &["idle_loop_lag_p99_ms", "loop_lag_p99_ms_above_idle"]);
    unknown(&run, &["loop_lag_stalls_above_idle", "loop_lag_probe_cost_percent"]);
    unknown(&run, &["idle_loop_wait_mean_ms", "loop_wait_mean_ms_above_idle"]);
    let run = lag_metrics(&record, &[]);
    unknown(&run, &["loop_lag_p99_ms", "loop_lag_stalls", "loop_lag_samples"]);
    unknown(&run, &["loop_blocked_percent", "loop_wait_mean_ms", "loop_wait_p99_ms"]);
}

/// The file of a probe that sleeps 1 ms on a loop that is held for `held_ms` once in `every_ms`.
fn held_file(held_ms: u64, every_ms: u64, until_ms: u64) -> Vec<LagSample> {
    use std::fmt::Write as _;
    let mut file = String::from("time_ns,lag_ms\n");
    for time_ms in 1..=until_ms {
        let into_ms = time_ms % every_ms;
        // nothing wakes while it is held, and the first to wake is late by all of it
        if into_ms >= held_ms {
            let lag_ms = if into_ms == held_ms { held_ms } else { 0 };
            writeln!(file, "{},{lag_ms}.000000", time_ms * MS).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loop_lag.csv");
    std::fs::write(&path, file).unwrap();
    lag::read(&path).unwrap().unwrap()
}

/// A loop that is held for long gives few samples: their percentile does not see it, time does.
#[test]
fn what_a_loop_holds_up_is_weighed_by_time() {
    let record = record(vec![call("a", 0, &[50], 10_000)]);
    let run = lag_metrics(&record, &held_file(20, 100, 10_000));
    close(&run, "loop_blocked_percent", 20.0);
    close(&run, "loop_wait_mean_ms", 2.0); // 20² ÷ 2 ÷ 100
    close(&run, "loop_wait_p99_ms", 19.0);

    let run = lag_metrics(&record, &held_file(400, 1000, 10_000));
    close(&run, "loop_lag_p99_ms", 0.0);
    close(&run, "loop_blocked_percent", 40.0);
    close(&run, "loop_wait_mean_ms", 80.0);
    close(&run, "loop_wait_p99_ms", 390.0);
}

#[test]
fn windows_of_100_ms_hold_every_sample_and_chunk_once() {
    let record = probed(); // text at 120, 250, 300, 350
    let windows =
        lag::windows(&record, &[lag(100, 1.0), lag(150, 3.0), lag(300, 90.0), lag(350, 2.0)]);
    let seen: Vec<(u64, usize, Option<f64>, usize)> = windows
        .iter()
        .map(|own| (own.start_ns / MS, own.samples, own.lag_max_ms, own.chunks))
        .collect();
    // nothing woke from 200 to 300: the sample at 300 tells why
    assert_eq!(seen, [(100, 2, Some(3.0), 1), (200, 0, None, 1), (300, 2, Some(90.0), 2)]);
    let (whole, last) = (&windows[0], &windows[2]);
    assert_eq!((whole.lag_p50_ms, whole.chunks_per_s), (Some(2.0), Some(10.0)));
    assert_eq!((last.duration_ms, last.chunks_per_s), (100.0, Some(20.0)));
    assert_eq!(lag::windows(&record, &[]), []);
    let senseless = [lag(0, 0.0), LagSample { time_ns: u64::MAX, ..lag(0, 0.0) }];
    assert_eq!(lag::windows(&record, &senseless).len(), 1 << 20);
}

/// A stored run of these metrics.
fn sealed(repeat: u32, metrics: &RunMetrics) -> RunRecord {
    RunRecord {
        format: 1,
        cell: "0".repeat(32),
        identity_version: 2,
        levels: Vec::new(),
        cell_name: String::new(),
        repeat,
        attempt: 1,
        identity: serde_json::Value::Null,
        started: None,
        finished: None,
        imported: None,
        agents: metrics.agents.clone(),
        evidence: Evidence::default(),
        process: ProcessUsage::default(),
        machine: None,
        calls: metrics.calls.clone(),
        metrics: metrics.run.clone(),
        probes: BTreeMap::new(),
        servers: BTreeMap::new(),
        serving: BTreeMap::new(),
        fallback_of: None,
        rerun_of: None,
        tokens: None,
        command: None,
        sampling: BTreeMap::new(),
        wire: None,
        recomputed: Vec::new(),
        files: BTreeMap::new(),
    }
}

/// A call of 10 tokens.
fn ten(agent: &str, start_ms: u64, first_ms: u64, end_ms: u64) -> CallRecord {
    let mut call = call(agent, start_ms, &[first_ms, end_ms - start_ms], end_ms);
    call.server.tokens = Some(10);
    call
}

fn solo(agent: &str, repeat: u32, length_ms: u64) -> RunRecord {
    sealed(repeat, &alone(vec![ten(agent, 1000, 20, 1000 + length_ms)]))
}

#[test]
fn two_agents_that_wait_for_each_other_keep_half_their_throughput() {
    // Alone each takes 100 ms; together the second waits for the first.
    let together = sealed(2, &alone(vec![ten("a", 0, 20, 100), ten("b", 0, 120, 200)]));
    let (a, b) = (solo("a", 2, 100), solo("b", 2, 100));
    let controls = BTreeMap::from([
        ("a".to_owned(), Alone::of(&[&solo("a", 1, 50), &a], 2).unwrap()),
        ("b".to_owned(), Alone::of(&[&b], 2).unwrap()),
    ]);
    let joined = controls::against_solo(&together, &controls);
    close(&together.metrics, "efficiency_percent", 75.0); // it looks only at the balance
    close(&together.metrics, "efficiency_drop_pp", 25.0);
    close(&joined.run, "scaling_efficiency_percent", 50.0); // 100 tok/s of 2 × 100
    close(&joined.run, "contention_efficiency_percent", 50.0); // 200 ms, 100 without the other
    close(&joined.run, "slowdown", 1.5);
    close(&joined.run, "ttft_above_solo_ms", 50.0);
    close(&joined.run, "solo_same_repeat", 1.0);
    let slowdowns: Vec<Option<f64>> = joined.calls.iter().map(|call| call["slowdown"]).collect();
    assert_eq!(slowdowns, [Some(1.0), Some(2.0)]);
    close(&joined.calls[1], "ttft_above_solo_ms", 100.0);
}

#[test]
fn unlike_agents_that_do_not_meet_are_not_in_contention() {
    // One takes 100 ms, the other 400 ms, alone and together.
    let together = sealed(1, &alone(vec![ten("a", 0, 20, 100), ten("b", 0, 20, 400)]));
    let controls = BTreeMap::from([("a", 100), ("b", 400)].map(|(agent, length_ms)| {
        (agent.to_owned(), Alone::of(&[&solo(agent, 1, length_ms)], 1).unwrap())
    }));
    let joined = controls::against_solo(&together, &controls);
    close(&joined.run, "contention_efficiency_percent", 100.0);
    close(&joined.run, "slowdown", 1.0);
    close(&together.metrics, "efficiency_percent", 62.5); // (100 + 400) ÷ 400 ÷ 2
    close(&joined.run, "scaling_efficiency_percent", 40.0); // 50 tok/s of 100 + 25
}

#[test]
fn the_mean_stands_in_for_a_repeat_without_a_solo_run_and_says_so() {
    let run = sealed(3, &alone(vec![ten("a", 0, 20, 100), ten("b", 0, 20, 100)]));
    let (one, two) = (solo("a", 1, 100), solo("a", 2, 200));
    let mut controls = BTreeMap::from([("a".to_owned(), Alone::of(&[&one, &two], 3).unwrap())]);
    let joined = controls::against_solo(&run, &controls);
    unknown(&joined.run, &["scaling_efficiency_percent", "slowdown", "solo_same_repeat"]);
    close(&joined.calls[0], "slowdown", 10.0 / 15.0); // 10 ms a token, alone 10 or 20
    assert_eq!(joined.calls[1]["slowdown"], None);
    controls.insert("b".to_owned(), Alone::of(&[&solo("b", 3, 100)], 3).unwrap());
    let joined = controls::against_solo(&run, &controls);
    close(&joined.run, "solo_same_repeat", 0.0);
    close(&joined.run, "scaling_efficiency_percent", 100.0 * 200.0 / (75.0 + 100.0));
    assert_eq!(Alone::of(&[], 1), None);
}
