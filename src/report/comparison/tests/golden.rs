//! One data set through whole tables, against `SciPy` (`tests/golden/comparison.py`).

use serde_json::Value;

use super::super::contrast::{Judgement, Test};
use super::super::family::Families;
use super::super::{baseline, ranking, success};
use super::{Built, METRIC, whole};
use crate::metrics::{self, Better};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../tests/golden/comparison.json")).unwrap()
}

fn built(golden: &Value) -> Built {
    let mut built = Built::new(&["model", "throttle"], &[("throttle", "off")]);
    for (name, values) in golden["cells"].as_object().unwrap() {
        let values: Vec<f64> =
            values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        built = built.cell(name, &values);
    }
    built
}

#[track_caller]
fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    let allowed = 1e-9 * expected.abs().max(1e-9);
    assert!((found - expected).abs() <= allowed, "{what}: {found}, not {expected}");
}

#[track_caller]
fn both(found: Option<[f64; 2]>, expected: &Value, what: &str) {
    let found = found.unwrap();
    close(found[0], &expected[0], what);
    close(found[1], &expected[1], what);
}

#[test]
fn the_table_against_the_baseline() {
    let golden = golden();
    for (which, test) in [("paired", Test::Paired), ("welch", Test::Welch)] {
        let built = built(&golden);
        let data = if test == Test::Paired { built } else { built.sequential() }.data();
        let info = metrics::info(METRIC).unwrap();
        let rows = baseline::rows(&data, &Families::default(), info, &[], &whole(&data)).unwrap();
        assert_eq!(rows.len(), 6);
        for row in &rows {
            let name: Vec<&str> = row.levels.iter().map(|level| level.text.as_str()).collect();
            let name = name.join("/");
            let expected = &golden[which][&name];
            if row.is_baseline {
                assert!(expected.is_null() && row.contrast.p.is_none());
                continue;
            }
            let contrast = &row.contrast;
            assert_eq!(contrast.test, Some(test));
            close(contrast.difference.unwrap(), &expected["difference"], &name);
            close(contrast.ratio.unwrap(), &expected["ratio"], &name);
            close(contrast.p.unwrap(), &expected["p"], &name);
            close(contrast.p_adjusted.unwrap(), &expected["p_adjusted"], &name);
            close(contrast.g.unwrap(), &expected["g"], &name);
            both(contrast.ci, &expected["ci"], &name);
            both(contrast.ratio_ci, &expected["ratio_ci"], &name);
            both(contrast.g_ci, &expected["g_ci"], &name);
            let judgement = match name.as_str() {
                "gemma/60" => Judgement::Worse,
                "qwen/60" => Judgement::Better,
                // in pairs it is within 1 % of the baseline
                "gemma/30" if test == Test::Paired => Judgement::NoneThatMatters,
                _ => Judgement::Unclear,
            };
            assert_eq!(contrast.judgement, judgement, "{name}");
        }
        let success = success::success(&rows, Better::Higher);
        assert_eq!((success.configurations, success.compared, success.better), (4, 4, 2));
        assert_eq!((success.clearly_better, success.clearly_worse, success.untested), (1, 1, 0));
        both(success.clearly_better_ci, &golden["wilson"], "Wilson");
    }
}

#[test]
fn a_ranking_says_from_what_rank_1_cannot_be_told_apart() {
    let golden = golden();
    for which in ["paired", "welch"] {
        let built = built(&golden);
        let data = if which == "paired" { built } else { built.sequential() }.data();
        let info = metrics::info(METRIC).unwrap();
        let found =
            ranking::ranking(&data, &Families::default(), info, Better::Higher, &whole(&data));
        let expected = golden["ranking"][which].as_array().unwrap();
        for ((place, row), expected) in found.rows.iter().enumerate().zip(expected) {
            assert_eq!(row.rank, Some(place + 1));
            assert_eq!(row.name.replace('_', "/"), expected[0].as_str().unwrap());
            if place > 0 {
                close(row.behind.p_adjusted.unwrap(), &expected[1], &row.name);
            }
        }
        assert_eq!(found.said, "rank 1 is not clearly better, by what matters, than rank 2");
        assert!(!found.clear);
    }
}
