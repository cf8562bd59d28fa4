//! The study of clients' ceilings in small: the schedule as an axis, and the report drawn from it.

mod study;

use std::fs;
use std::path::Path;

use study::{Manifest, Study};

#[test]
fn rates_and_streams_become_tables_and_a_ceiling() {
    // The second experiment has cells that the first does not have, and not all of its cells.
    let study = Study::new(&Manifest {
        axes: ", rate = [200, 1000], concurrency = [1, 2]",
        experiment: "probes = { loop_lag = \"1ms\" }\ncontrols = [\"idle\"]",
        tables: "[experiment.few]\nmodel = \"m\"\nscenario = \"one\"\nprobes = { loop_lag = \"1ms\" }\n\
                 controls = [\"idle\"]\nmatrix = { rate = [200, 400], concurrency = [1] }",
        defaults: "max_tokens = 40",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/python_ceiling.md.j2");
    let report = study.expect(0, &["report", "--stdout", "--template", template.to_str().unwrap()]);
    let rows =
        ["200 tok/s | 1", "200 tok/s | 2", "400 tok/s | 1", "1000 tok/s | 1", "1000 tok/s | 2"];
    for row in rows {
        assert_eq!(report.matches(&format!("| {row} |")).count(), 5, "{row}\n{report}");
    }
    for line in report.lines().filter(|line| line.starts_with("| 1000 tok/s | ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let planned = cells.iter().filter(|cell| **cell == "–").count();
        assert_eq!(planned, 1, "`few` has no such cell: {line}");
        assert!(!line.contains("unknown") && !line.contains("no data"), "{line}");
    }
    assert!(report.contains("Gap error p99 under 5 ms"), "{report}");
    // Both experiments in one picture of each metric, every run a dot.
    for name in ["gap_error_p99_ms", "loop_lag_p99_ms"] {
        assert!(report.contains(&format!("(figures/study-by_load-{name}.svg)")), "{report}");
    }
    study.expect(0, &["recompute", "--check"]);
    study.expect(0, &["report", "--template", template.to_str().unwrap()]);
    let figures = study.layout().root().join("report/figures");
    let picture = fs::read_to_string(figures.join("study-by_load-gap_error_p99_ms.svg")).unwrap();
    for told in ["rate × concurrency", ">few<", ">t<", ": median ", " at 2000.0</title>"] {
        assert!(picture.contains(told), "{told}: {picture}");
    }
    assert_eq!(picture.matches(", run ").count(), 6);
    // The client took the answers at the rates of the axis, not at the endpoint's own.
    let (_, shares) = report.split_once("### Rate of the client against the schedule").unwrap();
    let first = shares.lines().find(|line| line.starts_with("| 200 tok/s | 1 |")).unwrap();
    let share: f64 = first.split('|').nth(4).unwrap().trim().parse().unwrap();
    assert!((0.9..1.1).contains(&share), "{first}");
}
