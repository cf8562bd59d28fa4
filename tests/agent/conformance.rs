//! The check of runtimes: it passes what is right and names what is not.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");
const MINIMAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/agents/minimal.py");

fn check(command: &[&str]) -> Output {
    Command::new(RUNNER).args(["agent", "--json", "--conformance"]).args(command).output().unwrap()
}

/// Requirements that were not met, with their hints.
fn failed(output: &Output) -> Vec<(String, String)> {
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    assert!(findings.len() > 30);
    findings
        .iter()
        .filter(|check| check["passed"] == false && check["not_supported"] != true)
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap().to_owned();
            (text("requirement"), text("hint"))
        })
        .collect()
}

fn python_is_there() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "there is no python3, which this test needs");
        // Past the harness, which hides what tests print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: conformance of the example: no python3");
    }
    there
}

#[test]
fn the_rust_runtime_meets_every_requirement() {
    let output = check(&[RUNNER, "agent"]);
    assert_eq!(failed(&output), []);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_documented_example_meets_every_requirement() {
    if python_is_there() {
        let output = check(&["python3", MINIMAL]);
        assert_eq!(failed(&output), []);
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.matches("\"not_supported\": true").count(),
            8,
            "workflows, tokenizers, two wire protocols, kept connections, doses of lag: {said}"
        );
    }
}

#[test]
fn programs_that_are_no_runtimes_fail_with_exit_code_3() {
    let output = check(&["true"]);
    assert_eq!(output.status.code(), Some(3));
    let failed = failed(&output);
    assert!(failed.iter().any(|(requirement, _)| requirement == "leaves agent.json"));
    let table = Command::new(RUNNER).args(["agent", "--conformance", "true"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("FAIL  says done last\n"), "{table}");
}

#[test]
fn a_program_that_does_not_exist_is_a_usage_error() {
    let output = check(&["/no/such/program"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/no/such/program"));
}

/// A fault put into the example, and the requirement that it breaks.
type Fault = (&'static str, &'static str, &'static str);

/// Faults that do not hide each other.
const CARELESS: [Fault; 12] = [
    ("\"x-request-id\"", "\"x-id\"", "sends x-request-id: run/agent/call"),
    (
        "if text:\n                if not",
        "if True:\n                if not",
        "notes a time for every chunk with text",
    ),
    ("    barrier.wait()", "    pass", "starts measured calls after every agent's warm-up"),
    ("text and spec.get(", "text and {}.get(", "takes chunks no faster than the throttle"),
    (
        "outcome=\"truncated\", error=\"the",
        "outcome=\"ok\", error=\"the",
        "records a stream without its last record",
    ),
    ("outcome=\"timeout\"", "outcome=\"truncated\"", "gives a call up at its timeout"),
    ("sys.exit(2)", "sys.exit(0)", "refuses a protocol that it does not know"),
    (
        "(probes.get(\"idle_ns\", 0) / 1e9)",
        "(0)",
        "waits for the idle control before its first call",
    ),
    ("probes.get(\"loop_lag_ns\")", "False", "writes loop_lag.csv when asked, or refuses"),
    ("elif spec.get(\"lag_dose\")", "elif False", "holds up its event loop when asked"),
    ("elif spec.get(\"variant\")", "elif False", "refuses a setting that it does not know"),
    ("\"\".join(texts)", "\"\".join(texts).strip()", "writes every answer as it was sent"),
];
const WRONG_CLOCK: [Fault; 2] = [
    ("time.monotonic_ns", "time.time_ns", "takes times from CLOCK_MONOTONIC when a read returns"),
    (
        "    emit(\"done\")",
        "    emit(\"done\"); sys.exit(1)",
        "exits with 0 when everything is written",
    ),
];

#[test]
fn each_fault_is_found_by_its_requirement() {
    if !python_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let find = |name: &str, faults: &[Fault]| {
        let mut source = std::fs::read_to_string(MINIMAL).unwrap();
        for (right, wrong, _) in faults {
            assert_eq!(source.matches(right).count(), 1, "{right}");
            source = source.replace(right, wrong);
        }
        let path = folder.path().join(name);
        std::fs::write(&path, source).unwrap();
        let output = check(&["python3", path_text(&path)]);
        assert_eq!(output.status.code(), Some(3));
        let failed = failed(&output);
        for (_, wrong, requirement) in faults {
            assert!(
                failed.iter().any(|(name, _)| name == requirement),
                "{wrong} breaks {requirement:?}, found was {failed:#?}"
            );
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| find("careless.py", &CARELESS));
        scope.spawn(|| find("wrong_clock.py", &WRONG_CLOCK));
    });
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
