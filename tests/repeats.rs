//! Repeats that follow from the data: until a mean is known to a declared width.

mod study;

use std::fs;

use runner::store::journal::What;

use study::{Manifest, Study};

/// Two cells whose runs give the lines of `<cell>.txt`, one after the other.
fn counted(until: &str, values: [&str; 2]) -> Study {
    let study = Study::new(&Manifest::default());
    let text = format!(
        r#"
        schema = 1
        name = "demo"
        [defaults]
        repeats = 3
        until = {until}
        [experiment.c]
        command = ["sh", "{{study}}/work.sh", "{{out}}", "{{study}}/{{n}}"]
        matrix = {{ n = ["one", "two"] }}
        [experiment.c.metric]
        rate = {{ from = "rate.json#/rate", unit = "tok/s", better = "higher" }}
        [experiment.c.hypothesis.fast]
        claim = "It is fast"
        greater = {{ metric = "rate", at = {{ n = "one" }}, than = {{ n = "two" }} }}
        "#
    );
    fs::write(study.manifest(), text).unwrap();
    let script = r#"
        echo x >> "$2.count"
        printf '{"rate": %s}' "$(sed -n "$(wc -l < "$2.count")p" "$2.txt")" > "$1/rate.json"
    "#;
    fs::write(study.folder.path().join("work.sh"), script).unwrap();
    for (name, values) in ["one.txt", "two.txt"].into_iter().zip(values) {
        fs::write(study.folder.path().join(name), values.replace(' ', "\n") + "\n").unwrap();
    }
    study
}

const SETTLES: &str = "100 110 104 105 105 105 105 105 105 105";
const STEADY: &str = "50 50.1 50 50.1 50 50.1 50 50.1 50 50.1";

#[test]
fn an_experiment_repeats_until_its_means_are_known_to_the_width_that_was_asked_for() {
    let study = counted(r#"{ half_width = "5 %", max = 10 }"#, [SETTLES, STEADY]);
    let said = study.expect(0, &["plan"]);
    let words = "3 repeats and more, at most 10, until each cell's rate is known to ± 5 % (95 %)";
    assert!(said.contains(words), "{said}");

    // t(2; 0.975) 4.303 × 5.033 ÷ √3 ÷ 104.67 = 11.9 % after three, 6.2 % after four, 4.2 % after five
    let output = study.command(&["exec"]).output().unwrap();
    let said = study::text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("repeat 4 of at most 10, since"), "{said}");
    assert!(said.contains("rate ± 11.95 % after 3"), "{said}");
    assert!(said.contains("[10/10] sh-work"), "{said}");
    assert!(said.contains("rate ± 6.25 % after 4"), "{said}");
    assert_eq!(study.sealed().len(), 10);
    // blocks stay whole: no cell is ahead by more than one
    let order: Vec<u32> = study
        .journal()
        .into_iter()
        .filter_map(|what| match what {
            What::Finished { repeat, .. } => Some(repeat),
            _ => None,
        })
        .collect();
    assert!(order.is_sorted() && order.len() == 10, "{order:?}");

    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
    assert!(study.expect(0, &["plan"]).contains("5/5"));
    assert!(study.expect(0, &["report", "--stdout"]).contains("5 pairs"));
    let json = study.expect(0, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["total"]["done"], &json["total"]["missing"]), (&10.into(), &0.into()));
}

#[test]
fn the_most_repeats_are_the_end_and_an_absolute_width_is_in_the_metrics_unit() {
    let wild = "1 2 3 1 2 3 1 2 3 1";
    let study = counted("{ half_width = 0.01, max = 4, metric = \"rate\" }", [wild, STEADY]);
    study.expect(0, &["exec"]);
    assert_eq!(study.sealed().len(), 8);
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
}

#[test]
fn a_width_needs_a_metric_and_a_spread() {
    for (until, words) in [
        (r#"{ half_width = "5 %", max = 10, metric = "rat" }"#, "there is no such metric"),
        (r#"{ half_width = "5 %", max = 3 }"#, "`max = 3` is not above `repeats = 3`"),
        (r#"{ half_width = "wide", max = 10 }"#, "`wide` is no half width"),
    ] {
        let said = counted(until, [STEADY, STEADY]).expect(4, &["plan"]);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn how_many_repeats_a_hypothesis_needs_is_said_from_a_pilot() {
    let pilot = "100 100.5 100.2 100.9 99.7 100.4 100 100.6 100.3 100";
    let study = counted(r#"{ half_width = "50 %", max = 9 }"#, [pilot, STEADY]);
    let said = study.expect(0, &["plan", "--power"]);
    assert!(said.contains("unknown: 0 run(s) at hand know `rate`"), "{said}");
    assert!(said.contains("make a pilot with `repeats = 3`"), "{said}");
    study.expect(0, &["exec"]);
    let said = study.expect(0, &["plan", "--power"]);
    assert!(said.contains("c/fast (planned: 9)"), "{said}");
    assert!(said.contains("if true: a difference 1 % beyond 0; sd 0."), "{said}");
    let json = study.expect(0, &["plan", "--power", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let part = &json["hypotheses"][0]["parts"][0];
    let needed = part["needed"].as_u64().unwrap();
    assert!((2..30).contains(&needed) && part["corrected"] == needed, "{json}");
    assert_eq!(json["experiments"][0]["needed"], needed);
    assert!(json["experiments"][0]["time_s"].as_f64().unwrap() > 0.0, "{json}");
}
