//! The commands `report` and `export` as a user runs them.

use std::process::{Command, Output};

use crate::stored::{Stored, files};

fn runner(stored: &Stored, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(stored.dir.path())
        .env("NO_COLOR", "1")
        .env_remove("RUNNER_RESULTS")
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn report_writes_pages_and_prints_the_path() {
    let stored = Stored::complete();
    let printed = stdout(&runner(&stored, &["report", "small.toml"]));
    assert_eq!(printed, "results/small/report/small.md\nresults/small/report/small.html\n");
    let written = files(&stored.results());
    let summaries = written.keys().filter(|path| path.ends_with("summary.md")).count();
    assert_eq!(summaries, 2);
    let report = &written[&stored.results().join("small/report/small.md")];
    assert!(written[&stored.results().join("small/report/small.html")].starts_with(b"<!doctype"));
    let figures = written.keys().filter(|path| path.extension().is_some_and(|own| own == "svg"));
    assert!(figures.count() >= 3);
    let again = stdout(&runner(&stored, &["report", "small.toml", "--stdout"]));
    assert_eq!(again.as_bytes(), report);
    stdout(&runner(&stored, &["report", "small.toml"]));
    assert_eq!(files(&stored.results()), written);
}

#[test]
fn report_of_missing_runs_lists_them_and_the_command() {
    let stored = Stored::complete();
    stored.remove(0, 3);
    let message = failed(&runner(&stored, &["report", "small.toml"]), 1);
    assert!(message.contains("1 run(s) of 1 cell(s) are missing"), "{message}");
    assert!(message.contains("repeat 3"), "{message}");
    assert!(message.contains("runner exec small.toml"), "{message}");
    assert!(!stored.results().join("small/report").exists());
    stdout(&runner(&stored, &["report", "small.toml", "--partial"]));
}

#[test]
fn a_template_of_ones_own() {
    let stored = Stored::complete();
    let file = stored.dir.path().join("own.md.j2");
    std::fs::write(&file, "{{ study.name }}\n{{ mean(\"nothing\") }}\n").unwrap();
    let args = ["report", "small.toml", "--template", "own.md.j2", "--stdout"];
    let message = failed(&runner(&stored, &args), 1);
    assert!(message.contains("own.md.j2:2: there is no metric `nothing`"), "{message}");
    assert!(message.contains("mean(\"nothing\")"), "no source shown: {message}");
    std::fs::write(&file, "{{ study.name }}\n").unwrap();
    assert_eq!(stdout(&runner(&stored, &args)), "small\n");
}

#[test]
fn export_of_runs_and_calls() {
    let stored = Stored::complete();
    let runs = stdout(&runner(&stored, &["export", "small.toml"]));
    // three runs of two cells under `throttle`, of one under `again`
    assert_eq!(runs.lines().count(), 1 + 9);
    insta::assert_snapshot!("export_runs", runs);
    let calls = stdout(&runner(&stored, &["export", "small.toml", "--table", "calls"]));
    assert_eq!(calls.lines().count(), 1 + 9 * 4);
    let json = stdout(&runner(&stored, &["export", "small.toml", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 9);
    assert_eq!(json[0]["tokens"], 17.0);
    assert_eq!(json[0]["load_ms"], serde_json::Value::Null);
    let output = ["export", "small.toml", "--output", "runs.csv"];
    assert!(stdout(&runner(&stored, &output)).is_empty());
    assert_eq!(std::fs::read_to_string(stored.dir.path().join("runs.csv")).unwrap(), runs);
}
