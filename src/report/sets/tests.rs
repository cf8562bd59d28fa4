use std::collections::BTreeMap;

use super::*;
use crate::report::comparison::contrast::Judgement;

/// A set of cells `(id, name, TTFT by repeat)`.
fn set(path: &str, cells: &[(&str, &str, &[f64])]) -> ResultSet {
    let cells = cells.iter().map(|(id, name, values)| {
        let identity = serde_json::json!({
            "agents": [{ "name": "a", "model": format!("model-{id}"), "options": { "num_ctx": 512 } }],
            "runtime": "rust", "throttle": 60,
        });
        let runs: BTreeMap<u32, RunRecord> = (1..)
            .zip(*values)
            .map(|(repeat, value)| {
                let record = serde_json::json!({
                    "format": 1, "cell": id, "cell_name": name, "repeat": repeat, "attempt": 1,
                    "identity": identity, "started": "s", "finished": "f",
                    "evidence": { "runner": { "version": "0.1.0" },
                        "agent": { "runtime": "rust" }, "endpoints": {},
                        "machine": { "hostname": path } },
                    "process": {}, "calls": [], "metrics": { "ttft_ms": value }, "files": {},
                });
                (repeat, serde_json::from_value(record).unwrap())
            })
            .collect();
        SetCell {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            experiments: vec!["e".into()],
            levels: crate::cells::of_identity(&identity),
            identity,
            runs,
            stale: BTreeMap::new(),
        }
    });
    ResultSet { path: path.into(), study: None, profile: None, cells: cells.collect() }
}

fn by_name() -> Options {
    Options { by: By::Name, ..Options::default() }
}

#[test]
fn cells_are_matched_by_id_and_the_others_named() {
    let a = set("a", &[("1", "x", &[1.0, 1.1]), ("2", "y", &[1.0, 1.2])]);
    let b = set("b", &[("1", "z", &[2.0, 2.1]), ("3", "y", &[1.0, 1.2])]);
    let found = compare(&a, &b, &Options::default()).unwrap();
    assert_eq!(found.metrics[0].rows.len(), 1);
    assert_eq!(found.metrics[0].rows[0].contrast.judgement, Judgement::Worse);
    assert_eq!((found.only_a[0].name.as_str(), found.only_b[0].id.as_str()), ("y", "3"));
    assert!(found.asked.is_empty());
    let hostname = &found.evidence[0];
    assert_eq!((hostname.what.as_str(), &hostname.a[..]), ("machine: hostname", &["a".into()][..]));
    assert_eq!(found.evidence.len(), 1);
}

#[test]
fn by_name_what_is_asked_for_differently_is_listed() {
    let a = set("a", &[("1", "x", &[1.0, 1.1])]);
    let b = set("b", &[("3", "x", &[1.0, 1.2])]);
    let error = compare(&a, &b, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("1 have the same name: --by name"), "{error}");
    assert!(error.is_usage());
    let found = compare(&a, &b, &by_name()).unwrap();
    assert_eq!(found.asked.len(), 1);
    let asked = &found.asked[0];
    assert_eq!((asked.field.as_str(), asked.a.as_str()), ("agents[0].model", "model-1"));
    assert_eq!((asked.b.as_str(), &asked.cells[..]), ("model-3", &["1".into()][..]));
}

#[test]
fn a_name_of_two_cells_matches_nothing() {
    let a = set("a", &[("1", "x", &[1.0]), ("2", "x", &[1.0]), ("3", "y", &[1.0])]);
    let b = set("b", &[("4", "x", &[1.0]), ("5", "y", &[1.0])]);
    let found = compare(&a, &b, &by_name()).unwrap();
    assert_eq!((found.cells, found.ambiguous.len()), (1, 3));
    assert!(found.only_a.is_empty() && found.only_b.is_empty());
}

#[test]
fn p_is_adjusted_over_the_whole_comparison() {
    let a = set("a", &[("1", "x", &[1.0, 1.1, 0.9]), ("2", "y", &[1.0, 1.2, 1.1])]);
    let b = set("b", &[("1", "x", &[1.2, 1.3, 1.1]), ("2", "y", &[1.0, 1.25, 1.1])]);
    let found = compare(&a, &b, &Options::default()).unwrap();
    assert_eq!(found.tests, 2);
    let first = &found.metrics[0].rows[0].contrast;
    assert!((first.p_adjusted.unwrap() - 2.0 * first.p.unwrap()).abs() < 1e-12);
    // 0.2 more than 1.0: exactly one test, unadjusted
    let filters = vec!["cell=x".to_owned()];
    let one = compare(&a, &b, &Options { filters, ..Options::default() }).unwrap();
    assert_eq!(one.metrics[0].rows[0].contrast.p_adjusted, first.p);
}

#[test]
fn filters_look_at_what_cells_ask_for() {
    let a = set("a", &[("1", "x", &[1.0]), ("2", "y", &[1.0])]);
    let b = set("b", &[("1", "x", &[1.0]), ("2", "y", &[1.0])]);
    let cells = |filter: &str| {
        let filters = vec![filter.to_owned()];
        compare(&a, &b, &Options { filters, ..Options::default() }).map(|found| found.cells)
    };
    assert_eq!(cells("model~-1").unwrap(), 1);
    assert_eq!(cells("model=model-2,throttle=60").unwrap(), 1);
    assert_eq!(cells("throttle=60 tok/s").unwrap(), 2);
    assert_eq!(cells("read_buffer=default,num_ctx=512.0,a.num_ctx=512").unwrap(), 2);
    assert_eq!(cells("experiment=e,cell~Y").unwrap(), 1);
    for (filter, part) in [
        ("throttle=off", "no cell of either side matches"),
        ("colour=red", "no cell has `colour`"),
        ("throttle", "compares nothing"),
        ("throttle=fast", "throttle=fast"),
    ] {
        let error = cells(filter).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_default_is_not_every_level() {
    let mut a = set("a", &[("1", "x", &[1.0]), ("2", "y", &[1.0])]);
    a.cells[0].identity["cold"] = true.into();
    a.cells[0].levels = crate::cells::of_identity(&a.cells[0].identity);
    let names = |filter: &str| -> Vec<String> {
        let filters = vec![filter.to_owned()];
        let found = compare(&a, &a, &Options { filters, ..Options::default() }).unwrap();
        found.metrics[0].rows.iter().map(|row| row.name.clone()).collect()
    };
    assert_eq!((names("cold=false"), names("cold=true")), (vec!["y".into()], vec!["x".into()]));
}

#[test]
fn metrics_by_name() {
    let a = set("a", &[("1", "x", &[1.0])]);
    let metrics = |names: &[&str]| {
        let metrics = names.iter().map(|name| (*name).to_owned()).collect();
        compare(&a, &a, &Options { metrics, ..Options::default() })
    };
    assert_eq!(metrics(&["ttft_ms", "ttft_ms"]).unwrap().metrics.len(), 1);
    let unknown = metrics(&["itl_ms"]).unwrap();
    let why = unknown.metrics[0].rows[0].contrast.why.clone().unwrap();
    assert!(why.starts_with("A: "), "{why}");
    assert!(metrics(&["ttft_sm"]).unwrap_err().to_string().contains("did you mean `ttft_ms`?"));
    assert!(metrics(&["slowdown"]).unwrap_err().to_string().contains("is not stored"));
    assert!(metrics(&["ttft_ms"]).unwrap().same_runs);
}
