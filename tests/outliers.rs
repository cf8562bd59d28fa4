//! Outliers: flagged, shown, measured again, never dropped.

mod study;

use std::fs;

use runner::store::Store;

use study::{Manifest, Study};

/// Every run tells the next of the values in `values`.
fn told(values: &[f64]) -> Study {
    let study = Study::new(&Manifest::default());
    let text = r#"
schema = 1
name = "demo"
[defaults]
repeats = 5
order = "sequential"
outliers = { metrics = ["v"] }
[experiment.c]
command = ["sh", "tell.sh"]
metric.v = { from = "stdout#/v" }
"#;
    fs::write(study.manifest(), text).unwrap();
    let script = r#"n=$(cat n 2>/dev/null || echo 1); echo $((n + 1)) > n; sed -n "${n}p" values"#;
    fs::write(study.folder.path().join("tell.sh"), script).unwrap();
    let lines: Vec<String> = values.iter().map(|value| format!("{{\"v\": {value}}}\n")).collect();
    fs::write(study.folder.path().join("values"), lines.concat()).unwrap();
    study
}

#[test]
fn outliers_are_shown_and_measured_again_until_there_is_an_end() {
    // The fourth is far off; so is what is measured for it, and what is measured for that.
    let study = told(&[10.0, 11.0, 9.5, 50.0, 10.5, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);
    study.expect(0, &["exec"]);
    let said = study.expect(0, &["status"]);
    assert!(said.contains("1 outlier(s)") && said.contains("median 10.5000"), "{said}");
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));

    study.expect(0, &["exec", "--rerun-outliers"]);
    let store = Store::open(&study.results, "demo").unwrap();
    let cell = store.cells()[0].to_owned();
    let runs = store.runs(&cell);
    assert_eq!(runs.len(), 6);
    assert_eq!((runs[&6].rerun_of, runs[&4].rerun_of), (Some(4), None));
    // The outlier stays and counts, beside what was measured for it.
    let table = study.expect(0, &["export"]);
    assert!(table.contains(",50\n") && table.contains(",1000\n"), "{table}");
    study.expect(0, &["verify"]);
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("complete: 6 of 6 runs") && !report.contains("18 %"), "{report}");
    // the cell has six runs of which three or more are near each other
    assert!(report.contains("of clean normal data this rule flags"), "{report}");
    assert!(report.contains("of the runs of a cell with n = 6 (one or more in "), "{report}");
    let row = report.lines().find(|line| line.contains("/4`") && line.contains("`v`")).unwrap();
    assert!(row.contains("| 50.00 |") && row.contains("/6`"), "{row}");

    // Each outlier gets one run, and a cell as many as it has repeats.
    let mut before = 6;
    for _ in 0..8 {
        study.expect(0, &["exec", "--rerun-outliers"]);
        let now = Store::open(&study.results, "demo").unwrap().runs(&cell).len();
        assert!(now >= before && now <= 10, "{now}");
        before = now;
    }
    assert_eq!(before, 10, "the last of them is an outlier too, and gets none");
    assert!(study.expect(0, &["status"]).contains("10000000"));
    assert!(study.expect(0, &["exec", "--rerun-outliers"]).contains("nothing to do"));
}

#[test]
fn without_a_rule_nothing_can_be_repeated() {
    let study = told(&[1.0; 5]);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text = text.lines().filter(|line| !line.starts_with("outliers")).collect::<Vec<_>>();
    fs::write(study.manifest(), text.join("\n")).unwrap();
    let said = study.expect(2, &["exec", "--rerun-outliers"]);
    assert!(said.contains("outliers = { metrics"), "{said}");
}
