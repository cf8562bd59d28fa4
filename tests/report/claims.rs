//! Published numbers against stored runs.

use std::process::Output;

use crate::command::runner;
use crate::stored::{MANIFEST, Stored};

fn study(claim: &str) -> Stored {
    // TTFT of repeat r is 51 + r ms, so 53 on average
    let stored =
        Stored::of(&format!("{MANIFEST}\n[claim.ttft]\n{claim}\nsource = \"TR1, table 2\"\n"));
    stored.measure(|_, _| vec![]);
    stored
}

fn check(stored: &Stored, code: i32) -> String {
    let output: Output = runner(stored, &["check-claims", "small.toml"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    String::from_utf8(output.stdout).unwrap() + &error
}

const OF: &str = "metric = \"ttft_ms\"\nwhere = { throttle = 60 }";

#[test]
fn a_number_that_stored_runs_give_is_reproduced() {
    let said = check(&study(&format!("value = 53.2\n{OF}\ntolerance = 0.01")), 0);
    let first = said.lines().next().unwrap();
    assert_eq!(
        first,
        "reproduced: ttft: mean of ttft_ms at throttle 60 tok/s: 53.2 ms published (TR1, table 2), \
         53 ms from 3 run(s) of 1 cell(s), 0.532 ms allowed"
    );
    assert!(said.ends_with("1 reproduced, 0 contradicted, 0 without data\n"), "{said}");
    check(&study(&format!("value = 0.053\nunit = \"s\"\n{OF}\ntolerance_abs = 0")), 0);
    check(&study(&format!("value = 54\nstat = \"max\"\n{OF}\ntolerance_abs = 0")), 0);
}

#[test]
fn a_number_that_they_do_not_give_is_contradicted() {
    let stored = study(&format!("value = 54\n{OF}\ntolerance = 0.01"));
    let said = check(&stored, 6);
    assert!(said.starts_with("contradicted: ttft: "), "{said}");
    assert!(said.contains("53 ms from 3 run(s)"), "{said}");
    let json = runner(&stored, &["check-claims", "small.toml", "--json"]);
    assert_eq!(json.status.code(), Some(6));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["result"], "contradicted");
    assert_eq!(json[0]["recomputed"], 53.0);
    let report = runner(&stored, &["report", "small.toml", "--stdout"]);
    let report = String::from_utf8(report.stdout).unwrap();
    let row = "| `ttft` | **contradicted** | 54.0000 ms | 53.0000 ms |";
    assert!(report.contains(row), "{report}");
}

#[test]
fn without_runs_nothing_is_said() {
    let stored = study(&format!("value = 54\n{OF}\ntolerance = 0.01"));
    (1..=3).for_each(|repeat| stored.remove(1, repeat));
    let said = check(&stored, 0);
    assert!(said.starts_with("no data: ttft: "), "{said}");
    assert!(said.contains("has 0 of 3 runs"), "{said}");
    let said = check(&Stored::complete(), 2);
    assert!(said.contains("small.toml has no [claim.NAME]"), "{said}");
}

#[test]
fn metrics_and_units_are_checked() {
    let problem = |claim: &str, parts: &[&str]| {
        let stored = study(claim);
        for command in ["check", "check-claims", "report"] {
            let output = runner(&stored, &[command, "small.toml"]);
            assert_eq!(output.status.code(), Some(4), "{command}");
            let said = String::from_utf8(output.stderr).unwrap();
            for part in parts {
                assert!(said.contains(part), "{command}: {said}");
            }
        }
    };
    let metric = "value = 1\ntolerance = 0.1\nmetric = \"ttft_sm\"";
    problem(metric, &["there is no metric `ttft_sm`", "did you mean `ttft_ms`?"]);
    let unit = "value = 1\ntolerance = 0.1\nmetric = \"ttft_ms\"\nunit = \"tok/s\"";
    problem(unit, &["`ttft_ms` is in ms, not in `tok/s`", "one of ns, µs"]);
}
