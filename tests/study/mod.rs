//! A study in a temporary folder, and `runner` working on it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use runner::cells::Filters;
use runner::execute::{self, Cancel, ExecError, ExecEvent, Limits, Settings, Stale, Summary};
use runner::plan::Plan;
use runner::python;
use runner::store::failed::{self, Failure};
use runner::store::journal::{self, What};
use runner::store::{Layout, Store};
use serde_json::Value;
use tempfile::TempDir;

pub const RUNNER: &str = env!("CARGO_BIN_EXE_runner");

/// One model, one stream; `{…}` are replaced.
const MANIFEST: &str = r#"
schema = 1
name = "demo"
[defaults]
repeats = 1
warmup = 0
timeout = "5s"
max_tokens = 5
{defaults}
[endpoint]
a = { simulated = { {pacing} } }
[prompt]
p = { text = "Hello" }
[scenario]
one = [{ agent = "left", endpoint = "a", prompt = "p" }]
{tables}
[experiment.t]
matrix = { model = ["m"], scenario = ["one"]{axes} }
{experiment}
"#;

/// What a test says differently from the manifest above.
#[derive(Default)]
pub struct Manifest<'a> {
    pub defaults: &'a str,
    /// Of the endpoint `a`.
    pub pacing: &'a str,
    pub tables: &'a str,
    /// Starts with a comma.
    pub axes: &'a str,
    pub experiment: &'a str,
}

/// The table of the runtime `blocking`, which holds its loop up for `block` milliseconds after each chunk.
pub fn blocking_runtime(block: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/runtimes/blocking.py");
    format!("[runtime.blocking]\ncommand = [\"python3\", \"{script}\", \"{block}\"]")
}

pub struct Study {
    pub folder: TempDir,
    pub results: PathBuf,
}

impl Study {
    pub fn new(manifest: &Manifest<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results");
        let study = Self { folder, results };
        study.edit(manifest);
        study
    }

    /// A study whose runtime is a shell script; `$RUNNER` is this program.
    pub fn scripted(script: &str, manifest: &Manifest<'_>) -> Self {
        let tables =
            format!("{}\n[runtime.scripted]\ncommand = [\"sh\", \"agent.sh\"]\n", manifest.tables);
        let experiment = format!("{}\nruntime = \"scripted\"\n", manifest.experiment);
        let study = Self::new(&Manifest { tables: &tables, experiment: &experiment, ..*manifest });
        study.script(script);
        study
    }

    pub fn script(&self, script: &str) {
        let script = format!("RUNNER='{RUNNER}'\n{script}\n");
        fs::write(self.folder.path().join("agent.sh"), script).unwrap();
    }

    /// Replaces keys instead of repeating them: TOML takes each only once.
    pub fn edit(&self, manifest: &Manifest<'_>) {
        let pacing = match manifest.pacing {
            "" => r#"ttft = "5ms", rate = "1000 tok/s""#,
            pacing => pacing,
        };
        let mut text = MANIFEST.to_owned();
        for line in manifest.defaults.lines() {
            let key = line.split('=').next().unwrap().trim();
            let kept = |old: &&str| old.split('=').next().unwrap().trim() != key;
            text = text.lines().filter(kept).collect::<Vec<_>>().join("\n");
        }
        let text = text
            .replace("{defaults}", manifest.defaults)
            .replace("{pacing}", pacing)
            .replace("{tables}", manifest.tables)
            .replace("{axes}", manifest.axes)
            .replace("{experiment}", manifest.experiment);
        fs::write(self.manifest(), text).unwrap();
    }

    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("demo.toml")
    }

    pub fn plan(&self) -> Plan {
        let study = runner::manifest::load(&self.manifest(), None).unwrap();
        let filters = Filters::default();
        Plan::new(study, &filters).unwrap()
    }

    /// Executes within this process; for limits that a command line does not offer.
    pub fn execute(&self, limits: Limits) -> (Result<Summary, ExecError>, Vec<ExecEvent>) {
        let settings = Settings {
            results: self.results.clone(),
            skip_preflight: false,
            stale: Stale::List,
            rerun_outliers: false,
            limits,
            program: RUNNER.into(),
            python: python::Setup::from_environment(&|name| std::env::var_os(name)),
        };
        let mut events = Vec::new();
        let cancel = Cancel::default();
        let result =
            execute::execute(&self.plan(), &settings, &cancel, &mut |event| events.push(event));
        (result, events)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(RUNNER);
        command.args(&arguments[..1]).arg(self.manifest()).args(&arguments[1..]);
        command.arg("--results").arg(&self.results);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command; fails unless it ends with this code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        text
    }

    /// Starts `exec` and hears its events.
    pub fn start(&self, arguments: &[&str]) -> Exec {
        let mut command = self.command(&[&["exec", "--json"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        Exec { child, events }
    }

    pub fn layout(&self) -> Layout {
        Layout::new(&self.results, "demo").unwrap()
    }

    /// Sealed runs: `<id8>/<repeat>`, sorted.
    pub fn sealed(&self) -> Vec<String> {
        let store = Store::open(&self.results, "demo").unwrap();
        assert_eq!(store.damaged(), []);
        let runs = store.cells().into_iter().flat_map(|cell| {
            store.runs(cell).keys().map(|repeat| format!("{}/{repeat}", &cell[..8]))
        });
        runs.collect()
    }

    pub fn failures(&self) -> Vec<(PathBuf, Failure)> {
        failed::all(&self.layout())
    }

    pub fn journal(&self) -> Vec<What> {
        let entries = journal::read(&self.layout().journal()).unwrap();
        entries.into_iter().map(|entry| entry.what).collect()
    }

    /// The process id of the last agent that was started.
    pub fn last_agent(&self) -> u32 {
        let started = self.journal().into_iter().rev().find_map(|what| match what {
            What::Started { pid, .. } => Some(pid),
            _ => None,
        });
        started.expect("an agent was started")
    }
}

/// A running `exec`.
pub struct Exec {
    pub child: Child,
    events: BufReader<ChildStdout>,
}

impl Exec {
    /// Reads events until one of this name.
    pub fn wait_for(&mut self, name: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.events.read_line(&mut line).unwrap() > 0, "exec ended before `{name}`");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    pub fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }

    /// Reads on and waits; the exit code (`None` after a signal) and everything it still said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let rest = self.events.lines().map(|line| line.unwrap() + "\n").collect::<String>();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut errors).unwrap();
        (self.child.wait().unwrap().code(), rest + &errors)
    }
}

/// Whether tests that need any Python can be made. Where they cannot they are skipped, said past the
/// harness, which hides what tests print; in CI they fail.
pub fn python_is_there(test: &str) -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "there is no python3, which {test} needs");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: there is no python3");
    }
    there
}

/// The cache with the Python runtime's environment, made where it is missing. Where it cannot be made a
/// test is skipped in the same way.
pub fn python_cache(test: &str) -> Option<PathBuf> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let mut setup = python::Setup::from_environment(&|name| std::env::var_os(name));
    setup.python.cache = Some(cache.clone());
    if let Err(error) = setup.prepare(&mut |message| eprintln!("{message}")) {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "{error}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {error}");
        return None;
    }
    Some(cache)
}

pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill {signal} {pid}");
}

/// Everything a command said, without the line breaks of its messages.
pub fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}
