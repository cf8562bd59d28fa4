//! The flamegraph probe: what it finds, how it fails, and that it never holds a run.

mod study;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runner::os::process;
use runner::probe::flamegraph::{SVG_FILE, TOP_FILE};
use runner::python::Python;
use runner::store::Store;
use runner::store::record::RunRecord;

use study::{Manifest, Study};

/// Takes chunks on the standard library alone, and wastes time over each.
const MINIMAL: &str = include_str!("../docs/agents/minimal.py");
const SCORCH: &str = "
def scorch():
    until, waste = time.monotonic() + 0.02, 0
    while time.monotonic() < until:
        waste += sum(number * number for number in range(10000))


def emit(";

/// Does the work of the agent with the Rust runtime, so that nothing but a stand-in can profile it.
const WORK: &str = r#"exec "$RUNNER" agent"#;

/// As [`WORK`], but not done before the profiler is attached (it never is to a calibration).
const UNHURRIED: &str = r#"
spec=$(cat)
printf '%s' "$spec" | "$RUNNER" agent >lines
head -n 1 lines
case $spec in
*'"calibration'*) ;;
*) until [ -e attached ]; do sleep 0.01; done ;;
esac
tail -n +2 lines"#;

fn busy(experiment: &str) -> Study {
    let tables = "[runtime.busy]\ncommand = [\"python3\", \"busy.py\"]\n";
    let experiment = format!("runtime = \"busy\"\n{experiment}");
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 100",
        tables,
        experiment: &experiment,
        ..Manifest::default()
    });
    let decode = "    data = json.loads(payload)\n";
    let text = MINIMAL.replacen("\ndef emit(", SCORCH, 1).replacen(
        decode,
        &format!("    scorch()\n{decode}"),
        1,
    );
    assert!(text.contains("    scorch()"), "the runtime's source has changed");
    fs::write(study.folder.path().join("busy.py"), text).unwrap();
    study
}

/// A study whose profiler is this script.
fn stand_in(script: &str, experiment: &str) -> Study {
    let study = Study::scripted(WORK, &Manifest { experiment, ..Manifest::default() });
    program(&study.folder.path().join("py-spy"), script);
    study
}

#[cfg(unix)]
fn program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Executes with this profiler; the exit code and what was said.
fn exec(study: &Study, py_spy: &Path) -> (Option<i32>, String) {
    let output = study.command(&["exec"]).env("RUNNER_PYSPY", py_spy).output().unwrap();
    (output.status.code(), study::text(&output))
}

fn run(study: &Study) -> (PathBuf, RunRecord) {
    let store = Store::open(&study.results, "demo").unwrap();
    let cell = store.cells().into_iter().next().expect("a run is sealed").to_owned();
    (store.folder(&cell, 1).unwrap().to_owned(), store.runs(&cell)[&1].clone())
}

/// The one run of a study whose profiler is this script: its outcome of the probe.
#[track_caller]
fn outcome(script: &str) -> (PathBuf, String, Study) {
    let study = stand_in(script, "probes = { flamegraph = true }");
    let (code, said) = exec(&study, &study.folder.path().join("py-spy"));
    assert_eq!(code, Some(0), "{said}");
    let (folder, record) = run(&study);
    (folder, record.probes["flamegraph"].clone(), study)
}

/// Writes these stacks to what follows `--output`, when it is asked to end.
fn recording(stacks: &str) -> String {
    format!(
        "while [ $# -gt 0 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n\
         trap 'printf \"{stacks}\" >\"$out\"; exit 0' INT\n\
         echo 'py-spy> Sampling process 100 times a second.' >&2\n\
         touch \"$(dirname \"$0\")/attached\"\n\
         while :; do sleep 0.01; done"
    )
}

fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "no py-spy: {reason}");
    eprintln!("skipped: {reason}");
}

#[test]
fn the_hot_function_of_a_busy_runtime_is_at_the_top() {
    let python = Python::from_environment(&|name| std::env::var_os(name));
    let py_spy = match runner::probe::py_spy::find(&python, &mut |message| eprintln!("{message}")) {
        Ok(py_spy) => py_spy,
        Err(error) => {
            return skip(&error.to_string());
        }
    };
    let study = busy("probes = { flamegraph = { rate = 200 } }");
    let (code, said) = exec(&study, &py_spy);
    assert_eq!(code, Some(0), "{said}");
    let (folder, record) = run(&study);
    let outcome = &record.probes["flamegraph"];
    if outcome.contains("not permitted") {
        return skip(outcome);
    }
    assert_eq!(outcome, "ok");
    let top = fs::read_to_string(folder.join(TOP_FILE)).unwrap();
    let mut lines = top.lines();
    assert_eq!(lines.next(), Some("function,file,samples,percent"));
    let hottest: Vec<&str> = lines.take(2).collect();
    // Python 3.11 and later have `scorch.<locals>.<genexpr>` for what earlier ones call `<genexpr>`.
    let scorching = |line: &&str| line.starts_with("scorch") || line.starts_with("<genexpr>,");
    assert!(hottest.iter().any(scorching) && hottest[0].contains("busy.py"), "{top}");
    let svg = fs::read_to_string(folder.join(SVG_FILE)).unwrap();
    assert!(svg.contains("<svg") && svg.contains("scorch (busy.py:"), "{}", svg.len());
    study.expect(0, &["verify"]);
}

#[test]
fn a_recording_becomes_a_picture_and_a_table() {
    let script = recording("main (a.py:1);hot (a.py:7) 30\\nmain (a.py:2) 10\\n");
    let study = stand_in(&script, "probes = { flamegraph = true }");
    study.script(UNHURRIED);
    let (code, said) = exec(&study, &study.folder.path().join("py-spy"));
    assert_eq!(code, Some(0), "{said}");
    let (folder, record) = run(&study);
    assert_eq!(record.probes["flamegraph"], "ok");
    let top = fs::read_to_string(folder.join(TOP_FILE)).unwrap();
    assert_eq!(top, "function,file,samples,percent\nhot,a.py,30,75.0\nmain,a.py,10,25.0\n");
    assert!(record.files.contains_key(SVG_FILE) && record.files.contains_key(TOP_FILE));

    study.expect(0, &["report"]);
    let reports = study.layout().root().join("report");
    let report = fs::read_to_string(reports.join("demo.md")).unwrap();
    let (_, link) = report.split_once("[flamegraph](").expect("the report links the picture");
    let link = link.split_once(')').unwrap().0.replace('\\', "");
    assert!(reports.join(&link).is_file(), "{link}");
    assert!(report.contains("| `hot` | `a.py` | 30 | 75.0 |"), "{report}");
}

#[test]
fn a_profiler_that_may_not_look_is_said_and_the_run_counts() {
    let (_, outcome, _) = outcome("echo 'Permission Denied: Try sudo' >&2; exit 1");
    assert!(outcome.starts_with("unavailable: py-spy is not permitted"), "{outcome}");
}

#[test]
fn a_required_profiler_that_may_not_look_fails_the_run() {
    let script = "echo 'Permission Denied: Try sudo' >&2; exit 1";
    let study = stand_in(script, "probes = { flamegraph = { required = true } }");
    let (code, said) = exec(&study, &study.folder.path().join("py-spy"));
    assert_eq!(code, Some(3), "{said}");
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "probe");
    assert!(failure.message.contains("`flamegraph` is required and unavailable"), "{failure:?}");
    assert_eq!(failure.calls.len(), 1, "what was measured is kept: {failure:?}");
}

#[test]
fn a_required_profiler_that_is_missing_fails_before_any_call_with_advice() {
    let study = busy("probes = { flamegraph = { required = true } }");
    let missing = Path::new("/no/such/py-spy");
    let (code, said) = exec(&study, missing);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("probe `flamegraph`: it is required and unavailable"), "{said}");
    assert!(study.failures().is_empty());
    let mut command = study.command(&["exec", "--skip-preflight"]);
    let output = command.env("RUNNER_PYSPY", missing).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", study::text(&output));
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "preflight");
    assert!(failure.message.contains("RUNNER_PYSPY names /no/such/py-spy"), "{failure:?}");
    assert_eq!(failure.calls.len(), 0);
}

#[test]
fn without_python_and_a_network_there_is_advice() {
    let study = busy("probes = { flamegraph = true }");
    study.edit(&Manifest {
        tables: "[runtime.shell]\ncommand = [\"/bin/sh\", \"agent.sh\"]\n",
        experiment: "runtime = \"shell\"\nprobes = { flamegraph = true }",
        ..Manifest::default()
    });
    study.script(WORK);
    let mut command = study.command(&["exec"]);
    command.env("PATH", "").env("XDG_CACHE_HOME", study.folder.path()).env_remove("RUNNER_PYSPY");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", study::text(&output));
    let outcome = &run(&study).1.probes["flamegraph"];
    assert!(
        outcome.contains("install Python") && outcome.contains("put py-spy on the search path"),
        "{outcome}"
    );
}

#[test]
fn a_process_that_is_no_python_is_said() {
    let script = "echo 'Error: Failed to find python version from target process' >&2; exit 1";
    let (_, outcome, _) = outcome(script);
    assert_eq!(outcome, "unavailable: py-spy profiles Python processes only");
    let study = Study::new(&Manifest {
        experiment: "probes = { flamegraph = true }",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    assert_eq!(run(&study).1.probes["flamegraph"], outcome);
}

#[test]
fn a_profiler_that_saw_nothing_is_said() {
    let script = recording("\\n");
    let study = stand_in(&script, "probes = { flamegraph = true }");
    study.script(UNHURRIED);
    exec(&study, &study.folder.path().join("py-spy"));
    let outcome = &run(&study).1.probes["flamegraph"];
    assert!(outcome.starts_with("unavailable: no samples"), "{outcome}");
}

#[test]
fn a_profiler_that_does_not_end_is_killed_and_does_not_hold_the_run() {
    let script =
        "trap '' INT TERM\necho $$ >\"$(dirname \"$0\")/pid\"\nwhile :; do sleep 0.1; done";
    let started = Instant::now();
    let (_, outcome, study) = outcome(script);
    assert!(outcome.contains("was killed") || outcome.contains("could attach"), "{outcome}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    if let Ok(pid) = fs::read_to_string(study.folder.path().join("pid")) {
        let pid = pid.trim().parse().unwrap();
        assert_eq!(process::start_mark(pid), None, "the profiler {pid} still runs");
    }
}
