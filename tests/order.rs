//! The order of runs against a machine that changes with time.

mod study;

use std::fs;

use runner::store::Store;
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

fn report(study: &Study) -> String {
    study.expect(0, &["report"]);
    fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap()
}

#[test]
fn a_cell_that_is_measured_twice_shows_the_noise_of_the_study() {
    let study =
        drifting("[experiment.e]\n{drift}\ncontrols = [\"aa\"]\nmatrix = { level = [1, 2] }\n");
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("4 cells (2 of them replicas), 24 runs"), "{plan}");
    assert!(plan.contains("replicas for A/A") && plan.contains("_level-1_aa"), "{plan}");
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
    let status = study.expect(0, &["status"]);
    assert!(status.contains("replicas for A/A      12       0        0"), "{status}");

    let runs = table(&study, "runs");
    let again: Vec<&Value> = runs.iter().filter(|run| run["control"] == "aa").collect();
    assert_eq!((runs.len(), again.len()), (24, 12));
    assert!(again.iter().all(|run| run["replica"] == 2 && run["level"].is_number()));
    // the statistics of the cells are those of their own runs
    let cells = table(&study, "cells");
    assert!(cells.iter().all(|row| row["n"] == 6 || row["n"] == 0), "{cells:?}");
    assert!(cells.iter().all(|row| !row["name"].as_str().unwrap().ends_with("_aa")), "{cells:?}");

    let compared = table(&study, "comparisons");
    let own: Vec<&Value> =
        compared.iter().filter(|row| row["comparison"] == "aa" && row["metric"] == "v").collect();
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|row| row["pairs"] == 6 && row["ci_low"].is_number()), "{own:?}");
    let report = report(&study);
    assert!(report.contains("**A/A: what is measured where nothing differs**"), "{report}");
    assert!(report.contains("comparisons would have been called a difference"), "{report}");
}

/// In sequence the replica comes after its cell: a drift is then a difference where nothing differs.
#[test]
fn noise_that_the_tables_call_a_difference_is_said() {
    let study = drifting(
        "[experiment.e]\n{drift}\norder = \"sequential\"\ncontrols = [\"aa\"]\nmatrix = { level = [1] }\n",
    );
    study.expect(0, &["exec"]);
    let compared = table(&study, "comparisons");
    let own = compared.iter().find(|row| row["comparison"] == "aa" && row["metric"] == "v");
    assert_eq!(own.unwrap()["judgement"], "higher", "{compared:?}");
    let report = report(&study);
    assert!(report.contains("comparisons would have been called a difference**"), "{report}");
}

const PAIR: &str = "[experiment.e]\n{drift}\n{order}matrix = { level = [{levels}] }\nbaseline = { level = 1 }\n\
    hypothesis.h = { claim = \"c\", greater = { metric = \"v\", at = { level = 2 }, than = { level = 1 } } }\n\
    hypothesis.i = { claim = \"d\", greater = { metric = \"v\", at = { level = 3 }, than = { level = 1 } } }\n";

const WARNING: &str = "> **Drift is in these differences.**";

#[test]
fn runs_in_turn_are_said_to_be_in_turn() {
    let study = drifting(&PAIR.replace("{order}", "").replace("{levels}", "1, 2, 3"));
    let plan = study.expect(0, &["plan"]);
    assert!(!plan.contains("drift"), "{plan}");
    study.expect(0, &["exec"]);
    let report = report(&study);
    assert!(report.contains("interleaved blocks (as planned: 6 of 6 repeats in turn)"), "{report}");
    assert!(
        report.contains("| mixed in time | of all pairs of cells the worst: sh-drift"),
        "{report}"
    );
    assert!(!report.contains(WARNING), "{report}");
    // the drift of what a hypothesis is about is shown
    assert!(report.contains("(figures/e-drift-v.svg)"), "{report}");
}

/// What is measured later than what it is compared with is no neighbour in a block, whatever the manifest says.
#[test]
fn a_level_that_came_later_is_said_to_be_out_of_turn() {
    let pair = PAIR.replace("{order}", "").replace("{levels}", "1, 2");
    let (pair, later) = pair.split_once("hypothesis.i").unwrap();
    let study = drifting(pair);
    study.expect(0, &["exec"]);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text = text.replace("[1, 2]", "[1, 2, 3]") + "hypothesis.i" + later;
    fs::write(study.manifest(), text).unwrap();
    study.expect(0, &["exec"]);
    let report = report(&study);
    let said = "interleaved was asked for; 2 of 3 pairs of cells are not mixed in time: drift is in their \
                differences";
    assert!(report.contains(said), "{report}");
    let worst =
        r"sh-drift\_level-1 began before sh-drift\_level-3 in 100 % of the pairs of their runs";
    // in every table of differences, and in the table of settings
    assert_eq!(report.matches(worst).count(), report.matches(WARNING).count() + 1, "{report}");
    assert!(report.contains(WARNING) && !report.contains("as planned"), "{report}");
    let later = &table(&study, "verdicts")[1];
    assert_eq!(later["verdict"], "inconclusive", "{later:?}");
}

#[test]
fn cell_by_cell_says_in_plan_and_tables_that_drift_is_in_it() {
    let pair = PAIR.replace("{order}", "order = \"sequential\"\n").replace("{levels}", "1, 2, 3");
    let study = drifting(&pair);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("a drift of the machine cannot be told from a difference"), "{plan}");
    study.expect(0, &["exec"]);
    let report = report(&study);
    assert!(report.contains("cell by cell: drift is in every difference"), "{report}");
    let tables = report.matches("| difference | 95 % CI |").count();
    assert!(tables >= 1, "{report}");
    assert!(report.matches(WARNING).count() >= tables, "{report}");
    assert!(report.contains("cannot be told from a difference between them."), "{report}");
    let verdicts = table(&study, "verdicts");
    assert!(verdicts.iter().all(|own| own["verdict"] == "inconclusive"), "{verdicts:?}");
}

/// One run made again late leaves the cells mixed: what is out of turn is said, and no alarm raised.
#[test]
fn a_single_run_out_of_turn_is_named_and_no_drift() {
    let study = drifting(&PAIR.replace("{order}", "").replace("{levels}", "1, 2, 3"));
    study.expect(0, &["exec"]);
    let store = Store::open(&study.results, "demo").unwrap();
    let cell = store.cells().into_iter().next().unwrap();
    fs::remove_dir_all(store.folder(cell, 1).unwrap()).unwrap();
    study.expect(0, &["exec"]);
    let report = report(&study);
    let said = "interleaved blocks, but repeats 1 and 2 were not made in turn";
    assert!(report.contains(said) && !report.contains(WARNING), "{report}");
}

/// One dot per run, as high as its value: in sequence a drift is a line through all cells.
#[test]
fn a_figure_of_drift_shows_values_as_they_are() {
    let study = drifting(
        "[experiment.e]\n{drift}\norder = \"sequential\"\nrepeats = 2\n\
         matrix = { level = [1, 2, 3, 4, 5, 6, 7] }\n",
    );
    study.expect(0, &["exec"]);
    let template = study.folder.path().join("drift.md.j2");
    fs::write(&template, "{{ figure(\"drift\", metric=\"v\", experiment=\"e\") }}").unwrap();
    study.expect(0, &["report", "--template", template.to_str().unwrap()]);
    let figure = study.layout().root().join("report/figures/e-drift-v.svg");
    let figure = fs::read_to_string(figure).unwrap();
    let mut dots: Vec<(f64, f64)> = figure
        .lines()
        .filter(|line| line.starts_with("<circle"))
        .map(|line| {
            let of = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse::<f64>().unwrap()
            };
            (of("cx"), of("cy"))
        })
        .collect();
    dots.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(dots.len(), 14, "{figure}");
    assert!(dots.windows(2).all(|pair| pair[0].1 > pair[1].1), "higher is up: {dots:?}");
    assert!(figure.contains(": 100.00"), "{figure}");
}
