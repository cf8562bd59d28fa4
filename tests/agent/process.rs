//! A runtime as the executor starts it: a real process, a spec on its standard input.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use formats::endpoint::{Api, Dialect, Route};
use formats::protocol::{
    AgentRecord, AgentSpec, CallRecord, CallSpec, Connection, Event, PROTOCOL, ProbeSpec,
    RECORD_FILE, Spec,
};
use tempfile::TempDir;

use crate::runtime;
use crate::scripted::{Reply, Request, Scripted};

/// What a process left behind.
pub struct Finished {
    pub code: Option<i32>,
    pub events: Vec<Event>,
    pub stderr: String,
    pub record: Option<AgentRecord>,
    pub dir: TempDir,
}

impl Finished {
    /// The only call.
    pub fn call(&self) -> &CallRecord {
        let record = self.record.as_ref().unwrap_or_else(|| panic!("no record: {}", self.stderr));
        assert_eq!(record.calls.len(), 1);
        &record.calls[0]
    }

    pub fn response(&self, agent: &str, call: u32) -> String {
        let path = self.dir.path().join(format!("responses/{agent}-{call}.txt"));
        std::fs::read_to_string(path).unwrap()
    }
}

/// One agent `a` with one measured call.
pub fn agent(url: &str) -> AgentSpec {
    AgentSpec {
        name: "a".to_owned(),
        api: Api::Ollama,
        url: url.to_owned(),
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
        calls: vec![CallSpec { prompt: "Hello".to_owned(), warmup: false, stage: None }],
        workflow: None,
    }
}

/// A spec of these agents; its folder is made by [`run`].
pub fn spec(agents: Vec<AgentSpec>) -> Spec {
    Spec {
        protocol: PROTOCOL,
        run: "run-1".to_owned(),
        artifacts: "".into(),
        agents,
        tokenize: None,
        timeout_ns: 10_000_000_000,
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        lag_dose: None,
        probes: ProbeSpec::default(),
        variant: std::collections::BTreeMap::new(),
    }
}

/// The command, not yet started.
pub fn command() -> Command {
    let mut command = runtime::command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_clear();
    command
}

/// Starts the command on a text.
pub fn start(mut command: Command, input: &str) -> Child {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child
}

/// Runs a spec to its end.
pub fn run(spec: Spec) -> Finished {
    run_with(command(), spec)
}

pub fn run_with(command: Command, mut spec: Spec) -> Finished {
    let dir = tempfile::tempdir().unwrap();
    dir.path().clone_into(&mut spec.artifacts);
    let child = start(command, &serde_json::to_string(&spec).unwrap());
    finished(child.wait_with_output().unwrap(), dir)
}

/// Runs one call against a server that answers by this script.
pub fn one_call(script: impl Fn(&Request, &mut Reply<'_>) + Send + Sync + 'static) -> Finished {
    let server = Scripted::start(script);
    run(spec(vec![agent(&server.url)]))
}

/// Reads what is there after the end.
pub fn finished(output: Output, dir: TempDir) -> Finished {
    let stdout = String::from_utf8(output.stdout).unwrap();
    let events = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let record = std::fs::read(dir.path().join(RECORD_FILE)).ok();
    Finished {
        code: output.status.code(),
        events,
        stderr: String::from_utf8(output.stderr).unwrap(),
        record: record.map(|bytes| serde_json::from_slice(&bytes).unwrap()),
        dir,
    }
}
