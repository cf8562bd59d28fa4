//! How exact the Rust runtime's times are while one core serves many streams.
//!
//! `cargo bench --bench streams`: the paced endpoint in a process of its own, `runner agent` pinned
//! to one core; the agent's times against the server's own send times. Prints figures, judges none.
//! Other work on the same cores shows as milliseconds at p99: run it on a machine that is idle, or
//! ahead of its other work (`chrt -r 10 cargo bench --bench streams`).

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use formats::endpoint::{Api, Route};
use formats::protocol::{
    AgentRecord, AgentSpec, CallSpec, Connection, Outcome, PROTOCOL, ProbeSpec, RECORD_FILE, Spec,
};
use formats::sends::{self, SENDS_FILE};
use wait4::Wait4;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");
/// Of each stream: five seconds at 100 tokens per second.
const TOKENS: u32 = 500;

fn main() {
    println!("streams   TTFT error ms (p50 p99 max)   gap error ms (p50 p99 max)   agent CPU");
    for streams in [1, 64, 256] {
        measure(streams);
    }
}

fn measure(streams: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sends_file = folder.path().join(SENDS_FILE);
    let cores = cores::available();
    // The agent has the last core to itself where there is another one for the server.
    let agent_core = &cores[cores.len() - 1..];
    let server_cores = if cores.len() > 1 { &cores[..cores.len() - 1] } else { agent_core };

    cores::stay_on(server_cores);
    let (mut server, url) = start_server(&sends_file);
    cores::stay_on(agent_core);
    let started = Instant::now();
    let agent = start_agent(&spec(streams, &url, folder.path()));
    let usage = agent.wait4().expect("the agent ends");
    let wall = started.elapsed();
    cores::stay_on(&cores);
    assert!(usage.status.success(), "the agent failed");
    stop(&mut server);

    let record = std::fs::read(folder.path().join(RECORD_FILE)).expect("a record");
    let record: AgentRecord = serde_json::from_slice(&record).expect("a record in JSON");
    let (mut ttft, mut gaps) = errors(&record, &sends_file);
    assert_eq!(ttft.len(), streams as usize);
    let cpu = (usage.rusage.utime + usage.rusage.stime).as_secs_f64() / wall.as_secs_f64();
    println!(
        "{streams:7}   {:>27}   {:>26}   {:8.1} %",
        summary(&mut ttft),
        summary(&mut gaps),
        100.0 * cpu
    );
}

fn start_server(sends_file: &Path) -> (Child, String) {
    let mut server = Command::new(RUNNER)
        .args(["simulate", "--ttft", "50ms", "--rate", "100 tok/s", "--sends"])
        .arg(sends_file)
        .args(["--tokens", &TOKENS.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runner simulate starts");
    let output = BufReader::new(server.stdout.take().expect("its output"));
    let url = output.lines().map_while(Result::ok).find_map(|line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    });
    (server, url.expect("the server says its URL"))
}

/// Interrupts the server, which then writes its log.
fn stop(server: &mut Child) {
    let pid = rustix::process::Pid::from_child(server);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    server.wait().expect("it ends");
}

fn start_agent(spec: &Spec) -> Child {
    let mut agent = Command::new(RUNNER)
        .arg("agent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runner agent starts");
    let spec = serde_json::to_vec(spec).expect("a spec in JSON");
    agent.stdin.take().expect("its input").write_all(&spec).expect("it reads");
    let mut events = agent.stdout.take().expect("its output");
    // As the executor does, events are read while they come.
    std::thread::spawn(move || std::io::copy(&mut events, &mut std::io::sink()));
    agent
}

fn spec(streams: u32, url: &str, folder: &Path) -> Spec {
    let agent = |index| AgentSpec {
        name: format!("a{index}"),
        api: Api::Ollama,
        url: url.to_owned(),
        route: Route::default(),
        api_key_env: None,
        model: "simulated".to_owned(),
        options: BTreeMap::new(),
        max_tokens: None,
        calls: vec![CallSpec { prompt: "Count.".to_owned(), warmup: false, stage: None }],
        workflow: None,
    };
    Spec {
        protocol: PROTOCOL,
        run: "bench".to_owned(),
        artifacts: folder.to_owned(),
        agents: (0..streams).map(agent).collect(),
        tokenize: None,
        timeout_ns: 60_000_000_000,
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        probes: ProbeSpec { chunks: true, ..ProbeSpec::default() },
        variant: BTreeMap::new(),
    }
}

/// Absolute errors of every TTFT and of every gap, milliseconds.
fn errors(record: &AgentRecord, sends_file: &Path) -> (Vec<f64>, Vec<f64>) {
    let mut sent: HashMap<String, Vec<u64>> = HashMap::new();
    for send in sends::read(sends_file).expect("the server's log") {
        if send.tokens > 0 {
            sent.entry(send.request).or_default().push(send.time_ns);
        }
    }
    let (mut ttft, mut gaps) = (Vec::new(), Vec::new());
    for call in &record.calls {
        assert!(matches!(call.outcome, Outcome::Ok | Outcome::Length), "{:?}", call.error);
        let sent = &sent[&format!("bench/{}/{}", call.agent, call.call)];
        let read: Vec<u64> =
            call.text_offsets_ns.iter().map(|offset| call.start_ns + offset).collect();
        assert_eq!(read.len(), sent.len(), "chunks read and sent");
        ttft.push(ms(read[0].abs_diff(sent[0])));
        for (read, sent) in read.windows(2).zip(sent.windows(2)) {
            gaps.push(ms((read[1] - read[0]).abs_diff(sent[1] - sent[0])));
        }
    }
    (ttft, gaps)
}

fn ms(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64() * 1e3
}

fn summary(errors: &mut [f64]) -> String {
    errors.sort_by(f64::total_cmp);
    let at = |share: usize| errors[((errors.len() * share).div_ceil(100)).max(1) - 1];
    format!("{:.3} {:.3} {:.3}", at(50), at(99), errors[errors.len() - 1])
}

/// Cores that this thread, and processes it starts, may use.
#[cfg(target_os = "linux")]
mod cores {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub fn available() -> Vec<usize> {
        let set = sched_getaffinity(None).expect("the cores of this process");
        (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
    }

    pub fn stay_on(cores: &[usize]) {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        sched_setaffinity(None, &set).expect("a core of this process");
    }
}

/// Without affinity the figures are those of the whole machine.
#[cfg(not(target_os = "linux"))]
mod cores {
    pub fn available() -> Vec<usize> {
        vec![0]
    }

    pub fn stay_on(_cores: &[usize]) {}
}
