//! The Rust runtime as a process, against servers that do what they should and what they should not.

#[path = "support/process.rs"]
mod process;
#[path = "support/scripted.rs"]
mod scripted;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::{Duration, Instant};

use process::{Finished, agent, command, finished, run, run_with, spec, start};
use runner::agent::protocol::{
    AgentRecord, Api, CHUNK_COLUMNS, CHUNK_FILE, CallSpec, Event, Outcome, ServerCounts,
};
use scripted::{Reply, Request, Scripted};
use serde_json::json;

const NDJSON: &str = "application/x-ndjson";

fn line(text: &str) -> String {
    format!("{}\n", json!({ "model": "m", "response": text, "done": false }))
}

fn last(tokens: u64) -> String {
    let counts = json!({
        "model": "m", "response": "", "done": true, "done_reason": "stop", "eval_count": tokens,
        "eval_duration": 1_000_000, "prompt_eval_count": 5, "total_duration": 9_000_000,
    });
    format!("{counts}\n")
}

/// A well-behaved answer of these texts.
fn answer(reply: &mut Reply<'_>, texts: &[&str]) {
    reply.head(200, NDJSON);
    for text in texts {
        reply.chunk(line(text));
    }
    reply.chunk(last(texts.len() as u64));
    reply.end();
}

fn one_call(script: impl Fn(&Request, &mut Reply<'_>) + Send + Sync + 'static) -> Finished {
    let server = Scripted::start(script);
    run(spec(vec![agent(&server.url)]))
}

/// A call that failed: recorded, and the process did its duty.
fn assert_failed(finished: &Finished, outcome: Outcome, words: &str) {
    let call = finished.call();
    assert_eq!(call.outcome, outcome, "{:?}", call.error);
    let error = call.error.as_deref().unwrap();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(call.end_ns >= call.start_ns);
}

#[test]
fn a_call_is_recorded_with_text_times_and_the_servers_counts() {
    let finished = one_call(|_, reply| answer(reply, &["", "Grüße ", "日本", "!"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let call = finished.call();
    assert_eq!(call.outcome, Outcome::Ok);
    assert_eq!((call.chunks, call.text_offsets_ns.len()), (5, 3), "an empty chunk is no token");
    let counts = ServerCounts {
        total_ns: Some(9_000_000),
        prompt_tokens: Some(5),
        tokens: Some(4),
        decode_ns: Some(1_000_000),
        ..ServerCounts::default()
    };
    assert_eq!(call.server, counts);
    assert_eq!((call.http_status, call.finish_reason.as_deref()), (Some(200), Some("stop")));
    let headers = call.headers_ns.unwrap();
    assert!(call.start_ns < headers && headers <= call.start_ns + call.text_offsets_ns[0]);
    assert!(call.text_offsets_ns.is_sorted());
    assert!(call.end_ns >= call.start_ns + call.text_offsets_ns[2]);
    assert!(call.bytes > 400 && call.reads.unwrap() > 0);
    assert_eq!(finished.response("a", 0), "Grüße 日本!");
    let names: Vec<&str> = finished
        .events
        .iter()
        .map(|event| match event {
            Event::Ready { protocol: 1, runtime, .. } if runtime.name == "rust" => "ready",
            Event::CallStarted { agent, call: 0, warmup: false, .. } if agent == "a" => "started",
            Event::FirstToken { .. } => "first",
            Event::CallFinished { outcome: Outcome::Ok, tokens: Some(4), .. } => "finished",
            Event::Done { .. } => "done",
            _ => "unexpected",
        })
        .collect();
    assert_eq!(names, ["ready", "started", "first", "finished", "done"]);
}

#[test]
fn chat_and_completions_are_asked_and_read_in_their_own_words() {
    let server = Scripted::start(|request, reply| {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["stream_options"]["include_usage"], true);
        reply.head(200, "text/event-stream");
        let choice = |text: &str, reason: Option<&str>| match request.path.as_str() {
            "/v1/chat/completions" => {
                json!({ "delta": { "content": text }, "finish_reason": reason })
            }
            "/v1/completions" => json!({ "text": text, "finish_reason": reason }),
            other => panic!("{other}"),
        };
        for (text, reason) in [("a", None), ("b", Some("length"))] {
            reply.chunk(format!("data: {}\n\n", json!({ "choices": [choice(text, reason)] })));
        }
        let usage =
            json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } });
        reply.chunk(format!(": ping\n\ndata: {usage}\n\n"));
        reply.chunk("data: [DONE]\n\n");
        reply.end();
    });
    for api in [Api::OpenaiChat, Api::OpenaiCompletions] {
        let mut agent = agent(&format!("{}/v1", server.url));
        agent.api = api;
        let finished = run(spec(vec![agent]));
        let call = finished.call();
        assert_eq!(call.outcome, Outcome::Length, "{:?}", call.error);
        assert_eq!((call.server.tokens, call.server.prompt_tokens), (Some(2), Some(3)));
        assert_eq!(finished.response("a", 0), "ab");
    }
}

#[test]
fn errors_before_the_stream_keep_the_servers_words_and_the_connection() {
    let server = Scripted::start(|request, reply| {
        if request.body.contains("missing") {
            reply.whole(404, r#"{"error":"model 'm' not found"}"#);
        } else {
            reply.whole(503, r#"{"error":{"message":"server busy"}}"#);
        }
    });
    let mut agent = agent(&server.url);
    let call = |prompt: &str| CallSpec { prompt: prompt.to_owned(), warmup: false };
    agent.calls = vec![call("missing"), call("busy")];
    let finished = run(spec(vec![agent]));
    let record = finished.record.unwrap();
    let seen: Vec<_> = record
        .calls
        .iter()
        .map(|call| (call.outcome, call.http_status, call.error.as_deref().unwrap()))
        .collect();
    let expected = [
        (Outcome::HttpError, Some(404), "model 'm' not found"),
        (Outcome::HttpError, Some(503), "server busy"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(finished.code, Some(0));
    assert_eq!(server.requests.lock().unwrap()[1].connection, 0);
}

#[test]
fn an_error_inside_the_stream_is_its_own_outcome() {
    let finished = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.chunk("{\"error\":\"out of memory\"}\n");
        reply.end();
    });
    assert_failed(&finished, Outcome::InBandError, "out of memory");
    assert_eq!(finished.call().text_offsets_ns.len(), 1);
}

#[test]
fn a_stream_cut_before_its_last_record_is_truncated_however_it_is_cut() {
    let properly = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.end();
    });
    assert_failed(&properly, Outcome::Truncated, "last record");
    let hard = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.chunk("{\"response\":\"b");
    });
    assert_failed(&hard, Outcome::Truncated, "connection");
    assert_eq!(hard.call().chunks, 1);
    let without_framing = one_call(|_, reply| {
        reply.raw("HTTP/1.1 200 OK\r\n\r\n");
        reply.raw(line("a"));
    });
    assert_failed(&without_framing, Outcome::Truncated, "last record");
}

#[test]
fn streams_that_break_the_protocol_are_malformed() {
    let not_json = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk("<html>\n");
        reply.chunk(last(0));
        reply.end();
    });
    assert_failed(&not_json, Outcome::Malformed, "<html>");
    let not_utf8 = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(b"{\"response\":\"\xf0\x9f\"}\n");
        reply.end();
    });
    assert_failed(&not_utf8, Outcome::Malformed, "UTF-8");
    let not_http = one_call(|_, reply| reply.raw("220 smtp ready\r\n\r\n"));
    assert_failed(&not_http, Outcome::Malformed, "HTTP");
    let no_chunk_size = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.raw("zzz\r\n");
        reply.wait_for_client_to_leave();
    });
    assert_failed(&no_chunk_size, Outcome::Malformed, "chunk");
}

#[test]
fn a_character_cut_by_the_transport_is_whole_again() {
    let finished = one_call(|_, reply| {
        reply.head(200, NDJSON);
        let line = line("😀é");
        let cut = line.find('😀').unwrap() + 2;
        reply.chunk(&line.as_bytes()[..cut]);
        reply.chunk(&line.as_bytes()[cut..]);
        reply.chunk(last(1));
        reply.end();
    });
    assert_eq!(finished.call().outcome, Outcome::Ok);
    assert_eq!(finished.response("a", 0), "😀é");
}

#[test]
fn a_line_of_50_mb_ends_the_call_and_not_the_process() {
    let finished = one_call(|_, reply| {
        reply.head(200, NDJSON);
        let piece = vec![b'a'; 1024 * 1024];
        reply.chunk("{\"response\":\"");
        for _ in 0..50 {
            if !reply.chunk(&piece) {
                return;
            }
        }
        reply.chunk("\"}\n");
        reply.end();
    });
    assert_failed(&finished, Outcome::Malformed, "longer than");
    assert!(finished.call().bytes < 30 * 1024 * 1024, "it was not read to its end");
}

#[test]
fn a_response_that_never_ends_times_out_whether_it_floods_or_sleeps() {
    for flood in [false, true] {
        let server = Scripted::start(move |_, reply| {
            reply.head(200, NDJSON);
            reply.chunk(line("a"));
            let many = line("a").repeat(500);
            while flood && reply.chunk(&many) {}
            reply.wait_for_client_to_leave();
        });
        let mut spec = spec(vec![agent(&server.url)]);
        spec.timeout_ns = 200_000_000;
        let started = Instant::now();
        let finished = run(spec);
        assert_failed(&finished, Outcome::Timeout, "0.2 s");
        let call = finished.call();
        let lasted = call.end_ns - call.start_ns;
        assert!((200_000_000..1_000_000_000).contains(&lasted), "{lasted}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn no_server_is_a_connect_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let refused = run(spec(vec![agent(&url)]));
    assert_failed(&refused, Outcome::ConnectError, "cannot connect to 127.0.0.1");
    let gone = one_call(|_, _| {});
    assert_failed(&gone, Outcome::ConnectError, "connection");
    let plain = Scripted::start(|_, _| {});
    let no_tls = run(spec(vec![agent(&plain.url.replace("http:", "https:"))]));
    assert_failed(&no_tls, Outcome::ConnectError, "TLS");
}

#[test]
fn delivery_byte_by_byte_and_all_at_once_read_alike() {
    let slow = one_call(|_, reply| {
        reply.head(200, NDJSON);
        for byte in format!("{}{}{}", line("日"), line("本"), last(2)).bytes() {
            reply.chunk([byte]);
        }
        reply.end();
    });
    let fast = one_call(|_, reply| {
        let texts = format!("{}{}{}", line("日"), line("本"), last(2));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        reply.raw(format!("{head}{:x}\r\n{texts}\r\n0\r\n\r\n", texts.len()));
        reply.wait_for_client_to_leave();
    });
    for finished in [&slow, &fast] {
        let call = finished.call();
        assert_eq!((call.outcome, call.chunks), (Outcome::Ok, 3), "{:?}", call.error);
        assert_eq!(finished.response("a", 0), "日本");
    }
    let offsets = &fast.call().text_offsets_ns;
    assert_eq!(offsets[0], offsets[1], "one read brought both");
    assert_eq!(fast.call().reads, Some(1));
}

#[test]
fn a_kept_connection_is_used_again_and_a_closed_one_is_not() {
    for keeps in [true, false] {
        let server = Scripted::start(move |_, reply| {
            if keeps {
                return answer(reply, &["a"]);
            }
            // Without a length or chunks the end of the connection is the end of the answer.
            reply.raw("HTTP/1.1 200 OK\r\n\r\n");
            reply.raw(format!("{}{}", line("a"), last(1)));
        });
        let mut agent = agent(&server.url);
        let call = |warmup| CallSpec { prompt: "p".to_owned(), warmup };
        agent.calls = vec![call(true), call(false), call(false)];
        let finished = run(spec(vec![agent]));
        let record = finished.record.unwrap();
        assert!(record.calls.iter().all(|call| call.outcome == Outcome::Ok), "{record:?}");
        let connections: Vec<usize> =
            server.requests.lock().unwrap().iter().map(|request| request.connection).collect();
        assert_eq!(connections, if keeps { [0, 0, 0] } else { [0, 1, 2] });
        let warmups: Vec<bool> = record.calls.iter().map(|call| call.warmup).collect();
        assert_eq!(warmups, [true, false, false]);
        let bytes: BTreeSet<u64> = record.calls.iter().map(|call| call.bytes).collect();
        assert_eq!(bytes.len(), 1, "each call counts its own bytes");
    }
}

#[test]
fn a_kept_connection_that_dies_while_idle_is_replaced() {
    let server = Scripted::start(|request, reply| {
        answer(reply, &["a"]);
        if request.connection == 0 {
            // Promised to be kept, and closed all the same.
            reply.abandon();
        }
    });
    let mut agent = agent(&server.url);
    agent.calls.extend(agent.calls.clone());
    let record = run(spec(vec![agent])).record.unwrap();
    let outcomes: Vec<Outcome> = record.calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Ok], "{record:?}");
}

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
        let warm = CallSpec { prompt: "w".to_owned(), warmup: true };
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
    assert!(starts[1] - starts[0] < 50_000_000, "{starts:?}");
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
    let (_, large, _) = of(Some(1024 * 1024));
    assert!(large > default_largest, "{large}");
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

#[test]
fn the_chunk_probe_writes_a_row_per_chunk() {
    let server = Scripted::start(|_, reply| answer(reply, &["", "a", "b"]));
    let mut spec = spec(vec![agent(&server.url)]);
    spec.probes.chunks = true;
    let finished = run(spec);
    let table = std::fs::read_to_string(finished.dir.path().join(CHUNK_FILE)).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next().unwrap(), CHUNK_COLUMNS.join(","));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 4);
    let column = |index: usize| rows.iter().map(|row| row[index]).collect::<Vec<_>>();
    assert_eq!(column(4), ["0", "1", "2", "3"]);
    assert_eq!(column(8), ["0", "1", "1", "0"]);
    assert_eq!(rows[1][5], (line("a").len() - 1).to_string());
    assert_eq!(rows[0][6], "", "the first chunk has no gap");
    let call = finished.call();
    let taken: Vec<u64> = column(0).iter().map(|time| time.parse().unwrap()).collect();
    assert_eq!(taken[1], call.start_ns + call.text_offsets_ns[0]);
    assert!(rows.iter().all(|row| row[7].parse::<f64>().unwrap() > 0.0));
}

#[test]
fn a_reader_that_sleeps_does_not_hold_up_the_calls() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        for _ in 0..300 {
            reply.chunk(line("a"));
            thread::sleep(Duration::from_millis(2));
        }
        reply.chunk(last(300));
        reply.end();
    });
    let long = "n".repeat(200);
    let agents = (0..40).map(|index| {
        let mut agent = agent(&server.url);
        agent.name = format!("{long}-{index}");
        agent
    });
    let mut spec = spec(agents.collect());
    let dir = tempfile::tempdir().unwrap();
    spec.artifacts = dir.path().to_owned();
    // More than a pipe holds; nobody reads until the record is there.
    let mut child = start(command(), &serde_json::to_string(&spec).unwrap());
    let limit = Instant::now() + Duration::from_secs(20);
    while !dir.path().join("agent.json").exists() {
        assert!(Instant::now() < limit, "the calls wait for the reader");
        thread::sleep(Duration::from_millis(5));
    }
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(output.len() > 70_000, "{} bytes would fit into the pipe", output.len());
    assert_eq!(output.matches("call_finished").count(), 40);
    let record: AgentRecord =
        serde_json::from_slice(&std::fs::read(dir.path().join("agent.json")).unwrap()).unwrap();
    assert!(record.calls.iter().all(|call| call.outcome == Outcome::Ok));
}

#[test]
fn the_key_is_sent_and_stays_nowhere() {
    const KEY: &str = "sk-secret-4711";
    let server = Scripted::start(|_, reply| answer(reply, &["a"]));
    let mut agent = agent(&server.url);
    agent.api_key_env = Some("THE_KEY".to_owned());
    let mut with_key = command();
    with_key.env("THE_KEY", KEY);
    let done = run_with(with_key, spec(vec![agent.clone()]));
    assert_eq!(done.call().outcome, Outcome::Ok);
    let request = server.requests.lock().unwrap()[0].clone();
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers["x-request-id"], "run-1/a/0");
    assert!(!format!("{:?}{}", done.events, done.stderr).contains(KEY));
    for file in walkdir::WalkDir::new(done.dir.path()).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            let content = std::fs::read_to_string(file.path()).unwrap();
            assert!(!content.contains(KEY), "{}", file.path().display());
        }
    }

    let without = run(spec(vec![agent]));
    assert_eq!(without.code, Some(2));
    let message = "agent \"a\": the environment variable THE_KEY with its API key is not set";
    assert_eq!(without.events, [Event::Error { message: message.to_owned() }]);
    assert_eq!(server.requests.lock().unwrap().len(), 1, "nothing was asked without the key");
}

#[test]
fn specs_that_cannot_be_carried_out_are_refused_before_the_first_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut good = spec(vec![agent("http://127.0.0.1:9")]);
    good.artifacts = dir.path().to_owned();
    let good = serde_json::to_value(good).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut spec = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = value;
        spec.to_string()
    };
    let twice = json!([good["agents"][0], good["agents"][0]]);
    let mut late_warm_up = good["agents"][0].clone();
    late_warm_up["calls"] = json!([{ "prompt": "a" }, { "prompt": "b", "warmup": true }]);
    for (text, words) in [
        ("{".to_owned(), "EOF"),
        (String::new(), "EOF"),
        (changed("/protocol", json!(2)), "protocol 2"),
        (changed("/surprise", json!(1)), "surprise"),
        (changed("/artifacts", json!("/nowhere/at/all")), "/nowhere/at/all"),
        (changed("/throttle", json!(0)), "throttle"),
        (changed("/read_buffer", json!(0)), "read_buffer"),
        (changed("/variant", json!({ "event_loop": "uvloop" })), "event_loop"),
        (changed("/run", json!("a\nb")), "x-request-id"),
        (changed("/agents", twice), "two agents"),
        (changed("/agents", json!([late_warm_up])), "warm-up"),
        (changed("/agents/0/name", json!("../x")), "letters"),
        (changed("/agents/0/url", json!("localhost:1")), "http://"),
    ] {
        let child = start(command(), &text);
        let output = child.wait_with_output().unwrap();
        let finished = finished(output, tempfile::tempdir().unwrap());
        assert_eq!(finished.code, Some(2), "{text}: {}", finished.stderr);
        let [Event::Error { message }] = finished.events.as_slice() else {
            panic!("{text}: {:?}", finished.events)
        };
        assert!(message.contains(words), "{text}: {message}");
        assert!(!finished.stderr.is_empty());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn artifacts_that_cannot_be_written_are_an_error() {
    let server = Scripted::start(|_, reply| answer(reply, &["a"]));
    let mut spec = spec(vec![agent(&server.url)]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("responses"), "in the way").unwrap();
    spec.artifacts = dir.path().to_owned();
    let child = start(command(), &serde_json::to_string(&spec).unwrap());
    let finished = finished(child.wait_with_output().unwrap(), dir);
    assert_eq!(finished.code, Some(1));
    assert!(finished.record.is_none());
    assert!(
        matches!(finished.events.last(), Some(Event::Error { message }) if message.contains("responses"))
    );
}

#[cfg(unix)]
#[test]
fn a_terminated_agent_writes_what_it_has() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.wait_for_client_to_leave();
    });
    let mut agent = agent(&server.url);
    agent.calls.extend(agent.calls.clone());
    let mut spec = spec(vec![agent]);
    let dir = tempfile::tempdir().unwrap();
    spec.artifacts = dir.path().to_owned();
    let mut child = start(command(), &serde_json::to_string(&spec).unwrap());
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(events.any(|line| line.unwrap().contains("first_token")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let record: AgentRecord =
        serde_json::from_slice(&std::fs::read(dir.path().join("agent.json")).unwrap()).unwrap();
    let outcomes: Vec<Outcome> = record.calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Cancelled], "the second call never began");
    assert_eq!(record.calls[0].text_offsets_ns.len(), 1);
    assert_eq!(std::fs::read_to_string(dir.path().join("responses/a-0.txt")).unwrap(), "a");
}
