//! Spreads, skewed means, rank tests, looks and what was needed, against `NumPy`'s and `SciPy`'s figures
//! (`tests/golden/robust.py`).

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stats::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/robust.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn close_within(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = number(theirs);
    let allowed = tolerance * theirs.abs();
    assert!((ours - theirs).abs() <= allowed, "{what}: {ours} instead of {theirs}");
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: &Value) {
    close_within(what, ours, theirs, 1e-9);
}

/// An end that is absent there is infinite here.
#[track_caller]
fn same_interval(what: &str, ours: Interval, theirs: &Value) {
    for (ours, theirs) in [(ours.low, &theirs[0]), (ours.high, &theirs[1])] {
        match theirs {
            Value::Null => assert!(ours.is_infinite(), "{what}: {ours}"),
            theirs => close(what, ours, theirs),
        }
    }
}

fn sample(values: &Value) -> Sample {
    Sample::new(values.as_array().unwrap().iter().map(number).collect()).unwrap()
}

fn rows(figures: &str) -> Vec<Value> {
    let rows = golden()[figures].as_array().unwrap().clone();
    assert!(rows.len() > 1, "{figures}");
    rows
}

#[test]
fn standard_deviations_by_chi_squared_and_by_bonett() {
    for (name, theirs) in golden()["spread"].as_object().unwrap() {
        let ours = spread(&sample(&theirs["values"])).unwrap();
        close(name, ours.value, &theirs["sd"]);
        same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
        same_interval(name, ours.interval(0.99).unwrap(), &theirs["ci99"]);
        close(name, ours.p(number(&theirs["bound"])).unwrap(), &theirs["p"]);
    }
}

#[test]
fn ratios_of_standard_deviations() {
    for theirs in rows("spread_ratio") {
        let ours = spread_ratio(&sample(&theirs["x"]), &sample(&theirs["y"])).unwrap();
        close("ratio", ours.value, &theirs["value"]);
        close("p", ours.p(1.0).unwrap(), &theirs["p"]);
        close("p of 2", ours.p(2.0).unwrap(), &theirs["p_against_2"]);
        same_interval("interval", ours.interval(0.95).unwrap(), &theirs["ci95"]);
    }
}

#[test]
fn samples_look_normal_up_to_the_critical_value_of_anderson_and_darling() {
    let rows = rows("normality");
    for row in &rows {
        let (values, statistic) = (sample(&row[0]), number(&row[1]));
        assert_eq!(looks_normal(&values), Some(statistic < 0.631), "{statistic}: {values:?}");
    }
    let near = rows.iter().filter(|row| (number(&row[1]) - 0.631).abs() < 0.02).count();
    assert!(near > 5, "{near}");
}

#[test]
fn means_of_lognormal_data_by_integration_and_by_drawing() {
    for (name, theirs) in golden()["lognormal"].as_object().unwrap() {
        let ours = lognormal_mean(&sample(&theirs["values"])).unwrap();
        for (level, ends) in [(0.95, &theirs["ci95"]), (0.999, &theirs["ci999"])] {
            let ci = ours.interval(level).unwrap();
            // on the logarithm: e⁵³ is a poor scale
            for (ours, theirs) in [(ci.low, &ends[0]), (ci.high, &ends[1])] {
                match theirs {
                    Value::Null => assert!(ours.is_infinite(), "{name}: {ours}"),
                    theirs => {
                        let far = (ours.ln() - number(theirs).ln()).abs();
                        assert!(far < 1e-8 * number(theirs).ln().abs(), "{name}: {ours} {theirs}");
                    }
                }
            }
        }
        for (row, drawn) in
            theirs["p"].as_array().unwrap().iter().zip(theirs["drawn_p"].as_array().unwrap())
        {
            let p = ours.p(number(&row[0]));
            close_within(name, p, &row[1], 1e-8);
            // four standard errors of four million draws
            let error = 4.0 * 2.0 * (number(&row[1]) / 2.0 / 4e6).sqrt() + 2e-6;
            assert!((p - number(drawn)).abs() < error, "{name}: {p} {drawn}");
        }
        let ci = ours.interval(0.95).unwrap();
        for (ours, drawn) in [(ci.low, 0), (ci.high, 1)] {
            let drawn = number(&theirs["drawn_log_ci95"][drawn]);
            assert!((ours.ln() - drawn).abs() < 0.01 * drawn.abs().max(0.3), "{name}: {ours}");
        }
    }
}

#[test]
fn a_bound_that_is_a_millionth_off_is_not_said_to_be_impossible() {
    // p = 1.9e-5 and 5.3e-6: tails of these sizes are what early looks and many hypotheses ask for
    for name in ["runs", "far"] {
        let theirs = &golden()["lognormal"][name];
        let ours = lognormal_mean(&sample(&theirs["values"])).unwrap();
        let last = &theirs["p"][4];
        assert!(number(&last[1]) < 1e-4);
        close_within(name, ours.p(number(&last[0])), &last[1], 1e-8);
    }
}

#[test]
fn shifts_by_the_exact_rank_tests() {
    for theirs in rows("shift") {
        let (x, y) = (sample(&theirs["x"]), sample(&theirs["y"]));
        same_shift(&shift(&x, &y).unwrap(), &theirs);
        if !theirs["paired"].is_null() {
            same_shift(&paired_shift(&x, &y).unwrap(), &theirs["paired"]);
        }
    }
    for theirs in rows("large_shift") {
        let ours = shift(&sample(&theirs["x"]), &sample(&theirs["y"])).unwrap();
        close("approximated", ours.p(0.0), &theirs["p"]);
    }
}

#[track_caller]
fn same_shift(ours: &Shift, theirs: &Value) {
    close("shift", ours.value, &theirs["value"]);
    close("p", ours.p(0.0), &theirs["p"]);
    for row in theirs["p_against"].as_array().unwrap() {
        close("p of a bound", ours.p(number(&row[0])), &row[1]);
    }
    same_interval("interval", ours.interval(0.95).unwrap(), &theirs["ci95"]);
}

#[test]
fn many_runs_against_few_are_counted_in_no_time() {
    let of = |n: u32| Sample::new((0..n).map(|value| f64::from(value * value)).collect()).unwrap();
    let (many, few) = (of(300), of(3));
    let began = Instant::now();
    let (one, other) = (shift(&many, &few).unwrap(), shift(&few, &many).unwrap());
    assert!((one.p(0.0) - other.p(0.0)).abs() < 1e-12);
    let apart = Sample::new(vec![0.5, 2.5]).unwrap();
    assert!(mann_whitney(&many, &apart).unwrap().exact);
    // counted from the larger side it takes minutes
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn pairs_that_differ_by_the_same_have_no_shift_but_rounding() {
    let x = Sample::new(vec![0.1, 1.1, 2.1, 1000.1, 3.1, 4.1]).unwrap();
    let y = Sample::new(vec![0.0, 1.0, 2.0, 1000.0, 3.0, 4.0]).unwrap();
    assert_eq!(paired_shift(&x, &y).unwrap_err(), Undefined::NoSpread);
    assert!(shift(&x, &y).is_ok());
}

#[test]
fn looks_share_alpha_as_lan_and_demets_published_it() {
    let published = golden()["published_looks"].clone();
    let levels = obrien_fleming(&[0.2, 0.4, 0.6, 0.8, 1.0], 0.05).unwrap();
    for (level, theirs) in levels.iter().zip(published.as_array().unwrap()) {
        let z = super::super::normal::quantile(1.0 - level / 2.0);
        assert!((z - number(theirs)).abs() < 0.000_15, "{z} instead of {theirs}");
    }
    for theirs in rows("looks") {
        let information = sample(&theirs["information"]);
        let ours = obrien_fleming(information.values(), number(&theirs["alpha"])).unwrap();
        for (ours, theirs) in ours.iter().zip(theirs["levels"].as_array().unwrap()) {
            close_within("level", *ours, theirs, 1e-6);
        }
    }
}

#[test]
fn how_sure_the_runs_needed_are() {
    for row in rows("needed") {
        let of = |name: &str| number(&row[name]);
        let ours =
            needed_interval(of("t"), of("freedom"), of("n"), of("alpha"), of("level")).unwrap();
        let theirs = |place: usize| match &row["runs"][place] {
            Value::Null => Needed::TooMany,
            runs => Needed::Runs(runs.as_u64().unwrap()),
        };
        assert_eq!(ours, (theirs(0), theirs(1)), "{row}");
    }
}

#[test]
fn correlations_within_groups_are_partial_ones() {
    let theirs = &golden()["within"];
    let groups = usize::try_from(theirs["groups"].as_u64().unwrap()).unwrap();
    let ours = pearson(&sample(&theirs["x"]), &sample(&theirs["y"])).unwrap().within(groups);
    close("r", ours.value, &theirs["value"]);
    close("p of none", ours.p_of_none(), &theirs["p_of_none"]);
    close("p of a half", ours.p(0.5).unwrap(), &theirs["p_against_half"]);
    same_interval("interval", ours.interval(0.95).unwrap(), &theirs["ci95"]);
}
