//! Against `NumPy`'s and `SciPy`'s figures.

use serde_json::Value;

use crate::stats::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/stats.json")).unwrap()
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: &Value) {
    let theirs = theirs.as_f64().unwrap();
    let tolerance = 1e-9 * theirs.abs().max(1e-3);
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} instead of {theirs}");
}

#[test]
fn samples_as_numpy_and_scipy_describe_them() {
    let golden = golden();
    for (name, expected) in golden["samples"].as_object().unwrap() {
        let values =
            expected["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let sample = Sample::new(values).unwrap();
        close(name, sample.mean(), &expected["mean"]);
        close(name, sample.sd().unwrap(), &expected["sd"]);
        close(name, sample.median(), &expected["median"]);
        close(name, sample.median_absolute_deviation(), &expected["mad"]);
        close(name, sample.cv().unwrap(), &expected["cv"]);
        let ci = sample.mean_ci(0.95).unwrap();
        close(name, ci.low, &expected["ci95"][0]);
        close(name, ci.high, &expected["ci95"][1]);
        for (percent, value) in expected["percentiles"].as_object().unwrap() {
            close(name, sample.percentile(percent.parse().unwrap()), value);
        }
    }
}

#[test]
fn student_quantiles_as_scipy_gives_them() {
    for row in golden()["student"].as_array().unwrap() {
        let (p, freedom) = (row[0].as_f64().unwrap(), row[1].as_f64().unwrap());
        close(&format!("t({p}, {freedom})"), student_quantile(p, freedom).unwrap(), &row[2]);
    }
    assert_eq!(student_quantile(0.5, 4.0), Some(0.0));
    assert_eq!(student_quantile(1.0, 4.0), None);
    assert_eq!(student_quantile(0.9, 0.0), None);
}

#[test]
fn a_sample_is_never_empty_or_unordered() {
    assert_eq!(Sample::new(vec![]), Err(SampleError::Empty));
    assert_eq!(Sample::new(vec![1.0, f64::NAN]), Err(SampleError::NotFinite { index: 1 }));
    assert_eq!(Sample::new(vec![f64::INFINITY]), Err(SampleError::NotFinite { index: 0 }));
}

#[test]
fn one_value_has_a_mean_but_no_spread() {
    let one = Sample::new(vec![7.5]).unwrap();
    assert_eq!((one.mean(), one.median(), one.percentile(99.0)), (7.5, 7.5, 7.5));
    assert_eq!((one.sd(), one.cv(), one.mean_ci(0.95)), (None, None, None));
}

#[test]
fn a_mean_of_zero_has_no_coefficient_of_variation() {
    let sample = Sample::new(vec![-1.0, 1.0]).unwrap();
    assert_eq!(sample.cv(), None);
    assert_eq!(sample.mean_ci(1.0), None);
}
