//! Other wire formats, limits, and everything that goes wrong.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use formats::endpoint::Api;
use formats::protocol::{CallRecord, Connection, Event, Outcome, PROTOCOL, RESPONSES_DIR, Spec};
use simulator::Server;

use super::cases::{RUN, TOKENS, agent, faulty, pacing, serve, spec, whole_text};
use super::process::{Finished, run};
use super::{ConformanceError, Findings, Verdict, expect};
use crate::manifest::study::{FaultKind, Pacing};

/// Throttle of the case that has one, chunks per second.
const THROTTLE: f64 = 50.0;

pub(super) fn check(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    wire_formats(command, findings)?;
    kept_connections(command, findings)?;
    limits(command, findings)?;
    outcomes(command, findings)?;
    refusals(command, findings)
}

fn one_call(url: &str) -> Spec {
    spec(vec![agent("one", Api::Ollama, url, 0, 1)])
}

/// The record of the only call.
fn only_call(finished: &Finished) -> Result<&CallRecord, String> {
    let record = finished.record.as_ref().map_err(|reason| format!("no agent.json: {reason}"))?;
    match record.calls.as_slice() {
        [call] => Ok(call),
        calls => Err(format!("{} calls are recorded, one was asked for", calls.len())),
    }
}

fn wire_formats(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    for (api, requirement) in [
        (Api::OllamaChat, "speaks Ollama's chat"),
        (Api::OpenaiChat, "speaks OpenAI's chat completions"),
        (Api::OpenaiCompletions, "speaks OpenAI's completions"),
        (Api::Anthropic, "speaks Anthropic's Messages"),
    ] {
        let server = serve(pacing(api))?;
        let text = whole_text(&server)?;
        let mut asked = agent("one", api, &server.base_url(), 0, 1);
        // Anthropic's protocol has no call without a limit.
        asked.max_tokens = Some(10 * TOKENS);
        let finished = run(command, spec(vec![asked]))?;
        match finished.refusal().filter(|message| message.contains(api.name())) {
            Some(message) => findings.add_unsupported(requirement, format!("it says: {message}")),
            None => findings.add(requirement, answered(&finished, &text)),
        }
    }
    Ok(())
}

/// Connections that are kept for the next call, which a runtime may lack if it says so.
fn kept_connections(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let requirement = "keeps connections when asked";
    let server = serve(pacing(Api::Ollama))?;
    let mut asked = spec(vec![agent("one", Api::Ollama, &server.base_url(), 0, 3)]);
    asked.connection = Connection::Keep;
    let finished = run(command, asked)?;
    match finished.refusal().filter(|message| message.contains("connection")) {
        Some(message) => findings.add_unsupported(requirement, format!("it says: {message}")),
        None => findings.add(requirement, kept(&finished)),
    }
    Ok(())
}

/// Only the first call opened a connection; the others tell no time of opening one.
fn kept(finished: &Finished) -> Verdict {
    let record = finished.record.as_ref().map_err(|reason| format!("no agent.json: {reason}"))?;
    let whole = record.calls.iter().all(|call| call.outcome == Outcome::Ok);
    expect(whole && record.calls.len() == 3, || "not all of three calls are ok".to_owned())?;
    let opened: Vec<bool> = record.calls.iter().map(|call| call.connected_ns.is_some()).collect();
    expect(opened == [true, false, false], || {
        format!("connected_ns is there in calls {opened:?}, and belongs into the first alone")
    })?;
    let mut ports: Vec<u16> = record.calls.iter().filter_map(|call| call.local_port).collect();
    ports.dedup();
    expect(ports.len() <= 1, || format!("the calls came from the ports {ports:?}"))
}

fn answered(finished: &Finished, text: &str) -> Verdict {
    let call = only_call(finished)?;
    expect(call.outcome == Outcome::Ok, || format!("{:?}: {:?}", call.outcome, call.error))?;
    let tokens = call.server.tokens;
    expect(tokens == Some(u64::from(TOKENS)), || {
        format!(
            "server.tokens is {tokens:?}; OpenAI's servers must be asked for \
             stream_options.include_usage"
        )
    })?;
    let texts = call.text_offsets_ns.len();
    expect(texts == TOKENS as usize, || {
        format!("{texts} chunks with text, {TOKENS} were sent; an empty first chunk is none")
    })?;
    let found = std::fs::read(finished.folder.path().join(RESPONSES_DIR).join("one-0.txt"));
    expect(found.is_ok_and(|found| found == text.as_bytes()), || {
        "the answer differs from the text sent".to_owned()
    })
}

fn limits(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let server = serve(pacing(Api::Ollama))?;
    let mut limited = one_call(&server.base_url());
    limited.agents[0].max_tokens = Some(5);
    let finished = run(command, limited)?;
    findings.add("sends max_tokens and names the outcome length", limit_kept(&finished));

    let mut throttled = one_call(&server.base_url());
    throttled.throttle = Some(THROTTLE);
    let finished = run(command, throttled)?;
    findings.add("takes chunks no faster than the throttle", throttle_kept(&finished));

    // Chunks of a thousand tokens: more than one read may bring.
    let burst = Pacing { tokens_per_chunk: 1000, tokens: Some(4000), ..pacing(Api::Ollama) };
    let large = serve(Pacing { rate: 100_000.0, ..burst })?;
    let mut small_reads = one_call(&large.base_url());
    small_reads.read_buffer = Some(1000);
    let finished = run(command, small_reads)?;
    findings.add("reads no more than read_buffer at once", read_size_kept(&finished));
    Ok(())
}

fn limit_kept(finished: &Finished) -> Verdict {
    let call = only_call(finished)?;
    expect(call.outcome == Outcome::Length && call.text_offsets_ns.len() == 5, || {
        format!("{:?} after {} chunks, the limit was 5", call.outcome, call.text_offsets_ns.len())
    })
}

fn throttle_kept(finished: &Finished) -> Verdict {
    let call = only_call(finished)?;
    let offsets = &call.text_offsets_ns;
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Err(format!("no text was taken ({:?})", call.outcome));
    };
    let seconds = last.saturating_sub(*first) as f64 / 1e9;
    let rate = (offsets.len() - 1) as f64 / seconds;
    expect((THROTTLE * 0.9..=THROTTLE * 1.05).contains(&rate), || {
        format!("{rate:.1} chunks per second, the throttle was {THROTTLE}")
    })
}

fn read_size_kept(finished: &Finished) -> Verdict {
    let call = only_call(finished)?;
    expect(call.outcome == Outcome::Ok, || format!("{:?}: {:?}", call.outcome, call.error))?;
    match call.largest_read {
        None => Ok(()),
        Some(largest) => expect((1..=1000).contains(&largest), || {
            format!("the largest read brought {largest} bytes, read_buffer was 1000")
        }),
    }
}

fn outcomes(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let cases = [
        (FaultKind::Status(503), Outcome::HttpError, "simulated fault", "records an HTTP error"),
        (
            FaultKind::Error("out of memory".to_owned()),
            Outcome::InBandError,
            "out of memory",
            "records an error inside the stream",
        ),
        (FaultKind::Truncate, Outcome::Truncated, "", "records a stream without its last record"),
        (FaultKind::Reset, Outcome::Truncated, "", "records a connection that is reset"),
        (FaultKind::Malformed, Outcome::Malformed, "", "records a line that is not JSON"),
    ];
    for (fault, outcome, words, requirement) in cases {
        let server = serve(faulty(fault))?;
        let finished = run(command, one_call(&server.base_url()))?;
        findings.add(requirement, failed_call(&finished, outcome, words));
    }

    let server = serve(faulty(FaultKind::Stall))?;
    let mut impatient = one_call(&server.base_url());
    impatient.timeout_ns = 300_000_000;
    let finished = run(command, impatient)?;
    findings.add("gives a call up at its timeout", failed_call(&finished, Outcome::Timeout, ""));

    let finished = run(command, one_call(&nobody().map_err(ConformanceError::Reference)?))?;
    let verdict = failed_call(&finished, Outcome::ConnectError, "");
    findings.add("records a server that is not there", verdict);

    let server: Server = serve(faulty(FaultKind::Slow(Duration::from_micros(50))))?;
    let text = whole_text(&server)?;
    let finished = run(command, one_call(&server.base_url()))?;
    findings.add("reads a stream that comes byte by byte", slow_call(&finished, &text));
    Ok(())
}

fn failed_call(finished: &Finished, outcome: Outcome, words: &str) -> Verdict {
    let call = only_call(finished)?;
    expect(call.outcome == outcome, || {
        format!("the outcome is {:?}, not {:?}", call.outcome.name(), outcome.name())
    })?;
    let error = call.error.as_deref().unwrap_or_default();
    expect(!error.is_empty() && error.contains(words), || {
        format!("error is {error:?}; it says what went wrong, in the server's words if it has any")
    })?;
    expect(finished.code == Some(0), || {
        format!(
            "exit code {:?}; a failed call is recorded, it does not fail the run",
            finished.code
        )
    })
}

fn slow_call(finished: &Finished, text: &str) -> Verdict {
    let call = only_call(finished)?;
    expect(call.outcome == Outcome::Ok, || format!("{:?}: {:?}", call.outcome, call.error))?;
    let found = std::fs::read(finished.folder.path().join(RESPONSES_DIR).join("one-0.txt"));
    expect(found.is_ok_and(|found| found == text.as_bytes()), || {
        "the answer differs from the text sent; a character may be cut by a read".to_owned()
    })
}

fn refusals(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let server = serve(pacing(Api::Ollama))?;
    let mut unknown = one_call(&server.base_url());
    unknown.protocol = PROTOCOL + 1000;
    let finished = run(command, unknown)?;
    findings.add("refuses a protocol that it does not know", refused(&finished, &server));

    let mut unknown = one_call(&server.base_url());
    unknown.variant.insert("runner_conformance_no_such_setting".to_owned(), true.into());
    let finished = run(command, unknown)?;
    findings.add("refuses a setting that it does not know", refused(&finished, &server));

    let mut keyless = one_call(&server.base_url());
    keyless.agents[0].api_key_env = Some("RUNNER_CONFORMANCE_NO_SUCH_KEY".to_owned());
    let finished = run(command, keyless)?;
    findings.add("refuses to start without its API key", refused(&finished, &server));
    Ok(())
}

fn refused(finished: &Finished, server: &Server) -> Verdict {
    let asked = !server.take_sends(RUN).is_empty();
    expect(!asked, || "it called the server all the same".to_owned())?;
    expect(finished.code.is_some_and(|code| code != 0), || {
        format!("exit code {:?}; refuse with another than 0", finished.code)
    })?;
    expect(finished.events.iter().any(|event| matches!(event, Event::Error { .. })), || {
        "it does not say why: write an error event".to_owned()
    })
}

/// An address where nobody listens.
fn nobody() -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(format!("http://{}", listener.local_addr()?))
}
