//! Tables of the export can be joined: a cell and a run are named alike in all of them, in full and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use runner::report::tidy::Rows;

use crate::stored::{MANIFEST, Stored};

type Row = BTreeMap<String, String>;

/// Three cells with an outlier each, one of which was measured again; every table as it is exported.
fn exported() -> BTreeMap<&'static str, Vec<Row>> {
    let manifest = MANIFEST
        .replace("warmup  = 1", "warmup = 1\noutliers = { metrics = [\"wall_ms\"] }")
        .replace("repeats = 3", "repeats = 5")
        .replacen("\"60 tok/s\"]", "\"60 tok/s\", \"30 tok/s\"]", 1);
    let stored = Stored::of(&manifest);
    stored.measure(|cell, repeat| {
        let by = if cell.contains("60") { 50.0 } else { 7.0 };
        let far = if repeat == 4 { 400.0 } else { f64::from(repeat) };
        vec![("wall_ms", 100.0 + by + far)]
    });
    let mut again = stored.run(0, 6);
    again.rerun_of = Some(4);
    stored.seal(0, &again);
    let mut export = Command::new(env!("CARGO_BIN_EXE_runner"));
    export.current_dir(stored.dir.path()).args(["export", "small.toml", "--all", "tables"]);
    let output = export.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |rows: Rows| {
        let file = stored.dir.path().join("tables").join(rows.name()).with_extension("csv");
        let mut reader = csv::Reader::from_path(file).unwrap();
        (rows.name(), reader.deserialize().map(Result::unwrap).collect())
    };
    Rows::ALL.into_iter().map(read).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn every_row_that_names_a_cell_or_a_run_finds_it_in_the_runs() {
    let tables = exported();
    let runs: BTreeMap<&str, &Row> =
        tables["runs"].iter().map(|run| (run["run"].as_str(), run)).collect();
    let cells: BTreeSet<&str> = tables["runs"].iter().map(|run| run["cell"].as_str()).collect();
    assert_eq!((runs.len(), cells.len()), (16, 3));
    for run in runs.values() {
        assert_eq!(run["run"], format!("{}/{}", run["cell"], run["repeat"]));
    }
    let mut joined: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (name, rows) in &tables {
        for row in rows {
            // The level that is 100 % is no cell.
            let of_level = row.get("comparison").is_some_and(|kind| kind == "normalised");
            for (column, value) in row.iter().filter(|(_, value)| !value.is_empty()) {
                let found = match column.as_str() {
                    "cell" => cells.contains(value.as_str()),
                    "against" if !of_level => cells.contains(value.as_str()),
                    "run" | "rerun" | "fallback_of" => runs.contains_key(value.as_str()),
                    _ => continue,
                };
                assert!(found, "{name}: {column} {value} is in no row of the runs");
                assert!(is_id(&value[..32]), "{value}");
                *joined.entry((*name, column.as_str())).or_default() += 1;
            }
        }
    }
    for place in [
        ("calls", "run"),
        ("calls", "cell"),
        ("cells", "cell"),
        ("comparisons", "cell"),
        ("comparisons", "against"),
        ("outliers", "cell"),
        ("outliers", "run"),
        ("outliers", "rerun"),
    ] {
        assert!(joined.contains_key(&place), "{place:?}: {joined:?}");
    }
}

#[test]
fn what_is_joined_belongs_together() {
    let tables = exported();
    let walls = |of: &dyn Fn(&Row) -> bool| {
        let own = tables["runs"].iter().filter(|run| run["experiment"] == "throttle" && of(run));
        own.map(|run| run["wall_ms"].parse().unwrap()).collect::<Vec<f64>>()
    };
    let statistics = tables["cells"].iter();
    for row in
        statistics.filter(|row| row["metric"] == "wall_ms" && row["experiment"] == "throttle")
    {
        let own = walls(&|run| run["cell"] == row["cell"]);
        assert_eq!(row["n"].parse(), Ok(own.len()));
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        assert!((row["mean"].parse::<f64>().unwrap() - mean).abs() < 1e-9, "{row:?}");
    }
    let flagged = &tables["outliers"];
    assert!(flagged.len() >= 3);
    for row in flagged {
        assert_eq!(walls(&|run| run["run"] == row["run"]), [row["value"].parse::<f64>().unwrap()]);
    }
    // The calls of a run are those that it counts.
    for run in tables["runs"].iter().filter(|run| run["experiment"] == "throttle") {
        let of_run = |call: &&Row| {
            call["run"] == run["run"] && call["experiment"] == "throttle" && call["warmup"] == "0"
        };
        let calls = tables["calls"].iter().filter(of_run).count();
        assert_eq!(run["measured_calls"].parse(), Ok(calls));
    }
}
