//! `rechunk` and `batch`: when pieces of an answer reach the decoder. The reads stay as they are.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use formats::endpoint::Api;
use formats::pacing::{JitterShape, Pacing};
use formats::protocol::{AgentSpec, CHUNK_FILE, CallRecord, Outcome, Spec};
use serde_json::{Value, json};
use simulator::Server;

use crate::answers::{NDJSON, answer, last, line};
use crate::process::{agent, run, spec};
use crate::scripted::Scripted;

/// Lines in writes of their own, so far apart.
fn lines(count: u64, apart: Duration) -> Scripted {
    Scripted::start(move |_, reply| {
        reply.head(200, NDJSON);
        for _ in 0..count {
            reply.chunk(line("x"));
            thread::sleep(apart);
        }
        reply.chunk(last(count));
        reply.end();
    })
}

fn with(agents: Vec<AgentSpec>, settings: &Value) -> Spec {
    let settings = settings.as_object().unwrap();
    let variant = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Spec { variant, ..spec(agents) }
}

#[test]
fn rechunk_holds_bytes_back_and_leaves_the_reads_alone() {
    let server = lines(10, Duration::from_millis(20));
    let call = |settings: &Value, read_buffer| {
        let mut spec = with(vec![agent(&server.url)], settings);
        spec.read_buffer = read_buffer;
        let finished = run(spec);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.call().clone()
    };
    let distinct = |offsets: &[u64]| offsets.iter().collect::<BTreeSet<_>>().len();
    let plain = call(&json!({}), None);
    assert_eq!(distinct(&plain.text_offsets_ns), 10, "each line by itself");

    // Three lines fit, so they come together, although the socket was read as often.
    let held = call(&json!({ "rechunk": 3 * line("x").len() }), None);
    assert!(distinct(&held.text_offsets_ns) <= 4, "{:?}", held.text_offsets_ns);
    // The first line follows the headers at once, the third 40 ms later.
    let first_after_headers =
        |call: &CallRecord| call.start_ns + call.text_offsets_ns[0] - call.headers_ns.unwrap();
    let (at_once, later) = (first_after_headers(&plain), first_after_headers(&held));
    assert!(at_once < 20_000_000 && later > 30_000_000, "{at_once} {later}");
    assert!(held.reads.unwrap().abs_diff(plain.reads.unwrap()) <= 2);

    // A small read buffer makes more and smaller reads, and holds nothing back.
    let small = call(&json!({}), Some(16));
    assert_eq!(small.largest_read, Some(16));
    assert!(small.reads.unwrap() > 2 * plain.reads.unwrap());
    assert_eq!(distinct(&small.text_offsets_ns), 10);
    assert!(first_after_headers(&small) < 20_000_000);
}

#[test]
fn a_batch_hands_chunks_over_at_its_ticks() {
    let server = lines(100, Duration::from_millis(5));
    let mut spec = with(vec![agent(&server.url)], &json!({ "batch": 0.05 }));
    spec.probes.chunks = true;
    let finished = run(spec);
    let offsets = &finished.call().text_offsets_ns;
    let jumps = offsets.windows(2).filter(|pair| pair[1] - pair[0] > 30_000_000).count();
    assert!((8..=13).contains(&jumps), "{jumps} ticks in about half a second");
    // The reads went on between the ticks.
    let table = std::fs::read_to_string(finished.dir.path().join(CHUNK_FILE)).unwrap();
    let reads: Vec<u64> =
        table.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
    let gaps: Vec<u64> = reads.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap < 25_000_000), "{gaps:?}");
}

#[test]
fn pieces_change_neither_text_nor_outcome() {
    let texts: Vec<String> = (0..200).map(|number| format!("Grüße {number} 日本, ")).collect();
    let whole = texts.concat();
    let server = Scripted::start(move |_, reply| {
        answer(reply, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    });
    for settings in [
        json!({ "rechunk": 1 }),
        json!({ "rechunk": 777 }),
        json!({ "rechunk": 1_000_000 }),
        json!({ "batch": 0.02 }),
        json!({ "batch": 0.02, "rechunk": 100 }),
    ] {
        let finished = run(with(vec![agent(&server.url)], &settings));
        let call = finished.call();
        assert_eq!((call.outcome, call.text_offsets_ns.len()), (Outcome::Ok, 200), "{settings}");
        assert!(call.text_offsets_ns.is_sorted(), "{settings}");
        assert_eq!(finished.response("a", 0), whole, "{settings}");
    }
}

#[test]
fn pieces_that_are_held_do_not_hide_a_broken_answer() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("x"));
        thread::sleep(Duration::from_millis(30));
    });
    let finished = run(with(vec![agent(&server.url)], &json!({ "batch": 0.05 })));
    let call = finished.call();
    assert_eq!((call.outcome, call.text_offsets_ns.len()), (Outcome::Truncated, 1));
}

/// Chunks come one by one, faster than they may be taken.
#[test]
fn a_throttle_of_60_on_a_paced_stream_of_100_takes_60_whatever_the_pieces() {
    let pacing = Pacing {
        protocol: Api::Ollama,
        ttft: Duration::from_millis(30),
        rate: 100.0,
        gaps: Vec::new(),
        jitter: Duration::ZERO,
        jitter_shape: JitterShape::Uniform,
        seed: 1,
        tokens_per_chunk: 1,
        tokens: None,
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    };
    let server = Server::start(pacing, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let settings = [json!({}), json!({ "batch": 0.05 }), json!({ "rechunk": 300 })];
    thread::scope(|scope| {
        for settings in &settings {
            let mut agent = agent(&server.base_url());
            agent.max_tokens = Some(180);
            let spec = Spec { throttle: Some(60.0), ..with(vec![agent], settings) };
            scope.spawn(move || {
                let finished = run(spec);
                let offsets = &finished.call().text_offsets_ns;
                let rate = 179.0 / ((offsets[179] - offsets[0]) as f64 / 1e9);
                assert!((59.4..=60.6).contains(&rate), "{rate} with {settings}");
            });
        }
    });
}

/// A line whose end is that of the answer.
#[test]
fn a_throttle_holds_for_a_last_line_without_its_end() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.chunk(last(2).trim_end().replace("\"response\":\"\"", "\"response\":\"b\""));
        reply.end();
    });
    let finished = run(Spec { throttle: Some(5.0), ..spec(vec![agent(&server.url)]) });
    let offsets = &finished.call().text_offsets_ns;
    assert_eq!((finished.call().outcome, offsets.len()), (Outcome::Ok, 2));
    assert!(offsets[1] - offsets[0] > 190_000_000, "{offsets:?}");
}

#[test]
fn a_throttle_holds_whatever_the_pieces() {
    for settings in [json!({ "batch": 0.02 }), json!({ "rechunk": 500 })] {
        let server = Scripted::start(|_, reply| answer(reply, &["a"; 90]));
        let finished =
            run(Spec { throttle: Some(60.0), ..with(vec![agent(&server.url)], &settings) });
        let offsets = &finished.call().text_offsets_ns;
        let rate = 89.0 / ((offsets[89] - offsets[0]) as f64 / 1e9);
        assert!((59.4..=60.6).contains(&rate), "{rate} with {settings}");
    }
}
