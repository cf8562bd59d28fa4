//! The commands `report` and `export` as a user runs them.

use std::process::{Command, Output};

use runner::report::tidy::Rows;

use crate::stored::{Stored, files};

pub fn runner(stored: &Stored, args: &[&str]) -> Output {
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
fn figures_of_an_earlier_report_go_and_nothing_else_does() {
    let stored = Stored::complete();
    stdout(&runner(&stored, &["report", "small.toml"]));
    let folder = stored.results().join("small/report/figures");
    let before = files(&folder);
    assert!(before.len() >= 3);
    std::fs::write(folder.join("mine.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    std::fs::write(folder.join("notes.txt"), "").unwrap();

    let one = "{{ figure(\"by_cell\", metric=\"ttft_ms\", experiment=\"again\") }}";
    std::fs::write(stored.dir.path().join("one.md.j2"), one).unwrap();
    stdout(&runner(&stored, &["report", "small.toml", "--template", "one.md.j2"]));
    let left: Vec<String> = files(&folder)
        .keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, ["again-by_cell-ttft_ms.svg", "mine.svg", "notes.txt"]);

    // printing writes nothing, and so removes nothing
    std::fs::write(stored.dir.path().join("none.md.j2"), "none").unwrap();
    stdout(&runner(&stored, &["report", "small.toml", "--template", "none.md.j2", "--stdout"]));
    assert_eq!(files(&folder).len(), 3);
    stdout(&runner(&stored, &["report", "small.toml"]));
    assert!(before.iter().all(|(path, bytes)| files(&folder)[path] == *bytes));
}

#[test]
fn every_table_is_exported_into_a_folder() {
    let stored = Stored::complete();
    stdout(&runner(&stored, &["export", "small.toml", "--all", "tables"]));
    let folder = stored.dir.path().join("tables");
    for rows in Rows::ALL {
        let name = rows.name();
        let alone = stdout(&runner(&stored, &["export", "small.toml", "--table", name]));
        assert_eq!(std::fs::read_to_string(folder.join(format!("{name}.csv"))).unwrap(), alone);
        assert!(alone.lines().next().unwrap().contains(','));
    }
    stdout(&runner(&stored, &["export", "small.toml", "--all", "tables", "--format", "json"]));
    let text = std::fs::read(folder.join("comparisons.json")).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let own = rows.iter().find(|row| row["metric"] == "wall_ms" && row["judgement"] == "worse");
    assert!(own.is_some_and(|row| row["difference"].as_f64() > Some(0.0)), "{own:?}");
}

#[test]
fn neither_locale_nor_time_zone_nor_clock_changes_a_byte() {
    let stored = Stored::with_solo();
    stored.add_probe_files();
    let render = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(stored.dir.path())
            .env_remove("RUNNER_RESULTS")
            .envs(variables.iter().copied())
            .args(["report", "small.toml"])
            .output()
            .unwrap();
        stdout(&output);
        let written = files(&stored.results().join("small/report"));
        std::fs::remove_dir_all(stored.results().join("small/report")).unwrap();
        written
    };
    let here = render(&[("LC_ALL", "C"), ("TZ", "UTC")]);
    assert!(here.len() > 5);
    assert!(here == render(&[("LC_ALL", "de_DE.UTF-8"), ("TZ", "Asia/Tokyo"), ("COLUMNS", "40")]));
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
fn json_has_every_table_and_a_watch_conflicts_with_it() {
    let stored = Stored::complete();
    let json = stdout(&runner(&stored, &["report", "small.toml", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["format"], &json["status"]["done"]), (&1.into(), &6.into()));
    assert_eq!(json["runs"].as_array().unwrap().len(), 6);
    let table =
        json["tables"].as_array().unwrap().iter().find(|table| {
            table["experiment"] == "throttle" && table["metric"] == "efficiency_percent"
        });
    let rows = table.unwrap()["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["n"], &rows[0]["planned"]), (2, &3.into(), &3.into()));
    assert!(rows[0]["ci"][0].is_f64());
    stored.remove(0, 1);
    failed(&runner(&stored, &["report", "small.toml", "--json"]), 1);
    failed(&runner(&stored, &["report", "small.toml", "--json", "--watch"]), 2);
}

/// Reads lines of a watching report until one that begins so.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, start: &str) -> String {
    let mut said = String::new();
    for line in lines {
        let line = line.unwrap();
        if line.trim_start().starts_with(start) {
            return said + &line;
        }
        said += &(line + "\n");
    }
    panic!("it ended and said\n{said}");
}

#[test]
#[cfg(unix)]
fn watching_renders_again_shows_errors_and_ends_with_ctrl_c() {
    use std::io::BufRead as _;
    let stored = Stored::complete();
    let template = stored.dir.path().join("own.md.j2");
    std::fs::write(&template, "one {{ study.name }}\n").unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(stored.dir.path())
        .env("NO_COLOR", "1")
        .env_remove("RUNNER_RESULTS")
        .args(["report", "small.toml", "--watch", "--template", "own.md.j2"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(watching.stderr.take().unwrap()).lines();
    let report = stored.results().join("small/report/small.md");
    let read = || std::fs::read_to_string(&report).unwrap();
    let first = wait_for(&mut lines, "watching");
    assert!(first.contains("own.md.j2") && first.contains("small.toml"), "{first}");
    assert_eq!(read(), "one small\n");
    std::fs::write(&template, "two, now with {{ study.nmae }}\n").unwrap();
    let error = wait_for(&mut lines, "watching");
    assert!(error.contains("own.md.j2:1"), "{error}");
    assert_eq!(read(), "one small\n");
    std::fs::write(&template, "three {{ study.title | length }}\n").unwrap();
    wait_for(&mut lines, "watching");
    assert!(read().starts_with("three "), "{}", read());
    // the manifest is watched, too
    let manifest = stored.dir.path().join("small.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("A small study", "X")).unwrap();
    wait_for(&mut lines, "watching");
    assert_ne!(read(), "three 36\n");
    let id = watching.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(watching.wait().unwrap().code(), Some(0));
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
