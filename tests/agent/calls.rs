//! Calls that go well: what is recorded of them, whatever the transport does.

use std::collections::BTreeSet;

use formats::endpoint::Api;
use formats::protocol::{CHUNK_COLUMNS, CHUNK_FILE, CallSpec, Event, Outcome, ServerCounts};
use serde_json::json;

use crate::answers::{NDJSON, answer, last, line};
use crate::process::{agent, one_call, run, spec};
use crate::runtime;
use crate::scripted::Scripted;

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
            Event::Ready { protocol: 2, runtime: info, .. } if info.name == runtime::NAME => {
                "ready"
            }
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
fn every_call_has_a_connection_of_its_own_whether_the_server_keeps_it_or_not() {
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
        let call = |warmup| CallSpec { prompt: "p".to_owned(), warmup, stage: None };
        agent.calls = vec![call(true), call(false), call(false)];
        let finished = run(spec(vec![agent]));
        let record = finished.record.unwrap();
        assert!(record.calls.iter().all(|call| call.outcome == Outcome::Ok), "{record:?}");
        let connections: Vec<usize> =
            server.requests.lock().unwrap().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 1, 2], "keeps: {keeps}");
        let warmups: Vec<bool> = record.calls.iter().map(|call| call.warmup).collect();
        assert_eq!(warmups, [true, false, false]);
        let bytes: BTreeSet<u64> = record.calls.iter().map(|call| call.bytes).collect();
        assert_eq!(bytes.len(), 1, "each call counts its own bytes");
    }
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
