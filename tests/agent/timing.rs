//! When calls start, when chunks are taken, how large the reads are.

use std::thread;
use std::time::Duration;

use formats::protocol::{CallSpec, Outcome};

use crate::answers::{NDJSON, answer, line};
use crate::process::{agent, run, spec};
use crate::scripted::Scripted;

#[test]
fn measured_calls_of_all_agents_start_when_the_last_warm_up_has_ended() {
    let server = Scripted::start(|request, reply| {
        if request.headers["x-request-id"].starts_with("run-1/slow/") {
            thread::sleep(Duration::from_millis(150));
        }
        answer(reply, &["a"]);
    });
    let agents = ["quick", "slow", "idle"].map(|name| {
        let mut agent = agent(&server.url);
        name.clone_into(&mut agent.name);
        let warm = CallSpec { prompt: "w".to_owned(), warmup: true, stage: None };
        agent.calls.insert(0, warm);
        if name == "idle" {
            agent.calls.clear();
        }
        agent
    });
    let record = run(spec(agents.to_vec())).record.unwrap();
    let last_warm_up = record.calls.iter().filter(|call| call.warmup).map(|call| call.end_ns).max();
    let starts: Vec<u64> =
        record.calls.iter().filter(|call| !call.warmup).map(|call| call.start_ns).collect();
    assert_eq!(starts.len(), 2);
    assert!(starts.iter().all(|&start| start >= last_warm_up.unwrap()));
    assert!(starts[1] - starts[0] < 100_000_000, "{starts:?}");
    assert!(record.calls.is_sorted_by_key(|call| call.start_ns));
}

#[test]
fn a_throttle_takes_chunks_at_its_rate_and_not_faster() {
    let server = Scripted::start(|_, reply| answer(reply, &["a"; 90]));
    let mut spec = spec(vec![agent(&server.url)]);
    spec.throttle = Some(60.0);
    let finished = run(spec);
    let offsets = &finished.call().text_offsets_ns;
    assert_eq!(offsets.len(), 90);
    let seconds = (offsets[89] - offsets[0]) as f64 / 1e9;
    let rate = 89.0 / seconds;
    assert!((59.4..=60.6).contains(&rate), "{rate} chunks per second");
}

#[test]
fn a_throttled_agent_leaves_the_rest_in_the_socket() {
    let piece = line(&"x".repeat(60_000));
    let server = Scripted::start(move |_, reply| {
        reply.head(200, NDJSON);
        for _ in 0..400 {
            if !reply.chunk(&piece) {
                return;
            }
        }
    });
    let mut spec = spec(vec![agent(&server.url)]);
    spec.throttle = Some(10.0);
    spec.timeout_ns = 500_000_000;
    let finished = run(spec);
    let call = finished.call();
    assert_eq!(call.outcome, Outcome::Timeout);
    assert!(call.text_offsets_ns.len() <= 6);
    assert!(call.bytes < 1_000_000, "{} bytes were read ahead", call.bytes);
}

#[test]
fn the_read_buffer_is_the_size_of_the_reads() {
    let texts = ["x".repeat(100_000)];
    let server = Scripted::start(move |_, reply| answer(reply, &[texts[0].as_str()]));
    let of = |read_buffer| {
        let mut spec = spec(vec![agent(&server.url)]);
        spec.read_buffer = read_buffer;
        let finished = run(spec);
        assert_eq!(finished.call().outcome, Outcome::Ok, "{:?}", finished.call().error);
        let call = finished.call();
        (call.reads.unwrap(), call.largest_read.unwrap(), call.bytes)
    };
    let (reads, largest, bytes) = of(Some(512));
    assert_eq!(largest, 512);
    assert!(reads >= bytes / 512, "{reads} reads of {bytes} bytes");
    let (default_reads, default_largest, _) = of(None);
    assert!(default_reads < reads / 4, "{default_reads} reads");
    assert!((513..=65536).contains(&default_largest), "{default_largest}");
}

#[test]
fn first_tokens_are_timed_within_a_millisecond_of_their_send() {
    let server = Scripted::start(|_, reply| {
        thread::sleep(Duration::from_millis(5));
        answer(reply, &["a"]);
    });
    let mut agent = agent(&server.url);
    agent.calls = vec![agent.calls[0].clone(); 21];
    let record = run(spec(vec![agent])).record.unwrap();
    let sends = server.sends.lock().unwrap();
    assert_eq!(sends.len(), 42, "two chunks per call");
    let mut errors: Vec<u64> = (record.calls.iter())
        .zip(sends.chunks(2))
        .map(|(call, sends)| (call.start_ns + call.text_offsets_ns[0]).abs_diff(sends[0]))
        .collect();
    errors.sort_unstable();
    assert!(errors[10] < 1_000_000, "median {} ns of {errors:?}", errors[10]);
}
