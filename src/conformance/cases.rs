//! Servers and specs of the check, and the server's own word on its text.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use formats::endpoint::{Api, Dialect, Route};
use formats::protocol::{AgentSpec, CallSpec, Connection, PROTOCOL, ProbeSpec, Spec};
use serde_json::{Value, json};
use simulator::Server;

use super::ConformanceError;
use crate::manifest::study::{Fault, FaultKind, JitterShape, Pacing};

/// Name of every run; with it begin all request ids.
pub(super) const RUN: &str = "conformance";
/// Tokens of every answer.
pub(super) const TOKENS: u32 = 20;

/// A short answer with clear gaps.
pub(super) fn pacing(api: Api) -> Pacing {
    Pacing {
        protocol: api,
        ttft: Duration::from_millis(30),
        rate: 200.0,
        gaps: Vec::new(),
        jitter: Duration::ZERO,
        jitter_shape: JitterShape::Uniform,
        seed: 1,
        tokens_per_chunk: 1,
        tokens: Some(TOKENS),
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    }
}

/// The same with a fault in every call.
pub(super) fn faulty(kind: FaultKind) -> Pacing {
    let fault = Fault { kind, after: 3, first: None, every: None };
    Pacing { faults: vec![fault], ..pacing(Api::Ollama) }
}

pub(super) fn serve(pacing: Pacing) -> Result<Server, ConformanceError> {
    Ok(Server::start(pacing, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?)
}

/// One agent with `warmups` and then `calls` calls.
pub(super) fn agent(name: &str, api: Api, url: &str, warmups: u32, calls: u32) -> AgentSpec {
    let call = |number| CallSpec {
        prompt: format!("Conformance prompt {number}: naïve 日本 \"quoted\"\n"),
        warmup: number < warmups,
        stage: None,
    };
    AgentSpec {
        name: name.to_owned(),
        api,
        url: url.to_owned(),
        route: Route::default(),
        api_key_env: None,
        headers: BTreeMap::new(),
        model: "simulated".to_owned(),
        answers_as: Vec::new(),
        options: BTreeMap::new(),
        extra: BTreeMap::new(),
        dialect: Dialect::default(),
        max_tokens: None,
        accept_context_full: false,
        calls: (0..warmups + calls).map(call).collect(),
        workflow: None,
    }
}

pub(super) fn spec(agents: Vec<AgentSpec>) -> Spec {
    Spec {
        protocol: PROTOCOL,
        run: RUN.to_owned(),
        artifacts: std::path::PathBuf::new(),
        agents,
        tokenize: None,
        timeout_ns: 10_000_000_000,
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        lag_dose: None,
        probes: ProbeSpec::default(),
        variant: BTreeMap::new(),
    }
}

/// The text of an answer in the server's own words, asked for without streaming.
pub(super) fn whole_text(server: &Server) -> Result<String, ConformanceError> {
    ask(server).map_err(ConformanceError::Reference)
}

fn ask(server: &Server) -> io::Result<String> {
    let body = json!({ "model": "simulated", "prompt": "p", "stream": false }).to_string();
    let mut stream = TcpStream::connect(server.address())?;
    write!(
        stream,
        "POST /api/generate HTTP/1.1\r\nhost: paced\r\nconnection: close\r\ncontent-length: \
         {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let value: Value = serde_json::from_str(body)?;
    value["response"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other("an answer without text"))
}
