use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use formats::pacing::{Fault, FaultKind, Pacing};
use simulator::Server;

use crate::client::{PROTOCOLS, Protocol, ask, connect, generate, get};
use crate::{pacing, start};

/// Every call fails like this.
pub fn failing(kind: FaultKind, after: u32) -> Pacing {
    Pacing { faults: vec![Fault { kind, after, first: None, every: None }], ..pacing() }
}

#[test]
fn a_status_strikes_the_first_calls_only() {
    let fault = Fault { kind: FaultKind::Status(503), after: 0, first: Some(2), every: None };
    for protocol in &PROTOCOLS {
        let server = start(Pacing { faults: vec![fault.clone()], ..pacing() });
        get(&server, "/api/version");
        let status = |n: u8| {
            let answer = ask(&server, &protocol.call(&n.to_string(), true));
            assert_eq!(answer.body.contains("simulated fault"), answer.status == 503);
            answer.status
        };
        assert_eq!([1, 2, 3].map(status), [503, 503, 200], "{}", protocol.path);
    }
}

#[test]
fn an_error_comes_inside_the_stream() {
    let message = "out of \"memory\"";
    let server = start(failing(FaultKind::Error(message.to_owned()), 3));
    for protocol in &PROTOCOLS {
        let answer = ask(&server, &protocol.call("x", true));
        assert_eq!((answer.status, answer.texts().len()), (200, 3), "{}", protocol.path);
        assert!(!answer.body.contains(protocol.end), "{}", answer.body);
        let last = answer.records().pop().unwrap().unwrap();
        let told = last["error"].as_str().or(last["error"]["message"].as_str());
        assert_eq!(told, Some(message), "{}", protocol.path);

        // Without a stream to put it in, it is a status.
        let whole = ask(&server, &protocol.call("x", false));
        let error = &whole.json()["error"];
        assert_eq!(whole.status, 500);
        assert_eq!(error.as_str().or(error["message"].as_str()), Some(message));
    }
}

#[test]
fn a_truncated_stream_ends_properly_without_its_end_mark() {
    let server = start(Pacing { tokens_per_chunk: 4, ..failing(FaultKind::Truncate, 6) });
    for protocol in &PROTOCOLS {
        let answer = ask(&server, &protocol.call("t", true));
        assert!(!answer.body.contains(protocol.end), "{}", answer.body);
        assert!(answer.records().iter().all(Result::is_ok), "{}", answer.body);
        let tokens: Vec<_> = server.take_sends("t").iter().map(|send| send.tokens).collect();
        assert_eq!(tokens, [0, 4, 2, 0], "not exactly 6 tokens");
    }
}

#[test]
fn a_malformed_record_is_followed_by_the_rest() {
    let server = start(failing(FaultKind::Malformed, 3));
    for protocol in &PROTOCOLS {
        let answer = ask(&server, &protocol.call("x", true));
        let (records, texts) = (answer.records(), answer.texts());
        assert_eq!(records.iter().filter(|record| record.is_err()).count(), 1, "{}", answer.body);
        assert_eq!(texts.len(), 10, "{}", protocol.path);
        let before = answer.body.split(&texts[3]).next().unwrap();
        assert_eq!(before.matches(texts[2].as_str()).count(), 1, "it is not after three tokens");
        assert!(answer.body.contains(protocol.end), "{}", answer.body);
    }
}

/// What arrives of a stream that never ends by itself, and how its reading fails.
fn broken(server: &Server, protocol: &Protocol, patience: Duration) -> (String, ErrorKind) {
    let mut stream = connect(server);
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(protocol.call("x", true).as_bytes()).unwrap();
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    (String::from_utf8(got).unwrap(), error.kind())
}

#[test]
fn a_reset_is_a_reset() {
    let server = start(failing(FaultKind::Reset, 2));
    for protocol in &PROTOCOLS {
        let (got, error) = broken(&server, protocol, Duration::from_secs(20));
        assert_eq!(error, ErrorKind::ConnectionReset);
        assert_eq!(got.matches(protocol.text).count(), 2, "{got}");
    }
}

#[test]
fn a_stalled_stream_stays_open() {
    let server = start(failing(FaultKind::Stall, 2));
    for protocol in &PROTOCOLS {
        let (got, error) = broken(&server, protocol, Duration::from_millis(300));
        assert!(matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        assert_eq!(got.matches(protocol.text).count(), 2, "{got}");
    }
}

#[test]
fn slow_delivery_sends_every_byte_by_itself() {
    let gap = Duration::from_micros(50);
    let server = start(Pacing { tokens: Some(2), ..failing(FaultKind::Slow(gap), 0) });
    for protocol in &PROTOCOLS {
        let began = Instant::now();
        let answer = ask(&server, &protocol.call("s", true));
        assert!(began.elapsed() >= gap * u32::try_from(answer.bytes - 10).unwrap());
        assert_eq!(answer.texts().len(), 2, "{}", protocol.path);
        let sends = server.take_sends("s");
        assert_eq!(sends.iter().map(|send| send.tokens).collect::<Vec<_>>(), [0, 1, 1, 0]);
        assert_eq!(sends.iter().map(|send| send.bytes as usize).sum::<usize>(), answer.bytes);
    }
}

#[test]
fn a_fault_that_the_answer_never_reaches_does_not_happen() {
    let server = start(failing(FaultKind::Reset, 11));
    assert_eq!(ask(&server, &generate("x", true)).lines().len(), 11);
    let server = start(failing(FaultKind::Truncate, 10));
    assert_eq!(ask(&server, &generate("x", true)).lines().len(), 10, "only the last record lacks");
}
