//! Whatever interrupts an exec, the next one goes on: every run exists exactly once.

mod study;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use runner::os::process;
use runner::store::journal::What;

use study::{Manifest, RUNNER, Study, files, send};

/// Runs that take about a second each.
const SLOW: &str = r#"ttft = "20ms", rate = "100 tok/s""#;
const SLOW_TOKENS: &str = "max_tokens = 100\nrepeats = 3";
/// As [`SLOW_TOKENS`] in a run that only ends when it is ended.
const ENDLESS: &str = r#"ttft = "20ms", rate = "10 tok/s""#;

fn slow() -> Study {
    Study::new(&Manifest { defaults: SLOW_TOKENS, pacing: SLOW, ..Manifest::default() })
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_done_is_not_done_again() {
    let axes = r#", throttle = ["500 tok/s", "800 tok/s"]"#;
    let study = Study::new(&Manifest { axes, defaults: "repeats = 2", ..Manifest::default() });
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("0 runs done, 4 to do") && said.contains("4 runs made"), "{said}");
    assert_eq!(study.sealed().len(), 4);
    let before = study.journal().len();
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("4 runs done, nothing to do"), "{said}");
    assert_eq!(study.journal().len(), before);
    study.expect(0, &["verify"]);

    // The table of edits, by the program.
    study.edit(&Manifest {
        axes,
        defaults: "repeats = 3\ntimeout = \"4s\"",
        ..Manifest::default()
    });
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("4 runs done, 2 to do"), "{said}");
    let axes = r#", throttle = ["500 tok/s", "800 tok/s", "900 tok/s"]"#;
    study.edit(&Manifest { axes, defaults: "repeats = 1", ..Manifest::default() });
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("2 runs done, 1 to do"), "{said}");
    assert_eq!(study.sealed().len(), 7, "what is hidden is not deleted");
}

#[test]
fn a_sealed_run_says_everything() {
    let experiment = "probes = { chunks = true }\nwarmup = 1";
    let study = Study::new(&Manifest { experiment, ..Manifest::default() });
    study.expect(0, &["exec"]);
    let run = files(&study.layout().runs());
    let names: Vec<String> =
        run.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for name in ["run.json", "spec.json", "agent.json", "agent.log", "sends.csv", "left-1.txt"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    let text = fs::read_to_string(run.iter().find(|path| path.ends_with("run.json")).unwrap());
    let record: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!(record["metrics"]["tokens"], 5.0);
    assert_eq!(record["calls"].as_array().unwrap().len(), 2);
    assert!(record["process"]["cpu_s"].as_f64().unwrap() > 0.0);
    assert!(record["process"]["startup_ms"].as_f64().unwrap() > 0.0);
    assert!(record["process"]["peak_rss_mb"].as_f64().unwrap() > 1.0);
    assert_eq!(record["evidence"]["endpoints"]["a"]["kind"], "simulated");
    assert!(record["evidence"]["calibration"]["ttft_error_ms"]["p50"].is_number());
    assert_eq!(record["evidence"]["agent"]["info"]["name"], "rust");
    let prompt =
        |repeat: &serde_json::Value| repeat["agents"][0]["calls"].as_array().unwrap().clone();
    let spec = fs::read_to_string(run.iter().find(|path| path.ends_with("spec.json")).unwrap());
    let calls = prompt(&serde_json::from_str(&spec.unwrap()).unwrap());
    assert_ne!(calls[0]["prompt"], calls[1]["prompt"], "warm-up must not fill the prompt cache");
}

#[test]
fn each_setting_of_a_runtime_is_an_instrument_of_its_own() {
    // A throttle hides the error of gaps, so that these runs need calibrations.
    let axes = r#", batch = ["off", "50ms"], throttle = ["90 tok/s"]"#;
    let study = Study::new(&Manifest { axes, defaults: "repeats = 2", ..Manifest::default() });
    let said = study.expect(0, &["exec"]);
    assert_eq!(said.matches("calibrating the runtime").count(), 2, "{said}");
    assert!(
        said.contains("calibrating the runtime rust (batch 0.05) with 1 stream at 1000 tok/s"),
        "{said}"
    );
    let records = files(&study.layout().runs());
    let records = records.iter().filter(|path| path.ends_with("run.json"));
    let mut gap_errors = [Vec::new(), Vec::new()];
    for path in records {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let calibration = &record["evidence"]["calibration"];
        let batch = record["identity"]["variant"]["batch"].clone();
        assert_eq!(calibration["settings"]["batch"], batch);
        assert_eq!(calibration["own"], false);
        gap_errors[usize::from(!batch.is_null())]
            .push(calibration["gap_error_ms"]["p99"].as_f64().unwrap());
    }
    let [at_once, batched] = gap_errors;
    assert_eq!((at_once.len(), batched.len()), (2, 2));
    // Five tokens come at each tick and none between.
    assert!(batched[0] > 30.0 && at_once[0] < batched[0], "{at_once:?} {batched:?}");
}

#[test]
fn runs_on_paced_endpoints_alone_are_their_own_calibration() {
    let study = Study::new(&Manifest::default());
    let said = study.expect(0, &["exec"]);
    assert!(!said.contains("calibrating"), "{said}");
    let records = files(&study.layout().runs());
    let path = records.iter().find(|path| path.ends_with("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let calibration = &record["evidence"]["calibration"];
    assert_eq!(calibration["own"], true);
    assert_eq!(calibration["apis"], serde_json::json!(["ollama"]));
    // What the instrument says of itself is what the run's metrics say of it.
    let error = record["metrics"]["ttft_error_ms"].as_f64().unwrap();
    assert_eq!(calibration["ttft_error_ms"]["max"], error);
}

#[test]
fn a_killed_exec_is_continued() {
    let study = slow();
    let mut exec = study.start(&[]);
    exec.wait_for("run_finished");
    exec.wait_for("first_token");
    let agent = study.last_agent();
    exec.signal("-KILL");
    assert_eq!(exec.end().0, None);
    assert_eq!(study.sealed().len(), 1);
    assert_eq!(study.layout().partials().len(), 1);
    wait_until("the agent ends with its exec", || process::start_mark(agent).is_none());

    let said = study.expect(0, &["exec"]);
    assert!(said.contains("1 run done, 2 to do"), "{said}");
    assert_eq!(study.sealed().len(), 3);
    assert!(study.layout().partials().is_empty());
    let failures = study.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].1.cause, "abandoned");
    study.expect(0, &["verify"]);
    study.expect(0, &["exec"]);
}

/// The exec is killed, its agent lives on, and the next exec ends it before it makes the run.
#[track_caller]
fn is_ended_by_the_next_exec(study: &Study, exec: study::Exec, agent: u32) {
    exec.signal("-KILL");
    exec.end();
    assert!(process::start_mark(agent).is_some(), "the orphan lives on");
    fs::write(study.folder.path().join("second"), "").unwrap();
    let said = study.expect(0, &["exec"]);
    assert!(said.contains(&format!("ended process {agent}")), "{said}");
    wait_until("the orphan is gone", || process::start_mark(agent).is_none());
    assert_eq!(study.sealed().len(), 1);
}

#[test]
fn the_orphan_of_a_killed_exec_is_ended_before_anything_is_measured() {
    // A runtime that does not end with its parent, unlike the Rust one.
    let script = r#"spec=$(cat)
case "$spec" in
    *'"run": "calibration"'*) printf '%s' "$spec" | "$RUNNER" agent;;
    *) test -e second && { printf '%s' "$spec" | "$RUNNER" agent; exit; }
       echo '{"event":"ready","t_ns":1,"protocol":2,"runtime":{"name":"x","version":"1"}}'
       echo '{"event":"call_started","t_ns":1,"agent":"left","call":0,"warmup":false}'
       sleep 120;;
esac"#;
    let study = Study::scripted(script, &Manifest::default());
    let mut exec = study.start(&[]);
    exec.wait_for("call_started");
    let agent = study.last_agent();
    is_ended_by_the_next_exec(&study, exec, agent);
}

#[test]
fn the_orphan_of_a_calibration_is_ended_as_well() {
    let script = r#"spec=$(cat)
test -e second && { printf '%s' "$spec" | "$RUNNER" agent; exit; }
test -n "$spec" && touch begun
echo '{"event":"ready","t_ns":1,"protocol":2,"runtime":{"name":"x","version":"1"}}'
sleep 120"#;
    // Held back by a throttle, a run cannot tell the error of its own timestamps.
    let axes = r#", throttle = ["900 tok/s"]"#;
    let study = Study::scripted(script, &Manifest { axes, ..Manifest::default() });
    let exec = study.start(&[]);
    let started = || {
        study.journal().into_iter().find_map(|what| match what {
            What::Calibrating { pid, .. } => Some(pid),
            _ => None,
        })
    };
    // One that is killed before it has its spec ends by itself.
    wait_until("it has its spec", || study.folder.path().join("begun").exists());
    let agent = started().expect("the line comes before the spec");
    is_ended_by_the_next_exec(&study, exec, agent);
}

#[test]
fn a_killed_agent_is_a_failed_attempt_and_is_tried_again() {
    let defaults = "max_tokens = 100\nretry = { max = 1, on = [\"agent\"] }";
    let study = Study::new(&Manifest { defaults, pacing: SLOW, ..Manifest::default() });
    let mut exec = study.start(&[]);
    exec.wait_for("first_token");
    send("-KILL", study.last_agent());
    let failed = exec.wait_for("attempt_failed");
    assert_eq!(failed["retry"], true);
    assert!(failed["reason"].as_str().unwrap().contains("SIGKILL"), "{failed}");
    assert_eq!(exec.end().0, Some(0));
    let (kept, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "agent");
    assert!(kept.join("agent.log").exists());
    assert_eq!(study.sealed().len(), 1);
    study.expect(0, &["verify"]);
}

#[test]
fn two_execs_at_once_do_not_meet() {
    let study = slow();
    let mut first = study.start(&[]);
    first.wait_for("run_started");
    let said = study.expect(1, &["exec"]);
    assert!(said.contains(&format!("process {}", first.child.id())), "{said}");
    let status = study.expect(0, &["status"]);
    assert!(status.contains(&format!("at work: process {}", first.child.id())), "{status}");
    assert_eq!(first.end().0, Some(0));
    let status = study.expect(0, &["status"]);
    assert!(status.contains("no exec is at work"), "{status}");
}

#[test]
fn ctrl_c_once_finishes_the_current_run() {
    let study = slow();
    let mut exec = study.start(&[]);
    exec.wait_for("first_token");
    exec.signal("-INT");
    exec.wait_for("stopping");
    let (code, rest) = exec.end();
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains(r#""event":"run_finished""#), "{rest}");
    assert_eq!(study.sealed().len(), 1);
    assert!(study.failures().is_empty());
    let last = study.journal().pop();
    assert_eq!(last, Some(What::Ended { made: 1, failed: 0, interrupted: true }));
    study.expect(0, &["exec"]);
    assert_eq!(study.sealed().len(), 3);
}

#[test]
fn ctrl_c_twice_abandons_the_current_run() {
    let defaults = "max_tokens = 1000\ntimeout = \"2m\"";
    let study = Study::new(&Manifest { defaults, pacing: ENDLESS, ..Manifest::default() });
    let mut exec = study.start(&[]);
    exec.wait_for("first_token");
    let agent = study.last_agent();
    exec.signal("-INT");
    exec.wait_for("stopping");
    exec.signal("-INT");
    let started = Instant::now();
    let (code, rest) = exec.end();
    assert_eq!(code, Some(130), "{rest}");
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(process::start_mark(agent), None);
    assert_eq!(study.failures()[0].1.cause, "cancelled");
    assert!(study.sealed().is_empty());
    assert!(study.layout().partials().is_empty());
}

#[test]
fn a_moved_results_folder_is_continued_from_another_directory() {
    let mut study = Study::new(&Manifest::default());
    study.expect(0, &["exec"]);
    let moved = study.folder.path().join("elsewhere");
    fs::rename(&study.results, &moved).unwrap();
    study.results = moved;
    study.edit(&Manifest { defaults: "repeats = 2", ..Manifest::default() });
    // A relative results folder, and the manifest of another directory.
    let mut command = Command::new(RUNNER);
    command.arg("exec").arg(study.manifest()).args(["--results", "elsewhere"]);
    let output = command.current_dir(study.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    assert_eq!(study.sealed().len(), 2);
    study.expect(0, &["verify"]);
}

#[test]
fn a_damaged_run_is_reported_kept_and_measured_again() {
    let study = Study::new(&Manifest::default());
    study.expect(0, &["exec"]);
    let records = files(&study.layout().runs());
    let record = records.iter().find(|path| path.ends_with("run.json")).unwrap();
    fs::write(record, "{").unwrap();
    let said = study.expect(6, &["verify"]);
    assert!(said.contains("unreadable: ") && said.contains("absent: "), "{said}");
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("is damaged") && said.contains("1 run made"), "{said}");
    assert_eq!(study.failures()[0].1.cause, "damaged");
    study.expect(0, &["verify"]);
}

#[test]
fn stale_runs_stay_until_they_are_asked_to_be_measured_again() {
    let script = r#"spec=$(cat); printf '%s' "$spec" | "$RUNNER" agent"#;
    let study = Study::scripted(script, &Manifest::default());
    study.expect(0, &["exec"]);
    study.script(&format!("# another version\n{script}"));
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("the code of the runtime `scripted` changed (1 runs)"), "{said}");
    assert!(said.contains("nothing to do"), "{said}");
    let said = study.expect(0, &["exec", "--accept-stale"]);
    assert!(!said.contains("other circumstances"), "{said}");
    let said = study.expect(0, &["exec", "--rerun-stale"]);
    assert!(said.contains("0 runs done, 1 to do"), "{said}");
    assert_eq!(study.sealed().len(), 1);
    let old = files(&study.layout().superseded());
    assert!(old.iter().any(|path| path.ends_with("run.json")), "{old:?}");
    study.expect(0, &["verify"]);
    let said = study.expect(0, &["exec", "--rerun-stale"]);
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn a_full_disk_stops_before_the_first_call_or_with_the_failed_run_kept() {
    let tiny = Tmpfs::mount("1m");
    let large = Tmpfs::mount("66m");
    let (Some(tiny), Some(large)) = (tiny, large) else {
        eprintln!("skipped: mounting a tmpfs needs privileges that this user has not");
        return;
    };
    let mut study = Study::new(&Manifest::default());
    study.results = tiny.folder();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("at least 64 MiB"), "{said}");

    // Enough to start, until the runtime fills it.
    let script = r#"spec=$(cat)
case "$spec" in *'"run": "calibration"'*) exit 1;; esac
folder=$(printf '%s' "$spec" | sed -n 's/.*"artifacts": "\(.*\)".*/\1/p')
head -c 80000000 /dev/zero >"$folder/big" || exit 1"#;
    let defaults = "repeats = 3";
    let mut study = Study::scripted(script, &Manifest { defaults, ..Manifest::default() });
    study.results = large.folder();
    let said = study.expect(1, &["exec"]);
    assert!(said.contains("finished runs are safe"), "{said}");
    assert!(study.sealed().is_empty());
    let kept = files(&study.layout().failed());
    assert!(kept.iter().any(|path| path.ends_with("big")), "{kept:?}");
}

/// A small disk; unmounted when dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn folder(&self) -> std::path::PathBuf {
        self.0.path().join("results")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn keys_reach_servers_and_nothing_else() {
    use simulator::Server;
    const KEY: &str = "sk-secret-4711";
    let pacing = match study_endpoint() {
        runner::manifest::study::Endpoint::Paced(pacing) => pacing,
        other @ runner::manifest::study::Endpoint::Server(_) => panic!("{other:?}"),
    };
    let server = Server::start(pacing, "127.0.0.1:0".parse().unwrap()).unwrap();
    let study = Study::new(&Manifest::default());
    let text = fs::read_to_string(study.manifest()).unwrap();
    let endpoint =
        format!("a = {{ openai = \"{}\", api_key_env = \"DEMO_KEY\" }}", server.base_url());
    let text: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("a = {") { endpoint.as_str() } else { line })
        .collect();
    // The model that the paced endpoint lists.
    let text = text.join("\n").replace(r#"model = ["m"]"#, r#"model = ["simulated"]"#);
    fs::write(study.manifest(), text).unwrap();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("DEMO_KEY"), "{said}");
    let output = study.command(&["exec"]).env("DEMO_KEY", KEY).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    assert_eq!(study.sealed().len(), 1);
    assert!(!study::text(&output).contains(KEY));
    for file in files(study.folder.path()) {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key stands in {}", file.display());
    }
}

/// The endpoint of the usual manifest, speaking OpenAI's protocol.
fn study_endpoint() -> runner::manifest::study::Endpoint {
    let pacing = r#"ttft = "5ms", rate = "1000 tok/s", protocol = "openai_chat""#;
    let study = Study::new(&Manifest { pacing, ..Manifest::default() });
    study.plan().study().endpoints["a"].clone()
}

#[test]
fn a_debug_build_says_so_before_its_runtime_measures() {
    let study = Study::new(&Manifest::default());
    let said = study.expect(0, &["exec"]);
    assert_eq!(
        said.matches("this is a debug build").count(),
        usize::from(cfg!(debug_assertions)),
        "{said}"
    );
    let store = runner::store::Store::open(&study.results, "demo").unwrap();
    let record = &store.runs(store.cells()[0])[&1];
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    assert_eq!(record.evidence.agent.profile.as_deref(), Some(profile));
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert_eq!(report.contains("**debug build**"), cfg!(debug_assertions), "{report}");
    // Nothing to measure, and nothing that it measures by itself.
    assert!(!study.expect(0, &["exec"]).contains("debug build"));
    let command = "schema = 1\nname = \"demo\"\n[experiment.c]\ncommand = [\"true\"]\n";
    fs::write(study.manifest(), command).unwrap();
    assert!(!study.expect(0, &["exec"]).contains("debug build"));
}
