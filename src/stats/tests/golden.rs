//! Tests, intervals and effect sizes against `SciPy`'s figures.

use serde_json::Value;

use crate::stats::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/stats.json")).unwrap()
}

#[track_caller]
fn close_within(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = theirs.as_f64().unwrap();
    let allowed = tolerance * theirs.abs().max(1e-3);
    assert!((ours - theirs).abs() <= allowed, "{what}: {ours} instead of {theirs}");
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: &Value) {
    close_within(what, ours, theirs, 1e-9);
}

#[track_caller]
fn same_interval(what: &str, ours: Interval, theirs: &Value) {
    close(what, ours.low, &theirs[0]);
    close(what, ours.high, &theirs[1]);
}

fn sample(values: &Value) -> Sample {
    Sample::new(values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()).unwrap()
}

/// Runs a check on every pair of samples that has these figures.
fn each(figures: &str, check: impl Fn(&str, &Sample, &Sample, &Value)) {
    let golden = golden();
    let mut checked = 0;
    for (name, pair) in golden["comparisons"].as_object().unwrap() {
        if !pair[figures].is_null() {
            check(name, &sample(&pair["x"]), &sample(&pair["y"]), &pair[figures]);
            checked += 1;
        }
    }
    assert!(checked > 3, "only {checked} pairs have {figures}");
}

#[test]
fn welch() {
    each("welch", |name, x, y, theirs| {
        let ours = difference(x, y).unwrap();
        close(name, ours.t(0.0), &theirs["t"]);
        close(name, ours.freedom, &theirs["freedom"]);
        close(name, ours.p(0.0), &theirs["p"]);
        close(name, ours.p(2.0), &theirs["p_against_2"]);
        same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
        same_interval(name, ours.interval(0.90).unwrap(), &theirs["ci90"]);
        close(name, ours.equivalence_p(3.0), &theirs["tost_3"]);
    });
}

#[test]
fn pairs() {
    each("paired", |name, x, y, theirs| {
        let ours = paired_difference(x, y).unwrap();
        close(name, ours.t(0.0), &theirs["t"]);
        close(name, ours.p(0.0), &theirs["p"]);
        same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
        close(name, ours.equivalence_p(3.0), &theirs["tost_3"]);
        let permuted = paired_permutation(x, y, 1).unwrap();
        assert!(permuted.exact);
        close(name, permuted.p, &theirs["permutation"]);
        if !theirs["ratio"].is_null() {
            same_ratio(name, &ratio(x, y, true).unwrap(), &theirs["ratio"]);
        }
    });
}

#[track_caller]
fn same_ratio(name: &str, ours: &Ratio, theirs: &Value) {
    close(name, ours.value, &theirs["value"]);
    close(name, ours.p(theirs["bound"].as_f64().unwrap()).unwrap(), &theirs["p"]);
    same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
}

#[test]
fn ratios_of_means() {
    each("ratio", |name, x, y, theirs| same_ratio(name, &ratio(x, y, false).unwrap(), theirs));
}

#[track_caller]
fn same_log_ratio(name: &str, ours: &LogRatio, theirs: &Value) {
    close(name, ours.value(), &theirs["value"]);
    close(name, ours.p(1.0).unwrap(), &theirs["p"]);
    let bound = theirs["bound"].as_f64().unwrap();
    close(name, ours.p(bound).unwrap(), &theirs["p_against_bound"]);
    same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
}

#[test]
fn ratios_of_geometric_means() {
    each("log_ratio", |name, x, y, theirs| {
        same_log_ratio(name, &log_ratio(x, y, false).unwrap(), theirs);
        close(name, geometric_mean(x).unwrap(), &theirs["geometric_mean"]);
    });
    each("paired", |name, x, y, theirs| match theirs["log_ratio"] {
        Value::Null => assert_eq!(log_ratio(x, y, true), Err(Undefined::NotPositive)),
        ref theirs => same_log_ratio(name, &log_ratio(x, y, true).unwrap(), theirs),
    });
}

#[test]
fn false_discovery_rates() {
    for row in golden()["false_discovery"].as_array().unwrap() {
        let values = |of: &Value| -> Vec<f64> {
            of.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let ours = benjamini_hochberg(&values(&row[0]));
        for (ours, theirs) in ours.iter().zip(row[1].as_array().unwrap()) {
            close("Benjamini–Hochberg", *ours, theirs);
        }
    }
    assert!(benjamini_hochberg(&[]).is_empty());
}

#[test]
fn rules_for_outliers_flag_clean_data_as_often_as_numpy_finds() {
    for (n, rates) in golden()["flag_rates"].as_object().unwrap() {
        let n: usize = n.parse().unwrap();
        for (name, rule) in [("raw", OutlierRule::RAW), ("scaled", OutlierRule::SCALED)] {
            let ours = flag_rates(rule, n);
            // both are drawn; NumPy's from at least four times as many values
            let near = |ours: f64, theirs: &Value| (ours - theirs.as_f64().unwrap()).abs() < 0.015;
            assert!(near(ours.per_value, &rates[name][0]), "{name} {n}: {ours:?} {rates}");
            assert!(near(ours.per_sample, &rates[name][1]), "{name} {n}: {ours:?} {rates}");
            assert!((flag_rate(rule, n) - ours.per_value).abs() < 1e-15);
        }
    }
    assert!(flag_rate(OutlierRule::RAW, 1).abs() < 1e-15);
    // what the documentation says: 3.5 scaled MAD flags 10 %, 5.5 % and 1.8 % of the values
    for (n, percent) in [(3, 9.6), (5, 5.6), (10, 1.7)] {
        let ours = 100.0 * flag_rate(OutlierRule::SCALED, n);
        assert!((ours - percent).abs() < 0.3, "{n}: {ours}");
    }
}

#[test]
fn ranks() {
    each("mann_whitney", |name, x, y, theirs| {
        let ours = mann_whitney(x, y).unwrap();
        close(name, ours.u, &theirs["u"]);
        close(name, ours.p, &theirs["p"]);
        assert_eq!(ours.exact, !["ties", "one_constant", "dozen"].contains(&name), "{name}");
    });
    each("cliffs_delta", |name, x, y, theirs| close(name, cliffs_delta(x, y), theirs));
}

#[test]
fn permutations() {
    each("permutation", |name, x, y, theirs| {
        let ours = super::super::permutation(x, y, 1).unwrap();
        assert!(ours.exact);
        close(name, ours.p, theirs);
    });
}

#[test]
fn effect_sizes() {
    each("hedges_g", |name, x, y, theirs| {
        let ours = hedges_g(x, y).unwrap();
        close(name, ours.value, &theirs["value"]);
        same_interval(name, ours.interval(0.95).unwrap(), &theirs["ci95"]);
    });
}

#[test]
fn correlations() {
    each("correlation", |name, x, y, theirs| {
        let ours = pearson(x, y).unwrap();
        close(name, ours.value, &theirs["pearson"]);
        close(name, ours.p_of_none(), &theirs["pearson_p"]);
        if x.n() > 3 {
            close(name, ours.p(0.5).unwrap(), &theirs["against_half"]);
            same_interval(name, ours.interval(0.95).unwrap(), &theirs["pearson_ci95"]);
        }
        let ours = spearman(x, y).unwrap();
        close(name, ours.value, &theirs["spearman"]);
        close(name, ours.p_of_none(), &theirs["spearman_p"]);
    });
}

#[test]
fn distributions() {
    let golden = golden();
    for row in golden["noncentral_t"].as_array().unwrap() {
        let at = |column: usize| row[column].as_f64().unwrap();
        let ours = super::super::noncentral::noncentral_t_below(at(0), at(1), at(2));
        // it is a sum to which the library's beta function brings an absolute error of some 1e-11
        assert!((ours - at(3)).abs() < 1e-10, "{row}: {ours}");
    }
    for row in golden["normal_quantile"].as_array().unwrap() {
        close("normal", super::super::normal::quantile(row[0].as_f64().unwrap()), &row[1]);
    }
}

#[test]
fn runs_that_would_have_been_needed() {
    let one = Sample::new(vec![-0.5_f64.sqrt(), 0.5_f64.sqrt()]).unwrap();
    assert!((one.sd().unwrap() - 1.0).abs() < 1e-15);
    for row in golden()["sample_sizes"].as_array().unwrap() {
        let effect = row["effect"].as_f64().unwrap();
        let runs = |name: &str| Ok(Needed::Runs(row[name].as_u64().unwrap()));
        assert_eq!(paired_runs(effect, 1.0, 0.05), runs("paired"), "{row}");
        assert_eq!(difference_runs(&one, &one, -effect, 0.05), runs("welch"), "{row}");
        assert_eq!(equivalence_runs(0.0, 1.0, 1.0, effect, 0.05), runs("equivalence"), "{row}");
    }
    assert_eq!(paired_runs(1e-9, 1.0, 0.05), Ok(Needed::TooMany));
    // 3 + ((1.959964 + 0.841621) ÷ (artanh 0.9 − artanh 0.8))² = 3 + 7.849 ÷ 0.1394
    assert_eq!(correlation_runs(0.9, 0.8, 0.05), Ok(Needed::Runs(60)));
}

#[test]
fn rates() {
    for row in golden()["wilson"].as_array().unwrap() {
        let (k, n) = (row[0].as_u64().unwrap(), row[1].as_u64().unwrap());
        same_interval(&format!("{k} of {n}"), wilson(k, n, 0.95).unwrap(), &row[2]);
    }
}

#[test]
fn percentiles_by_order() {
    for row in golden()["order"].as_array().unwrap() {
        let sample = sample(&row["values"]);
        let percent = row["percent"].as_f64().unwrap();
        let ours = QuantileTest::new(&sample, percent).unwrap();
        close("p", ours.p(row["bound"].as_f64().unwrap()), &row["p"]);
        let ci = ours.interval(0.95).unwrap();
        for (ours, theirs) in [(ci.low, &row["ci95"][0]), (ci.high, &row["ci95"][1])] {
            if theirs.is_null() {
                assert!(ours.is_infinite(), "{row}: {ours}");
            } else {
                close("order", ours, theirs);
            }
        }
    }
}

#[test]
fn bootstraps() {
    let golden = golden();
    let theirs = &golden["bootstrap"];
    let replicates = sample(&theirs["replicates"]).values().to_vec();
    let number = |name: &str| theirs[name].as_f64().unwrap();
    let ours = Bootstrap::new(number("value"), replicates, number("acceleration")).unwrap();
    same_interval("BCa", ours.interval(0.95).unwrap(), &theirs["ci95"]);
    // other draws than SciPy's: what remains is their own error
    let thirty = sample(&golden["samples"]["thirty"]["values"]);
    for (name, statistic) in [
        ("median", (|s: &Sample| Some(s.median())) as fn(&Sample) -> Option<f64>),
        ("sd", Sample::sd),
    ] {
        let ours = Bootstrap::one(&thirty, 7, statistic).unwrap().interval(0.95).unwrap();
        close_within(name, ours.low, &theirs["drawn"][name][0], 0.02);
        close_within(name, ours.high, &theirs["drawn"][name][1], 0.02);
    }
}
