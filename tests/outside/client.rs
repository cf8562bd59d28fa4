//! A runtime as the executor starts it, kept on cores of its own.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use formats::endpoint::{Api, Dialect, Route};
use formats::protocol::{
    AgentRecord, AgentSpec, CallSpec, Connection, PROTOCOL, ProbeSpec, RECORD_FILE, Spec,
};
use wait4::Wait4 as _;

/// Name of every run.
const RUN: &str = "outside";

/// What a process left, and what it used.
#[allow(dead_code, reason = "the tests read the record only")]
pub struct Finished {
    pub record: AgentRecord,
    /// Share of its time in which it used a core.
    pub cpu: f64,
}

/// So many streams of one call, started together, without a call to warm up.
pub fn spec(streams: u32, api: Api, url: &str, folder: &Path) -> Spec {
    let base = if api == Api::Ollama { "" } else { "/v1" };
    let agent = |index| AgentSpec {
        name: format!("a{index}"),
        api,
        url: format!("{url}{base}"),
        route: Route::default(),
        api_key_env: None,
        headers: std::collections::BTreeMap::new(),
        model: "m".to_owned(),
        answers_as: Vec::new(),
        options: std::collections::BTreeMap::new(),
        extra: std::collections::BTreeMap::new(),
        dialect: Dialect::default(),
        max_tokens: None,
        accept_context_full: false,
        calls: vec![CallSpec { prompt: "Count.".to_owned(), warmup: false, stage: None }],
        workflow: None,
    };
    Spec {
        protocol: PROTOCOL,
        run: RUN.to_owned(),
        artifacts: folder.to_owned(),
        agents: (0..streams).map(agent).collect(),
        tokenize: None,
        timeout_ns: 60_000_000_000,
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        lag_dose: None,
        probes: ProbeSpec { chunks: true, ..ProbeSpec::default() },
        variant: std::collections::BTreeMap::new(),
    }
}

/// The Rust runtime.
pub fn rust() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.arg("agent");
    command
}

/// Runs a runtime to its end; every call must have an answer. `hear` is given its process id and its
/// events, line by line, while they come.
pub fn run(
    mut command: Command,
    on: &[usize],
    spec: &Spec,
    mut hear: impl FnMut(u32, &str) + Send,
) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let began = std::time::Instant::now();
    let mut process = super::cores::started_on(on, || command.spawn().unwrap());
    let id = process.id();
    let text = serde_json::to_vec(spec).unwrap();
    process.stdin.take().unwrap().write_all(&text).unwrap();
    let mut events = process.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = events.read(&mut piece) {
        text.extend_from_slice(&piece[..bytes]);
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            hear(id, &String::from_utf8_lossy(&line));
        }
    }
    let usage = process.wait4().unwrap();
    let wall = began.elapsed();
    assert!(usage.status.success(), "the runtime failed");
    let record = std::fs::read(spec.artifacts.join(RECORD_FILE)).unwrap();
    let record: AgentRecord = serde_json::from_slice(&record).unwrap();
    for call in &record.calls {
        assert!(call.outcome.counts(), "{:?}: {:?}", call.outcome, call.error);
    }
    let cpu = (usage.rusage.utime + usage.rusage.stime).as_secs_f64() / wall.as_secs_f64();
    Finished { record, cpu }
}

/// The `x-request-id` that a call is sent with.
pub fn request_id(agent: &str, call: u32) -> String {
    format!("{RUN}/{agent}/{call}")
}
