//! Calls that fail: each in its own way, none of them ending the process.

use std::time::{Duration, Instant};

use formats::protocol::{CallSpec, Outcome};

use crate::answers::{NDJSON, last, line};
use crate::process::{Finished, agent, one_call, run, spec};
use crate::scripted::Scripted;

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
fn errors_before_the_stream_keep_the_servers_words() {
    let server = Scripted::start(|request, reply| {
        if request.body.contains("missing") {
            reply.whole(404, r#"{"error":"model 'm' not found"}"#);
        } else {
            reply.whole(503, r#"{"error":{"message":"server busy"}}"#);
        }
    });
    let mut agent = agent(&server.url);
    let call = |prompt: &str| CallSpec { prompt: prompt.to_owned(), warmup: false, stage: None };
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
}

#[test]
fn an_answer_that_ends_for_a_reason_of_no_list_does_not_count() {
    let finished = one_call(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk("{\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}\n");
        reply.end();
    });
    assert_failed(&finished, Outcome::Refused, "for the reason \"load\"");
}

#[test]
fn a_request_is_never_sent_twice() {
    let server = Scripted::start(|_, _| {});
    let finished = run(spec(vec![agent(&server.url)]));
    assert_eq!(finished.call().outcome, Outcome::ConnectError);
    assert_eq!(server.requests.lock().unwrap().len(), 1);
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
        reply.chunk("no json\n");
        reply.chunk(last(0));
        reply.end();
    });
    assert_failed(&not_json, Outcome::Malformed, "no json");
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
