//! The order of runs against a machine that changes with time.

mod study;

use std::fs;

use serde_json::Value;
use study::{Manifest, Study};

/// Whatever is asked of it, its figure is how many runs were made before: a pure drift.
const DRIFT: &str = r#"
n=$(cat "$1/count" 2>/dev/null || echo 0)
echo $((n + 1)) > "$1/count"
printf '{"v": %s}' "$((100 + n))" > "$2/s.json"
"#;

fn drifting(experiments: &str) -> Study {
    let study = Study::new(&Manifest::default());
    fs::write(study.folder.path().join("drift.sh"), DRIFT).unwrap();
    let text = format!(
        "schema = 1\nname = \"demo\"\n[defaults]\nrepeats = 6\ntimeout = \"10s\"\n{}",
        experiments.replace(
            "{drift}",
            "command = [\"sh\", \"{study}/drift.sh\", \"{study}\", \"{out}\", \"{level}\"]\n\
             outputs = [\"s.json\"]\n\
             metric.v = { from = \"s.json#/v\", better = \"higher\" }"
        )
    );
    fs::write(study.manifest(), text).unwrap();
    study
}

fn table(study: &Study, name: &str) -> Vec<Value> {
    let json = study.expect(0, &["export", "--format", "json", "--table", name]);
    serde_json::from_str(&json).unwrap()
}

/// The second experiment compares its own cell with one that it shares with the first. Ordered experiment
/// by experiment, its own cell would come after all runs of the other, and be "clearly greater".
#[test]
fn a_drift_is_no_difference_between_cells_of_two_experiments() {
    let study = drifting(
        "[experiment.first]\n{drift}\nmatrix = { level = [1, 2, 3] }\n\
         [experiment.second]\n{drift}\nmatrix = { level = [1, 4] }\nbaseline = { level = 1 }\n\
         hypothesis.h = { claim = \"c\", greater = { metric = \"v\", at = { level = 4 }, than = { level = 1 } } }\n",
    );
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("6 repeats, interleaved order, in common blocks with second"), "{plan}");
    study.expect(0, &["exec"]);
    let verdicts = table(&study, "verdicts");
    assert_eq!(verdicts[0]["verdict"], "inconclusive", "{verdicts:?}");
    let compared = table(&study, "comparisons");
    let own = compared.iter().filter(|row| row["experiment"] == "second");
    let judged: Vec<&str> = own.filter_map(|row| row["judgement"].as_str()).collect();
    assert!(!judged.contains(&"better") && !judged.is_empty(), "{compared:?}");
}
