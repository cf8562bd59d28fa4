//! Solo controls in reports and tables: joined with the runs that they interpret, never pooled.

use runner::report::tidy::{self, Rows, Table};
use runner::report::{self, Data, Template};
use serde_json::Value;

use super::stored::Stored;

/// Values of a column in the rows of the experiment `throttle`, of its controls or of its own cells.
fn column(table: &Table, name: &str, controls: bool) -> Vec<Value> {
    let index = |name: &str| table.columns.iter().position(|column| column == name).unwrap();
    let (experiment, control) = (index("experiment"), index("control"));
    table
        .rows
        .iter()
        .filter(|row| row[experiment] == "throttle")
        .filter(|row| (row[control] == "solo") == controls)
        .map(|row| row[index(name)].clone())
        .collect()
}

fn runs(data: &Data, name: &str, controls: bool) -> Vec<Value> {
    column(&tidy::table(data, Rows::Runs), name, controls)
}

#[test]
fn exports_mark_controls_and_join_their_figures() {
    let stored = Stored::with_solo();
    let data = stored.data();
    // three runs of two cells, and of two agents alone in each
    assert_eq!(runs(&data, "cell", false).len(), 6);
    assert_eq!(runs(&data, "cell", true).len(), 12);
    assert!(runs(&data, "scenario", true).contains(&"collector alone".into()));
    for name in ["scaling_efficiency_percent", "slowdown", "ttft_above_solo_ms"] {
        assert!(runs(&data, name, false).iter().all(Value::is_number), "{name}");
        assert!(runs(&data, name, true).iter().all(Value::is_null), "{name}");
    }
    let calls = tidy::table(&data, Rows::Calls);
    // warm-up calls are compared with nothing
    let slowdowns = column(&calls, "slowdown", false);
    assert_eq!(slowdowns.iter().filter(|value| value.is_number()).count(), 12);
    assert_eq!(slowdowns.len(), 24);
    assert!(!calls.columns.contains(&"scaling_efficiency_percent".to_owned()));
}

#[test]
fn a_report_shows_both_efficiencies_side_by_side_and_pools_no_control() {
    let stored = Stored::with_solo();
    for name in ["study.md.j2", "tr117.md.j2"] {
        let template = Template::builtin(name).unwrap();
        let text = report::study(&stored.data(), &template, false).unwrap().markdown();
        assert_eq!(report::study(&stored.data(), &template, false).unwrap().markdown(), text);
        for part in [
            "**`throttle` against its agents alone**",
            "`efficiency_percent` = 100 × speedup ÷ agents",
            "Controls, in no experiment's tables:",
            "| 12 of 12 in 4 cells |",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
    let template = Template {
        name: "own".into(),
        source: "{{ n('ttft_ms') }} {{ runs() | length }} {{ control_runs() | length }}".into(),
    };
    assert_eq!(report::study(&stored.data(), &template, false).unwrap().markdown(), "6 6 12");
}

#[test]
fn a_missing_solo_run_is_missing_and_the_mean_stands_in() {
    let stored = Stored::with_solo();
    let solo = stored.plan.solo_cells(0)[0].1;
    stored.remove(solo, 2);
    let template = Template::builtin("study.md.j2").unwrap();
    assert!(report::study(&stored.data(), &template, false).is_err());
    let same = runs(&stored.data(), "solo_same_repeat", false);
    assert_eq!(same[..3], [1.into(), 0.into(), 1.into()] as [Value; 3]);
}

#[test]
fn solo_runs_of_another_model_are_not_compared_with() {
    let stored = Stored::with_solo();
    let (stream, solo) = stored.plan.solo_cells(0)[1].clone();
    assert_eq!(stream, "insight");
    for repeat in 1..=3 {
        stored.remove(solo, repeat);
        let mut other = stored.run(solo, repeat);
        let insight = other.evidence.endpoints.get_mut("insight").unwrap();
        insight.models.get_mut("gemma3:latest").unwrap().digest = Some("sha256:fedcba".into());
        stored.seal(solo, &other);
    }
    let scaling = runs(&stored.data(), "scaling_efficiency_percent", false);
    assert!(scaling[..3].iter().all(Value::is_null), "{scaling:?}");
    assert!(scaling[3..].iter().all(Value::is_number), "{scaling:?}");
}
