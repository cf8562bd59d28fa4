use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use formats::endpoint::Api;
use formats::pacing::{Fault, FaultKind, Pacing};
use serde_json::json;
use simulator::{Server, SimulatorError};

use crate::client::{ask, connect, generate, read, request};
use crate::faults::failing;
use crate::{CHAT, COMPLETIONS, GENERATE, MESSAGES, OLLAMA_CHAT, pacing, start};

#[test]
fn a_connection_serves_several_requests_until_told_to_close() {
    let server = start(pacing());
    let mut stream = connect(&server);
    for name in ["1", "2"] {
        stream.write_all(generate(name, true).as_bytes()).unwrap();
        let answer = read(&mut stream).unwrap();
        assert!(answer.head.contains("Connection: keep-alive"));
        assert_eq!(answer.lines().len(), 11);
    }
    // Two requests at once, the second in two parts.
    let both = request("GET", "/api/version", "", "") + &request("GET", "/api/tags", "", "");
    let (start, end) = both.split_at(both.len() - 10);
    stream.write_all(start.as_bytes()).unwrap();
    assert_eq!(read(&mut stream).unwrap().json()["version"], "0.0.0-simulated");
    stream.write_all(end.as_bytes()).unwrap();
    assert_eq!(read(&mut stream).unwrap().status, 200);

    let last = request("GET", "/api/version", "Connection: close\r\n", "");
    stream.write_all(last.as_bytes()).unwrap();
    assert!(read(&mut stream).unwrap().head.contains("Connection: close"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is open");
}

#[test]
fn bodies_may_come_in_chunks_and_after_a_hundred() {
    let server = start(pacing());
    let mut stream = connect(&server);
    let head = "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let body = json!({ "model": "m", "prompt": "p" }).to_string();
    let (one, two) = body.split_at(7);
    for part in [one, two] {
        write!(stream, "{:x};note=1\r\n{part}\r\n", part.len()).unwrap();
    }
    stream.write_all(b"0\r\nX-Trailer: 1\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream).unwrap().status, 200);
    stream.write_all(request("GET", "/api/version", "", "").as_bytes()).unwrap();
    assert_eq!(read(&mut stream).unwrap().status, 200, "the connection is out of step");
}

#[test]
fn wrong_requests_get_a_status_and_a_reason() {
    let server = start(pacing());
    let deep = format!(r#"{{"model":"m","prompt":{}"#, "[".repeat(100_000));
    for (request, status, reason) in [
        (request("POST", GENERATE, "", "{"), 400, "EOF"),
        (request("POST", GENERATE, "", r#"{"prompt":"p"}"#), 400, "model"),
        (request("POST", GENERATE, "", r#"{"model":"m","prompt":1}"#), 400, "string"),
        (request("POST", "/api/show", "", "{}"), 400, "model"),
        (request("POST", CHAT, "", r#"{"model":"m","messages":[]}"#), 400, "messages"),
        (request("POST", COMPLETIONS, "", r#"{"model":"m"}"#), 400, "prompt"),
        (request("POST", COMPLETIONS, "", &deep), 400, "recursion"),
        (request("GET", "/api/nothing", "", ""), 404, "no such path"),
        (request("POST", OLLAMA_CHAT, "", "{}"), 400, "model"),
        (request("POST", OLLAMA_CHAT, "", r#"{"model":"m","messages":1}"#), 400, "sequence"),
        (request("POST", MESSAGES, "", r#"{"model":"m"}"#), 400, "invalid_request_error"),
        (request("GET", MESSAGES, "", ""), 405, "no such path"),
        (request("POST", "/api/embed", "", "{}"), 404, "no such path"),
        (request("GET", GENERATE, "", ""), 405, "no such path"),
        (request("DELETE", "/api/tags", "", ""), 405, "no such path"),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), 413, "64 MiB"),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), 400, "content-length"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 505, "HTTP/1.1"),
        ("nonsense\0\r\n\r\n".to_owned(), 400, "malformed"),
        (format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(200_000)), 431, "too large"),
    ] {
        let shown: String = request.chars().take(60).collect();
        let answer = ask(&server, &request);
        assert_eq!(answer.status, status, "{shown}");
        assert!(answer.json()["error"].to_string().contains(reason), "{shown}: {}", answer.body);
    }
}

#[test]
fn the_url_is_the_one_that_clients_of_the_protocol_want() {
    let port = |server: &Server| server.address().port();
    let server = start(pacing());
    assert_eq!(server.base_url(), format!("http://127.0.0.1:{}", port(&server)));
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    for protocol in Api::ALL {
        let server = Server::start(Pacing { protocol, ..pacing() }, any).unwrap();
        let expected = format!("http://127.0.0.1:{}{}", port(&server), protocol.base());
        assert_eq!(server.base_url(), expected);
    }
}

#[test]
fn stopping_waits_for_nobody() {
    for (kind, ttft, sends) in
        [(FaultKind::Stall, Duration::ZERO, 3), (FaultKind::Truncate, Duration::from_secs(3600), 1)]
    {
        let server = start(Pacing { ttft, slots: Some(1), ..failing(kind, 2) });
        // One is being answered, one waits for its slot, one never asks.
        let mut clients = [connect(&server), connect(&server), connect(&server)];
        clients[0].write_all(generate("1", true).as_bytes()).unwrap();
        clients[1].write_all(generate("2", true).as_bytes()).unwrap();
        // What has been sent says that the one with the slot has come as far as it will.
        let (mut seen, began) = (0, Instant::now());
        while seen < sends && began.elapsed() < Duration::from_secs(10) {
            seen += server.take_sends("").len();
            std::thread::yield_now();
        }
        assert_eq!(seen, sends);
        let began = Instant::now();
        server.stop();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[test]
fn a_client_that_does_not_read_cannot_keep_the_server_from_ending() {
    let server = start(Pacing { rate: 1e9, tokens: Some(u32::MAX), ..pacing() });
    let mut client = connect(&server);
    client.write_all(generate("x", true).as_bytes()).unwrap();
    // Once a whole interval passes without a send, the write of one is blocked.
    let (mut before, began) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let sends = server.take_sends("x").len();
        if sends == 0 && before > 0 {
            break;
        }
        before += sends;
        assert!(began.elapsed() < Duration::from_secs(20), "the buffers never fill");
    }
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn pacings_that_cannot_be_played_are_refused() {
    let status = Fault { kind: FaultKind::Status(200), after: 0, first: None, every: None };
    let never = Fault { kind: FaultKind::Stall, after: 0, first: None, every: Some(0) };
    for (pacing, key) in [
        (Pacing { rate: 0.0, ..pacing() }, "rate"),
        (Pacing { rate: f64::NAN, ..pacing() }, "rate"),
        (Pacing { tokens_per_chunk: 0, ..pacing() }, "tokens_per_chunk"),
        (Pacing { slots: Some(0), ..pacing() }, "slots"),
        (Pacing { faults: vec![status], ..pacing() }, "status"),
        (Pacing { faults: vec![never], ..pacing() }, "every"),
    ] {
        let error = Server::start(pacing, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap_err();
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let server = start(pacing());
    let error = Server::start(pacing(), server.address()).unwrap_err();
    assert!(matches!(error, SimulatorError::Listen { .. }));
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}
