use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use formats::clock::monotonic_ns;
use formats::pacing::{JitterShape, Pacing};
use formats::sends::{self, Send};
use serde_json::json;
use simulator::schedule;

use crate::client::{PROTOCOLS, ask, connect, generate, get, post, read};
use crate::{COMPLETIONS, GENERATE, OLLAMA_CHAT, pacing, start};

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
fn a_request_is_read_when_its_last_byte_is() {
    let server = start(pacing());
    for protocol in &PROTOCOLS {
        let request = protocol.call("r", true);
        let (most, last) = request.split_at(request.len() - 1);
        let mut stream = connect(&server);
        stream.write_all(most.as_bytes()).unwrap();
        let before_ns = monotonic_ns();
        stream.write_all(last.as_bytes()).unwrap();
        read(&mut stream).unwrap();
        let sends = server.take_sends("r");
        let read_ns = sends[0].request_read_ns.unwrap();
        assert!(before_ns < read_ns && read_ns <= sends[0].time_ns, "{}", protocol.path);
        assert!(sends.iter().all(|send| send.request_read_ns == Some(read_ns)));
        if cfg!(target_os = "linux") {
            // The kernel's clock is the time of day, whose distance is known to microseconds.
            let arrived_ns = sends[0].request_arrived_ns.unwrap();
            let since = before_ns - 50_000..read_ns + 50_000;
            assert!(since.contains(&arrived_ns), "{arrived_ns} in {since:?}, {}", protocol.path);
        }
    }
    // Of what is no request nobody can say when it was read.
    ask(&server, "nonsense\r\n\r\n");
    let refused = server.take_sends("");
    assert_eq!((refused.len(), refused[0].request_read_ns), (1, None));
    assert_eq!(refused[0].request_arrived_ns, None);
}

#[test]
fn every_protocol_keeps_to_the_schedule() {
    let pacing = Pacing { tokens_per_chunk: 3, jitter: Duration::from_millis(1), ..pacing() };
    let server = start(pacing.clone());
    for protocol in &PROTOCOLS {
        let name = format!("run{}/1", protocol.path);
        ask(&server, &protocol.call(&name, true));
        let sends = server.take_sends(&name);
        let tokens: Vec<_> = sends.iter().map(|send| send.tokens).collect();
        assert_eq!(tokens, [0, 3, 3, 3, 1, 0], "{name}");
        assert!(sends.is_sorted_by_key(|send| send.time_ns));
        assert_never_early(&pacing, &sends);
    }
}

/// Every text of one request was sent at its time or after it.
fn assert_never_early(pacing: &Pacing, sends: &[Send]) {
    let name = &sends[0].request;
    let read_ns = sends[0].request_read_ns.unwrap();
    let texts = sends.iter().filter(|send| send.tokens > 0);
    for (send, offset_ns) in texts.zip(schedule(pacing, name)) {
        assert!(send.time_ns >= read_ns + offset_ns, "{name}: chunk {} is early", send.index);
    }
}

#[test]
fn the_log_tells_sixty_four_parallel_requests_apart() {
    let pacing = Pacing { jitter: Duration::from_millis(1), ..pacing() };
    let server = start(pacing.clone());
    let before_ns = monotonic_ns();
    let bytes: BTreeMap<String, usize> = std::thread::scope(|scope| {
        let ask_as = |n: usize| {
            let (server, name) = (&server, format!("run/agent-{n}/1"));
            let protocol = &PROTOCOLS[n % PROTOCOLS.len()];
            scope.spawn(move || {
                let answer = ask(server, &protocol.call(&name, true));
                (name, answer.bytes)
            })
        };
        let clients: Vec<_> = (0..64).map(ask_as).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });

    // As a reader of the file finds it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(sends::SENDS_FILE);
    sends::write(&path, &server.take_sends("run/")).unwrap();
    let log = sends::read(&path).unwrap();
    assert!(log.is_sorted_by_key(|send| send.time_ns));
    let mut requests: BTreeMap<String, Vec<Send>> = BTreeMap::new();
    for send in log {
        requests.entry(send.request.clone()).or_default().push(send);
    }
    assert_eq!(requests.len(), 64);
    for (name, sends) in &requests {
        let indices: Vec<_> = sends.iter().map(|send| send.index).collect();
        assert_eq!(indices, (0..12).collect::<Vec<_>>(), "{name}");
        assert_eq!(sends.iter().map(|send| send.bytes as usize).sum::<usize>(), bytes[name]);
        let read_ns = sends[0].request_read_ns.unwrap();
        assert!(before_ns < read_ns && read_ns <= sends[0].time_ns, "{name}");
        assert!(sends.iter().all(|send| send.request_read_ns == Some(read_ns)), "{name}");
        assert_never_early(&pacing, sends);
    }
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
    for path in [GENERATE, OLLAMA_CHAT] {
        let unload = post(&server, path, &json!({ "model": "m", "keep_alive": 0 })).json();
        assert_eq!(unload["done_reason"], "unload");
        assert_eq!(get(&server, "/api/ps").json()["models"], json!([]));
        let began = Instant::now();
        let load = post(&server, path, &json!({ "model": "m" })).json();
        assert_eq!(load["done_reason"], "load");
        assert!(began.elapsed() >= Duration::from_millis(60));
    }
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
