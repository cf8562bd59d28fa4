use std::time::{Duration, Instant};

use runner::manifest::study::{JitterShape, Pacing};
use runner::os::monotonic_ns;
use runner::simulator::schedule;
use runner::simulator::sends::Send;
use serde_json::json;

use crate::client::{ask, generate, get, post};
use crate::{COMPLETIONS, GENERATE, pacing, start};

#[test]
fn the_log_holds_every_byte_of_every_answer() {
    let server = start(Pacing { tokens_per_chunk: 3, ..pacing() });
    let before = monotonic_ns();
    let answer = ask(&server, &generate("run-1/collector/1", true));
    let after = monotonic_ns();
    ask(&server, &generate("run-2/collector/1", true));

    let sends = server.take_sends("run-1/");
    assert_eq!(sends.iter().map(|send| send.tokens).collect::<Vec<_>>(), [0, 3, 3, 3, 1, 0]);
    assert_eq!(sends.iter().map(|send| send.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(sends.iter().map(|send| send.bytes as usize).sum::<usize>(), answer.bytes);
    assert!(sends.iter().all(|send| send.request == "run-1/collector/1"));
    assert!(sends.is_sorted_by_key(|send| send.time_ns));
    assert!(before < sends[0].time_ns && sends[5].time_ns < after);
    assert_eq!(server.take_sends("run-1/"), [], "they were taken");
    assert_eq!(server.take_sends("run-2/").len(), 6, "the others were not");
}

#[test]
fn requests_without_a_name_are_numbered() {
    let server = start(pacing());
    get(&server, "/api/version");
    post(&server, COMPLETIONS, &json!({ "model": "m", "prompt": "p" }));
    let names: Vec<_> = server.take_sends("#").into_iter().map(|send| send.request).collect();
    assert_eq!(names, ["#1", "#2"]);
}

#[test]
fn sends_keep_to_the_schedule() {
    let pacing = Pacing {
        ttft: Duration::from_millis(20),
        rate: 200.0,
        jitter: Duration::from_millis(2),
        jitter_shape: JitterShape::Normal,
        tokens: Some(60),
        ..pacing()
    };
    let server = start(pacing.clone());
    let asked_ns = monotonic_ns();
    ask(&server, &generate("run/a/1", true));
    let sends = server.take_sends("run/a/1");
    let texts: Vec<_> = sends.iter().filter(|send| send.tokens > 0).collect();
    assert_eq!(texts.len(), 60);
    let late_ms = |start_ns: u64| -> Vec<f64> {
        let due_ns = schedule(&pacing, "run/a/1").map(|offset| start_ns + offset);
        let late = |(send, due_ns): (&&Send, u64)| send.time_ns as f64 - due_ns as f64;
        texts.iter().zip(due_ns).map(late).map(|late| late / 1e6).collect()
    };
    let since_asked = late_ms(asked_ns);
    assert!(since_asked.iter().all(|late| *late >= 0.0), "sent before its time: {since_asked:?}");
    // The head leaves when the request has arrived. A busy machine delays single sends after it;
    // only a schedule that drifts delays all of the last ones.
    let since_head = late_ms(sends[0].time_ns);
    let best = since_head[40..].iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best < 2.0, "the end of the answer is late: {since_head:?}");
}

#[test]
fn only_the_first_call_loads_the_model() {
    let server = start(Pacing { load: Duration::from_millis(60), ..pacing() });
    let first = ask(&server, &generate("1", true)).lines().pop().unwrap();
    assert_eq!(first["load_duration"], 60_000_000);
    assert!(first["total_duration"].as_u64().unwrap() >= 74_000_000, "{first}");
    let second = ask(&server, &generate("2", true)).lines().pop().unwrap();
    assert_eq!(second.get("load_duration"), None);

    // A request without a prompt unloads, another loads.
    let unload = post(&server, GENERATE, &json!({ "model": "m", "keep_alive": 0 })).json();
    assert_eq!(unload["done_reason"], "unload");
    let began = Instant::now();
    let load = post(&server, GENERATE, &json!({ "model": "m" })).json();
    assert_eq!(load["done_reason"], "load");
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[test]
fn calls_beyond_the_slots_wait_for_their_turn() {
    let server = start(Pacing { slots: Some(1), ttft: Duration::from_millis(20), ..pacing() });
    std::thread::scope(|scope| {
        for name in ["q/1", "q/2", "q/3"] {
            let server = &server;
            scope.spawn(move || ask(server, &generate(name, true)));
        }
    });
    let sends = server.take_sends("q/");
    let mut order: Vec<_> = sends.iter().map(|send| send.request.clone()).collect();
    order.dedup();
    assert_eq!(order.len(), 3, "answers overlap: {order:?}");
    let took_ns = sends.last().unwrap().time_ns - sends[0].time_ns;
    assert!(took_ns >= 80_000_000, "{took_ns}");
}
