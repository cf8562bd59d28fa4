//! How exact the runtimes' times are while one core serves many streams that start together.
//!
//! `cargo bench --bench streams`: the agent on one core, its server on the others, the first call of each
//! stream without a call to warm up. Each figure is measured twice: from outside, by the log of a server
//! that shares nothing with this project's code, and by the paced endpoint's log; beside them what the run
//! itself says, the time for which its reads lay in the kernel. The error of TTFT is the client's, from its
//! send, less the server's, from the request's arrival (which only the one log tells) or from its read: what
//! a server takes until it reads is its own. Prints figures, judges none. Other work on
//! the same cores shows as milliseconds at p99: run it on a machine that is idle, or ahead of its other
//! work (`chrt -r 10 cargo bench --bench streams`). Names on the command line pick runtimes.

#[path = "../tests/outside/client.rs"]
mod client;
#[path = "../tests/outside/cores.rs"]
mod cores;
#[path = "../tests/outside/figures.rs"]
mod figures;
#[path = "../tests/python/runtime.rs"]
#[expect(dead_code, reason = "the tests of Python's own use the rest")]
mod python;
#[path = "../tests/outside/server.rs"]
mod server;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use formats::endpoint::Api;
use formats::sends::{self, SENDS_FILE};

use self::figures::{Figures, percentile};
use self::server::{Schedule, Served, Server};

/// Five seconds at 100 tokens per second.
const TOKENS: u32 = 500;
const FIRST: Duration = Duration::from_millis(50);
const GAP: Duration = Duration::from_millis(10);

fn main() {
    server::serve_if_asked();
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    if wanted("rust") {
        title("Rust runtime");
        for streams in [1, 64, 256] {
            measure(client::rust, streams);
        }
    }
    if wanted("python") {
        title("Python runtime");
        for streams in [1, 8, 64] {
            measure(python::command, streams);
        }
    }
}

fn title(runtime: &str) {
    let (server, agent) = cores::divided();
    println!(
        "{runtime}: {TOKENS} tokens at 100/s, first call, no warm-up; agent on core {agent:?}, server on \
         {server:?}; milliseconds: p50 p99 max"
    );
    println!(
        "streams  server    TTFT error             the same from read     send → first read      \
         less own delay         gap error              start → sent           own read delay         agent CPU"
    );
}

/// Both servers in turn, so that both figures are of the same minute.
fn measure(runtime: fn() -> Command, streams: u32) {
    for (name, of) in [("outside", outside as Measure), ("paced", paced)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (figures, cpu) = of(runtime(), streams, folder.path());
        println!(
            "{streams:7}  {name:8}{}{}{}{}{}{}{}{:9.1} %",
            summary(&figures.ttft),
            summary(&figures.ttft_from_read),
            summary(&figures.first),
            summary(&figures.untold),
            summary(&figures.gap),
            summary(&figures.send_delay),
            summary(&figures.read_delay),
            100.0 * cpu
        );
    }
}

type Measure = fn(Command, u32, &Path) -> (Figures, f64);

/// Against the server of known schedule.
fn outside(runtime: Command, streams: u32, folder: &Path) -> (Figures, f64) {
    let (server_cores, agent_cores) = cores::divided();
    let connections = streams as usize + 8;
    let schedule = Schedule { first: FIRST, gap: GAP, chunks: TOKENS, connections };
    let server = Server::start(schedule, &server_cores, folder);
    let spec = client::spec(streams, Api::Ollama, &server.url, folder);
    let finished = client::run(runtime, &agent_cores, &spec, |_, _| {});
    (Figures::of(&finished.record.calls, &server.end()), finished.cpu)
}

/// Against the paced endpoint.
fn paced(runtime: Command, streams: u32, folder: &Path) -> (Figures, f64) {
    let (server_cores, agent_cores) = cores::divided();
    let sends_file = folder.join(SENDS_FILE);
    let (mut server, url) = cores::started_on(&server_cores, || start_paced(&sends_file));
    let spec = client::spec(streams, Api::Ollama, &url, folder);
    let finished = client::run(runtime, &agent_cores, &spec, |_, _| {});
    // Interrupted, it writes its log.
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    server.wait().expect("it ends");
    (Figures::of(&finished.record.calls, &log(&sends_file)), finished.cpu)
}

fn start_paced(sends_file: &Path) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_runner"))
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

/// The paced endpoint's log in the words of the other server.
fn log(path: &Path) -> HashMap<String, Served> {
    let mut served: HashMap<String, Served> = HashMap::new();
    for send in sends::read(path).expect("the server's log") {
        let read_ns = send.request_read_ns.expect("when the request was read");
        let its = served.entry(send.request).or_insert_with(|| Served {
            arrived_ns: None,
            read_ns,
            sent_ns: Vec::new(),
            head_ns: None,
            port: 0,
        });
        if send.tokens > 0 {
            its.sent_ns.push(send.time_ns);
        } else if its.sent_ns.is_empty() {
            its.head_ns = Some(send.time_ns);
        }
    }
    served
}

fn summary(values: &[f64]) -> String {
    if values.is_empty() {
        return format!("  {:21}", "not told");
    }
    let of = |share| percentile(values, share);
    format!("  {:21}", format!("{:.3} {:.3} {:.3}", of(50), of(99), of(100)))
}
