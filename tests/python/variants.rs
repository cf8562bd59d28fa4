//! The factors that change the runtime do so for real.

use std::collections::BTreeSet;

use runner::agent::protocol::{AgentRecord, CHUNK_FILE, Event, LOOP_LAG_FILE, Outcome, Spec};
use serde_json::{Value, json};

use crate::accuracy::{paced, rate, streams};
use crate::answers::{NDJSON, answer, last, line};
use crate::process::{agent, run, spec};
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

/// Ten lines in ten writes, 20 ms apart.
fn ten_lines() -> Scripted {
    Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        for _ in 0..10 {
            reply.chunk(line("x"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        reply.chunk(last(10));
        reply.end();
    })
}

#[test]
fn rechunk_holds_bytes_back_and_leaves_the_reads_alone() {
    let server = ten_lines();
    let call = |settings: &Value, read_buffer| {
        let mut spec = with(spec(vec![agent(&server.url)]), settings);
        spec.read_buffer = read_buffer;
        record(spec).calls.remove(0)
    };
    let distinct = |offsets: &[u64]| offsets.iter().collect::<BTreeSet<_>>().len();
    let plain = call(&json!({}), None);
    assert_eq!(distinct(&plain.text_offsets_ns), 10, "each line by itself");

    // Three lines fit, so they come together, although the socket was read as often.
    let held = call(&json!({ "rechunk": 3 * line("x").len() }), None);
    assert!(distinct(&held.text_offsets_ns) <= 4, "{:?}", held.text_offsets_ns);
    assert!(held.text_offsets_ns[0] > plain.text_offsets_ns[0] + 30_000_000);
    assert!(held.reads.unwrap().abs_diff(plain.reads.unwrap()) <= 2);

    // A small read buffer makes more and smaller reads, and holds nothing back.
    let small = call(&json!({}), Some(16));
    assert_eq!(small.largest_read, Some(16));
    assert!(small.reads.unwrap() > 2 * plain.reads.unwrap());
    assert_eq!(distinct(&small.text_offsets_ns), 10);
    assert!(small.text_offsets_ns[0] < 15_000_000);
}

#[test]
fn a_batch_hands_chunks_over_at_its_ticks() {
    let server = paced(200.0);
    let mut spec = with(streams(&server, 1, 100), &json!({ "batch": 0.05 }));
    spec.probes.chunks = true;
    let finished = run(spec);
    let offsets = &finished.call().text_offsets_ns;
    let jumps = offsets.windows(2).filter(|pair| pair[1] - pair[0] > 30_000_000).count();
    assert!((8..=11).contains(&jumps), "{jumps} ticks in half a second");
    // The reads went on between the ticks.
    let table = std::fs::read_to_string(finished.dir.path().join(CHUNK_FILE)).unwrap();
    let reads: Vec<u64> =
        table.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
    let gaps: Vec<u64> = reads.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap < 25_000_000), "{gaps:?}");
}

#[test]
fn a_throttle_holds_in_every_variant() {
    for settings in
        [json!({ "batch": 0.02 }), json!({ "event_loop": "uvloop" }), json!({ "rechunk": 500 })]
    {
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
    assert_eq!(finished.response("slow", 1), "ab");
    let names = finished.events.iter().filter(|event| matches!(event, Event::CallFinished { .. }));
    assert_eq!(names.count(), 4);
    assert_eq!(record.runtime.name, runtime::NAME);
}
