//! The sample study as it is shipped: its hypotheses, and what a changed number does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn runner(args: &[&str], results: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(root())
        .env("NO_COLOR", "1")
        .args(args)
        .arg("experiments/sample.toml")
        .arg("--results")
        .arg(results)
        .output()
        .unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().flatten() {
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).unwrap();
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

fn said(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn real_runs_are_judged() {
    let text = said(&runner(&["report", "--stdout"], &root().join("results")), 0);
    // how steady the machine was decides that one: the README says what these runs say
    let judged = |verdict| {
        text.contains(&format!("- **{verdict}**: Reading at 30 tok/s raises the efficiency"))
    };
    assert!(["supported", "refuted", "inconclusive"].into_iter().any(judged), "{text}");
    assert!(text.contains("- **refuted**: Reading at 30 tok/s raises the throughput"), "{text}");
    assert!(text.contains("before its first run") && !text.contains("Post hoc"), "{text}");
    for pair in text.lines().collect::<Vec<_>>().windows(2) {
        let glued = pair[0].starts_with('|') && !pair[1].starts_with('|') && !pair[1].is_empty();
        assert!(!glued, "a sentence would become a row of the table before it: {pair:?}");
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let excerpt = readme.lines().filter_map(|line| line.strip_prefix("> "));
    let excerpt: Vec<&str> = excerpt.filter(|line| line.starts_with(['|', '-'])).collect();
    assert!(excerpt.len() > 10, "{excerpt:?}");
    for line in excerpt {
        assert!(text.lines().any(|own| own == line), "the README says otherwise: {line}");
    }
}

#[test]
fn what_an_earlier_version_stored_follows_from_the_artifacts_and_later_metrics_are_added() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("results/sample"), &folder.path().join("sample"));
    let checked = runner(&["recompute", "--check", "--json"], folder.path());
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    for result in checked["results"].as_array().unwrap() {
        assert_eq!(result["touched"], serde_json::json!([]));
        for change in result["changes"].as_array().unwrap() {
            assert!(change.get("before").is_none(), "another figure: {change}");
        }
    }
    let before = said(&runner(&["export"], folder.path()), 0);
    said(&runner(&["recompute"], folder.path()), 0);
    let again = said(&runner(&["recompute", "--check"], folder.path()), 0);
    assert!(again.ends_with(" as stored\n") && again.lines().count() == 1, "{again}");
    said(&runner(&["verify"], folder.path()), 0);
    // every cell of the table that had a figure has the same one
    let after = said(&runner(&["export"], folder.path()), 0);
    for (before, after) in before.lines().zip(after.lines()) {
        let cells = before.split(',').zip(after.split(','));
        cells.for_each(|(before, after)| assert!(before.is_empty() || before == after));
    }
}

#[test]
fn one_changed_number_in_one_raw_artifact_is_found() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("results/sample"), &folder.path().join("sample"));
    said(&runner(&["verify"], folder.path()), 0);
    let artifact = walkdir::WalkDir::new(folder.path().join("sample/runs"))
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .find(|entry| entry.file_name() == "agent.json")
        .unwrap();
    let text = fs::read_to_string(artifact.path()).unwrap();
    let place = text.find("\"end_ns\":").unwrap() + "\"end_ns\":".len();
    let digit = place + text[place..].find(|c: char| c.is_ascii_digit()).unwrap();
    let other = if text.as_bytes()[digit] == b'1' { "2" } else { "1" };
    fs::write(artifact.path(), format!("{}{other}{}", &text[..digit], &text[digit + 1..])).unwrap();
    let found = said(&runner(&["verify"], folder.path()), 6);
    let changed: Vec<&str> = found.lines().filter(|line| line.starts_with("changed: ")).collect();
    assert_eq!(changed.len(), 1, "{found}");
    assert!(changed[0].ends_with("/agent.json"), "{found}");
}
