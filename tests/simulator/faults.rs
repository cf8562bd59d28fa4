use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use runner::manifest::study::{Fault, FaultKind, Pacing};
use serde_json::{Value, json};

use crate::client::{ask, connect, generate, get, post};
use crate::{COMPLETIONS, pacing, start};

/// Every call fails like this.
pub fn failing(kind: FaultKind, after: u32) -> Pacing {
    Pacing { faults: vec![Fault { kind, after, first: None, every: None }], ..pacing() }
}

#[test]
fn a_status_strikes_the_first_calls_only() {
    let fault = Fault { kind: FaultKind::Status(503), after: 0, first: Some(2), every: None };
    let server = start(Pacing { faults: vec![fault], ..pacing() });
    get(&server, "/api/version");
    let status = |n: u8| ask(&server, &generate(&n.to_string(), true)).status;
    assert_eq!([1, 2, 3].map(status), [503, 503, 200]);
}

#[test]
fn an_error_comes_inside_the_stream() {
    let message = "out of \"memory\"";
    let server = start(failing(FaultKind::Error(message.to_owned()), 3));
    let answer = ask(&server, &generate("x", true));
    assert_eq!(answer.status, 200);
    let lines = answer.lines();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3], json!({ "error": message }));

    let body = json!({ "model": "m", "prompt": "p", "stream": true });
    let answer = post(&server, COMPLETIONS, &body);
    let last = answer.body.trim_end().rsplit("data: ").next().unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!(error["error"]["message"], message);

    let whole = ask(&server, &generate("x", false));
    assert_eq!((whole.status, &whole.json()["error"]), (500, &json!(message)));
}

#[test]
fn a_truncated_stream_ends_properly_without_done() {
    let server = start(Pacing { tokens_per_chunk: 4, ..failing(FaultKind::Truncate, 6) });
    let lines = ask(&server, &generate("t", true)).lines();
    assert!(lines.iter().all(|line| line["done"] == false));
    let tokens: Vec<_> = server.take_sends("t").iter().map(|send| send.tokens).collect();
    assert_eq!(tokens, [0, 4, 2, 0], "not exactly 6 tokens");
    let body = json!({ "model": "m", "prompt": "p", "stream": true });
    assert!(!post(&server, COMPLETIONS, &body).body.contains("[DONE]"));
}

#[test]
fn a_malformed_line_is_followed_by_the_rest() {
    let server = start(failing(FaultKind::Malformed, 3));
    let answer = ask(&server, &generate("x", true));
    let lines: Vec<_> = answer.body.lines().map(serde_json::from_str::<Value>).collect();
    assert_eq!(lines.len(), 12);
    assert!(lines[3].is_err());
    assert_eq!(lines.iter().filter(|line| line.is_err()).count(), 1);
    assert_eq!(lines[11].as_ref().unwrap()["eval_count"], 10);
}

#[test]
fn a_reset_is_a_reset() {
    let server = start(failing(FaultKind::Reset, 2));
    let mut stream = connect(&server);
    stream.write_all(generate("x", true).as_bytes()).unwrap();
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8(got).unwrap().matches("\"done\":false").count(), 2);
}

#[test]
fn a_stalled_stream_stays_open() {
    let server = start(failing(FaultKind::Stall, 2));
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(generate("x", true).as_bytes()).unwrap();
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert_eq!(String::from_utf8(got).unwrap().matches("\"done\":false").count(), 2);
}

#[test]
fn slow_delivery_sends_every_byte_by_itself() {
    let gap = Duration::from_micros(100);
    let server = start(Pacing { tokens: Some(2), ..failing(FaultKind::Slow(gap), 0) });
    let began = Instant::now();
    let answer = ask(&server, &generate("s", true));
    assert!(began.elapsed() >= gap * u32::try_from(answer.bytes - 10).unwrap());
    assert_eq!(answer.lines()[2]["eval_count"], 2);
    let sends = server.take_sends("s");
    assert_eq!(sends.iter().map(|send| send.tokens).collect::<Vec<_>>(), [0, 1, 1, 0]);
    assert_eq!(sends.iter().map(|send| send.bytes as usize).sum::<usize>(), answer.bytes);
}

#[test]
fn a_fault_that_the_answer_never_reaches_does_not_happen() {
    let server = start(failing(FaultKind::Reset, 11));
    assert_eq!(ask(&server, &generate("x", true)).lines().len(), 11);
    let server = start(failing(FaultKind::Truncate, 10));
    assert_eq!(ask(&server, &generate("x", true)).lines().len(), 10, "only the last record lacks");
}
