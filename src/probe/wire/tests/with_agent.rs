//! The probe beside the agent itself: its own record of calls to the paced endpoint, and what the wire
//! showed of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use formats::endpoint::Api;
use formats::pacing::{Fault as Played, FaultKind, Pacing};
use formats::protocol::{AgentRecord, CallSpec, Connection, Outcome, RECORD_FILE, Spec};
use simulator::Server;
use tokio::sync::watch;

use super::super::{CallsOnTheWire, Capture, Fault, Watch};
use super::by_hand::spec;

const AGENTS: usize = 8;
const CALLS: usize = 3;
const TOKENS: u32 = 20;

fn pacing(protocol: Api, fault: Option<FaultKind>) -> Pacing {
    let faults = fault.map(|kind| Played { kind, after: 5, first: None, every: None });
    Pacing {
        protocol,
        ttft: Duration::from_millis(4),
        rate: 500.0,
        tokens: Some(TOKENS),
        faults: faults.into_iter().collect(),
        ..Pacing::default()
    }
}

fn asked(server: &Server, api: Api, folder: &Path, connection: Connection) -> Spec {
    let mut spec = spec();
    let one = spec.agents.remove(0);
    for number in 0..AGENTS {
        let mut agent = one.clone();
        agent.name = format!("a{number}");
        agent.api = api;
        agent.url = server.base_url();
        agent.model = "simulated".to_owned();
        agent.max_tokens = Some(TOKENS + 1);
        agent.calls = (0..CALLS)
            .map(|_| CallSpec { prompt: "Why?".repeat(200), warmup: false, stage: None })
            .collect();
        spec.agents.push(agent);
    }
    Spec { artifacts: folder.to_owned(), timeout_ns: 400_000_000, connection, ..spec }
}

/// Runs the agent with the probe; `None` where packets may not be captured.
fn run(
    api: Api,
    fault: Option<FaultKind>,
    connection: Connection,
) -> Option<(CallsOnTheWire, AgentRecord, BTreeMap<String, Vec<u64>>)> {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(pacing(api, fault), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let spec = asked(&server, api, folder.path(), connection);
    let own = Watch { address: None, port: server.address().port() };
    let recorder = match Capture::start(&[own], folder.path()) {
        Ok(recorder) => recorder,
        Err(reason) => {
            eprintln!("nothing tested: {reason}");
            return None;
        }
    };
    let (_going, cancelled) = watch::channel(false);
    let text = serde_json::to_string(&spec).unwrap();
    agent::run(&text, io::sink(), &|_| None, &cancelled).unwrap();
    let captured = recorder.stop();
    let record = fs::read_to_string(folder.path().join(RECORD_FILE)).unwrap();
    let record: AgentRecord = serde_json::from_str(&record).unwrap();
    let found = captured.calls(&spec, &record).unwrap();
    let mut sent: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for send in server.take_sends("run/").into_iter().filter(|send| send.tokens > 0) {
        sent.entry(send.request).or_default().push(send.time_ns);
    }
    Some((found, record, sent))
}

#[test]
fn every_call_of_every_protocol_is_found() {
    for api in Api::ALL {
        for connection in [Connection::New, Connection::Keep] {
            let Some((found, record, sent)) = run(api, None, connection) else { return };
            assert_eq!(found.without, [], "{api:?}");
            let connections = if connection == Connection::Keep { 1 } else { CALLS };
            assert_eq!(found.summary.connections, (AGENTS * connections) as u64);
            for (call, own) in record.calls.iter().zip(&found.calls) {
                assert_eq!(call.outcome, Outcome::Ok);
                assert_eq!(own.chunks.len(), TOKENS as usize);
                let sent = &sent[&format!("run/{}/{}", call.agent, call.call)];
                for (sent_ns, chunk) in sent.iter().zip(&own.chunks) {
                    let late_ns = chunk.time_ns.checked_signed_diff(*sent_ns).unwrap();
                    assert!((-10_000..20_000_000).contains(&late_ns), "{late_ns}");
                }
                assert!(own.request.time_ns + 10_000 > call.sent_ns.unwrap());
                assert!(own.chunks[0].time_ns > own.request.time_ns + 3_900_000);
                let taken = call.text_offsets_ns.iter().map(|offset| call.start_ns + offset);
                let mut both = own.chunks.iter().zip(taken);
                assert!(both.all(|(chunk, taken_ns)| taken_ns + 10_000 > chunk.time_ns));
                assert!(own.request.bytes > 800, "the prompt is in it");
            }
        }
    }
}

#[test]
fn what_goes_wrong_is_seen_alike_or_has_a_reason() {
    let faults = [
        (FaultKind::Status(503), Outcome::HttpError),
        (FaultKind::Error("no".to_owned()), Outcome::InBandError),
        (FaultKind::Stall, Outcome::Timeout),
        (FaultKind::Truncate, Outcome::Truncated),
        (FaultKind::Slow(Duration::from_micros(10)), Outcome::Ok),
        (FaultKind::Malformed, Outcome::Malformed),
    ];
    for (kind, outcome) in faults {
        for api in [Api::Ollama, Api::OpenaiChat, Api::Anthropic] {
            let is_malformed = kind == FaultKind::Malformed;
            let Some((found, record, _)) = run(api, Some(kind.clone()), Connection::New) else {
                return;
            };
            assert!(record.calls.iter().all(|call| call.outcome == outcome), "{kind:?} {api:?}");
            if is_malformed {
                assert!(found.without.iter().all(|own| own.reason == Fault::Undecodable));
                assert_eq!(found.without.len(), AGENTS * CALLS);
            } else {
                assert_eq!(found.without, [], "{kind:?} {api:?}");
                assert_eq!(found.check(&record), Ok(()));
            }
        }
    }
}
