//! What a run costs besides its calls: from its start to its seal, and from one seal to the next.
//!
//! `cargo bench --bench overhead`: `runner exec` makes short runs of the Rust runtime against the paced
//! endpoint; the times are those at which its events are heard, less the time from the first call's start
//! to the last one's end. With `RUNNER_BASELINE=/path/to/another/runner` that program takes turns with this
//! one, so that both are measured in the same minutes. Target: under 30 ms.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Turns of each program, and runs in each.
const TURNS: usize = 4;
const RUNS: usize = 10;

/// Milliseconds besides the calls, one per run.
#[derive(Default)]
struct Costs {
    /// From `run_started` to `run_finished`.
    own: Vec<f64>,
    /// From one `run_finished` to the next.
    each: Vec<f64>,
}

fn main() {
    let mut programs = vec![("this one", PathBuf::from(env!("CARGO_BIN_EXE_runner")))];
    programs.extend(std::env::var_os("RUNNER_BASELINE").map(|path| ("baseline", path.into())));
    let mut costs: Vec<Costs> = programs.iter().map(|_| Costs::default()).collect();
    for _ in 0..TURNS {
        for ((_, program), costs) in programs.iter().zip(&mut costs) {
            exec(program, costs);
        }
    }
    println!(
        "{:10} {:>5}   {:26} {:26}",
        "program", "runs", "start to seal, ms", "seal to seal, ms"
    );
    for ((name, _), Costs { own, each }) in programs.iter().zip(&costs) {
        println!("{name:10} {:5}   {:26} {:26}", own.len(), summary(own), summary(each));
    }
}

fn summary(values: &[f64]) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let below = |share: usize| values[(values.len() * share).div_ceil(100).max(1) - 1];
    format!("p50 {:.1}  p90 {:.1}", below(50), below(90))
}

/// Executes a study of its own in a fresh folder.
fn exec(program: &Path, costs: &mut Costs) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = folder.path().join("overhead.toml");
    std::fs::write(&manifest, study()).expect("a manifest");
    let mut child = Command::new(program)
        .args(["exec", "--json", "--results"])
        .arg(folder.path().join("results"))
        .arg(&manifest)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let events = BufReader::new(child.stdout.take().expect("its output"));
    let (mut started, mut finished) = (None, None);
    for line in events.lines().map_while(Result::ok) {
        let heard = Instant::now();
        let event: Value = serde_json::from_str(&line).expect("an event");
        if event["event"] == "run_started" {
            started = Some(heard);
        }
        if event["event"] == "run_finished" {
            let calls_ms = calls_ms(folder.path(), &event["repeat"]);
            let since = |then: Instant| ms(heard - then) - calls_ms;
            costs.own.extend(started.map(since));
            costs.each.extend(finished.map(since));
            finished = Some(heard);
        }
    }
    assert!(child.wait().expect("it ends").success(), "{} failed", program.display());
}

/// From the first call's start to the last one's end, milliseconds.
fn calls_ms(folder: &Path, repeat: &Value) -> f64 {
    let mut folders = std::fs::read_dir(folder.join("results/overhead/runs")).expect("runs");
    let only = folders.next().expect("a cell").expect("its folder").path();
    let record = std::fs::read(only.join(repeat.to_string()).join("agent.json")).expect("a record");
    let record: Value = serde_json::from_slice(&record).expect("a record in JSON");
    let calls = record["calls"].as_array().expect("calls");
    let times = |key: &str| calls.iter().filter_map(|call| call[key].as_u64()).collect::<Vec<_>>();
    let start_ns = times("start_ns").into_iter().min().expect("a start");
    let end_ns = times("end_ns").into_iter().max().expect("an end");
    ms(Duration::from_nanos(end_ns - start_ns))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Two streams at a time, as in the smallest study of interest.
fn study() -> String {
    format!(
        r#"
schema = 1
name = "overhead"
[defaults]
repeats = {RUNS}
warmup = 0
timeout = "5s"
max_tokens = 10
[endpoint]
a = {{ simulated = {{ ttft = "20ms", rate = "200 tok/s" }} }}
[prompt]
p = {{ text = "Hello" }}
[scenario]
pair = [{{ agent = "left", endpoint = "a", prompt = "p" }}, {{ agent = "right", endpoint = "a", prompt = "p" }}]
[experiment.t]
matrix = {{ model = ["m"], scenario = ["pair"] }}
"#
    )
}
