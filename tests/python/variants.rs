//! The factors that change the runtime do so for real.

use std::process::Stdio;

use formats::protocol::{AgentRecord, CHUNK_FILE, Event, LOOP_LAG_FILE, Outcome, Spec};
use runner::metrics;
use serde_json::{Value, json};

use crate::accuracy::{paced, rate, streams};
use crate::answers::{NDJSON, answer, last, line};
use crate::process::{agent, run, run_with, spec};
use crate::runtime;
use crate::scripted::Scripted;

fn with(mut spec: Spec, settings: &Value) -> Spec {
    let settings = settings.as_object().unwrap();
    spec.variant = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    spec
}

fn record(spec: Spec) -> AgentRecord {
    let finished = run(spec);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.record.unwrap()
}

#[test]
fn every_variant_reads_two_streams_to_their_end() {
    let server = paced(200.0);
    for (settings, detail) in [
        (json!({ "event_loop": "uvloop" }), ("event_loop", "uvloop ")),
        (json!({ "json": "orjson" }), ("json", "orjson ")),
        (json!({ "parse": "thread" }), ("event_loop", "asyncio")),
        (json!({ "batch": 0.05 }), ("json", "stdlib")),
        (json!({ "rechunk": 200 }), ("json", "stdlib")),
        (json!({ "processes": "agent" }), ("event_loop", "asyncio")),
        (
            json!({ "event_loop": "uvloop", "json": "orjson", "parse": "thread", "batch": 0.02,
                "processes": "agent", "rechunk": 64 }),
            ("event_loop", "uvloop "),
        ),
    ] {
        let record = record(with(streams(&server, 2, 60), &settings));
        assert_eq!(record.calls.len(), 2);
        for call in &record.calls {
            assert_eq!(call.outcome, Outcome::Length, "{settings}: {:?}", call.error);
            assert_eq!((call.chunks, call.text_offsets_ns.len()), (61, 60), "{settings}");
            assert!(call.text_offsets_ns.is_sorted(), "{settings}");
        }
        let (name, value) = detail;
        assert!(record.runtime.details[name].starts_with(value), "{:?}", record.runtime);
    }
}

#[test]
fn reads_are_counted_on_every_loop() {
    let server = Scripted::start(|_, reply| answer(reply, &["a"; 40]));
    for event_loop in ["asyncio", "uvloop"] {
        let mut spec = with(spec(vec![agent(&server.url)]), &json!({ "event_loop": event_loop }));
        spec.read_buffer = Some(100);
        let record = record(spec);
        let call = &record.calls[0];
        assert_eq!(call.largest_read, Some(100), "{event_loop}");
        let reads = call.reads.unwrap();
        assert!(reads >= call.bytes.div_ceil(100), "{reads} reads of {} bytes", call.bytes);
    }
}

#[test]
fn unknown_settings_and_values_are_refused() {
    let server = paced(200.0);
    for (settings, words) in [
        (json!({ "colour": "red" }), "colour"),
        (json!({ "event_loop": "trio" }), "asyncio, uvloop"),
        (json!({ "batch": 0 }), "batch"),
        (json!({ "batch": "50ms" }), "batch"),
        (json!({ "rechunk": -1 }), "rechunk"),
        (json!({ "parse": null }), "parse"),
    ] {
        let finished = run(with(streams(&server, 1, 5), &settings));
        assert_eq!(finished.code, Some(2), "{settings}: {}", finished.stderr);
        let [Event::Error { message }] = finished.events.as_slice() else {
            panic!("{settings}: {:?}", finished.events)
        };
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_throttle_holds_in_every_variant() {
    for settings in [json!({ "parse": "thread" }), json!({ "event_loop": "uvloop" })] {
        let server = Scripted::start(|_, reply| answer(reply, &["a"; 90]));
        let mut spec = with(spec(vec![agent(&server.url)]), &settings);
        spec.throttle = Some(60.0);
        let rate = rate(&record(spec).calls[0]);
        assert!((59.4..=60.6).contains(&rate), "{rate} with {settings}");
    }
}

#[test]
fn processes_of_agents_leave_one_record_and_start_together() {
    let server = Scripted::start(|request, reply| {
        if request.headers["x-request-id"].starts_with("run-1/slow/0") {
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        answer(reply, &["a", "b"]);
    });
    let agents = ["quick", "slow"].map(|name| {
        let mut agent = agent(&server.url);
        name.clone_into(&mut agent.name);
        let mut warm = agent.calls[0].clone();
        warm.warmup = true;
        agent.calls.insert(0, warm);
        agent
    });
    let mut spec = with(spec(agents.to_vec()), &json!({ "processes": "agent" }));
    spec.probes.chunks = true;
    spec.probes.loop_lag_ns = Some(1_000_000);
    spec.probes.idle_ns = Some(50_000_000);
    let finished = run(spec);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let record = finished.record.as_ref().unwrap();
    assert_eq!(record.calls.len(), 4);
    assert!(record.calls.is_sorted_by_key(|call| call.start_ns));
    let warm = record.calls.iter().filter(|call| call.warmup).map(|call| call.end_ns).max();
    let measured: Vec<u64> =
        record.calls.iter().filter(|call| !call.warmup).map(|call| call.start_ns).collect();
    assert!(measured.iter().all(|start| *start >= warm.unwrap()), "{measured:?}");
    assert!(measured[1] - measured[0] < 50_000_000, "{measured:?}");
    let idle = record.idle.unwrap();
    assert!(idle.end_ns <= record.calls[0].start_ns);
    let rows = |file: &str| {
        std::fs::read_to_string(finished.dir.path().join(file)).unwrap().lines().count() - 1
    };
    assert_eq!(rows(CHUNK_FILE), 12);
    assert!(rows(LOOP_LAG_FILE) > 100);
    let lags = metrics::lag::read(&finished.dir.path().join(LOOP_LAG_FILE)).unwrap().unwrap();
    assert!(lags.is_sorted_by_key(|sample| sample.time_ns));
    let loops = metrics::lag::loops(&lags);
    let names: Vec<_> = loops.iter().map(|own| own.agent).collect();
    assert_eq!(names, [Some("quick"), Some("slow")]);
    assert!(loops.iter().all(|own| own.samples.len() > 50), "{loops:?}");
    assert_eq!(finished.response("slow", 1), "ab");
    let names = finished.events.iter().filter(|event| matches!(event, Event::CallFinished { .. }));
    assert_eq!(names.count(), 4);
    assert_eq!(record.runtime.name, runtime::NAME);
}

/// The end of a body comes late and at the moment at which it is no longer waited for, since the loop
/// was blocked: httpcore is then interrupted while it closes.
#[test]
fn a_call_whose_end_came_too_late_does_not_hold_up_the_next() {
    let server = Scripted::start(|request, reply| {
        let blocks = request.headers["x-request-id"].starts_with("run-1/blocking/");
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        if blocks {
            std::thread::sleep(std::time::Duration::from_millis(100));
            reply.chunk(line("block"));
        }
        reply.chunk(last(1));
        std::thread::sleep(std::time::Duration::from_millis(250));
        reply.end();
    });
    let folder = tempfile::tempdir().unwrap();
    let blocking = runtime::changed(
        folder.path(),
        "payload.py",
        "    return lambda payload: decode(payload.decode())",
        "    import time\n    return lambda payload: (b\"block\" in payload and time.sleep(0.4), \
         decode(payload.decode()))[1]",
    );
    let mut command = blocking.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let agents = ["blocking", "late", "later"].map(|name| {
        let mut agent = agent(&server.url);
        name.clone_into(&mut agent.name);
        agent.calls.push(agent.calls[0].clone());
        agent
    });
    let mut spec = spec(agents.to_vec());
    spec.timeout_ns = 3_000_000_000;
    let record = run_with(command, spec).record.unwrap();
    let outcomes: Vec<_> =
        record.calls.iter().map(|call| (&call.agent, call.outcome, &call.error)).collect();
    assert!(outcomes.iter().all(|(_, outcome, _)| *outcome == Outcome::Ok), "{outcomes:?}");
    assert_eq!(outcomes.len(), 6);
}
