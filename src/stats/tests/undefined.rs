//! What has no value says so, and why.

use crate::stats::*;

fn of(values: &[f64]) -> Sample {
    Sample::new(values.to_vec()).unwrap()
}

#[test]
fn one_value_on_a_side_is_too_few() {
    let (one, two) = (of(&[1.0]), of(&[1.0, 2.0]));
    let too_few = |needed| Undefined::TooFew { needed, found: 1 };
    assert_eq!(mean(&one), Err(too_few(2)));
    assert_eq!(difference(&one, &two), Err(too_few(2)));
    assert_eq!(difference(&two, &one), Err(too_few(2)));
    assert_eq!(paired_difference(&one, &one), Err(too_few(2)));
    assert_eq!(hedges_g(&one, &two), Err(too_few(2)));
    assert_eq!(Bootstrap::one(&one, 0, |s| Some(s.mean())), Err(too_few(2)));
    assert_eq!(ratio(&one, &two, false).unwrap_err(), too_few(2));
    assert_eq!(pearson(&two, &two), Err(Undefined::TooFew { needed: 3, found: 2 }));
}

#[test]
fn three_points_correlate_without_an_interval() {
    let r = pearson(&of(&[1.0, 2.0, 4.0]), &of(&[1.0, 3.0, 2.0])).unwrap();
    assert!(r.p_of_none() > 0.05);
    assert_eq!(r.interval(0.95), Err(Undefined::TooFew { needed: 4, found: 3 }));
}

#[test]
fn values_that_do_not_vary_carry_no_test() {
    let (same, other) = (of(&[5.0, 5.0, 5.0]), of(&[7.0, 7.0, 7.0]));
    let varying = of(&[1.0, 2.0, 3.0]);
    assert_eq!(mean(&same), Err(Undefined::NoSpread));
    assert_eq!(difference(&same, &other), Err(Undefined::NoSpread));
    assert!(difference(&same, &varying).is_ok());
    assert_eq!(pearson(&same, &varying), Err(Undefined::NoSpread));
    assert_eq!(spearman(&varying, &same), Err(Undefined::NoSpread));
    assert_eq!(hedges_g(&same, &other), Err(Undefined::NoSpread));
    assert_eq!(super::super::permutation(&same, &same, 0), Err(Undefined::NoSpread));
    assert_eq!(paired_permutation(&same, &same, 0), Err(Undefined::NoSpread));
    assert_eq!(mann_whitney(&same, &same), Err(Undefined::NoSpread));
    assert_eq!(Bootstrap::one(&same, 0, Sample::sd), Err(Undefined::NoSpread));
    assert_eq!(paired_runs(1.0, 0.0, 0.05), Err(Undefined::NoSpread));
}

#[test]
fn rounding_is_no_spread() {
    // each difference is 0.1 but for its last digits
    let x = of(&[0.1, 1.1, 2.1, 1000.1]);
    let y = of(&[0.0, 1.0, 2.0, 1000.0]);
    assert_eq!(paired_difference(&x, &y), Err(Undefined::NoSpread));
    assert_eq!(mean(&of(&[0.1 + 0.2, 0.3, 0.3])), Err(Undefined::NoSpread));
    assert_eq!(ratio(&x, &x, true).unwrap_err(), Undefined::NoSpread);
}

#[test]
fn pairs_need_partners() {
    let (two, three) = (of(&[1.0, 2.0]), of(&[1.0, 2.0, 4.0]));
    let unpaired = Undefined::Unpaired { left: 2, right: 3 };
    assert_eq!(paired_difference(&two, &three), Err(unpaired.clone()));
    assert_eq!(pearson(&two, &three), Err(unpaired.clone()));
    assert_eq!(paired_permutation(&two, &three, 0), Err(unpaired));
}

#[test]
fn a_denominator_around_zero_gives_no_ratio() {
    let x = of(&[1.0, 2.0, 3.0]);
    let around_zero = of(&[-1.0, 0.5, 1.0]);
    let found = ratio(&x, &around_zero, false).unwrap().interval(0.95);
    assert_eq!(found, Err(Undefined::ZeroDenominator));
    assert_eq!(ratio(&x, &of(&[-1.0, 1.0]), false).unwrap_err(), Undefined::ZeroDenominator);
}

#[test]
fn points_on_a_line_have_no_error() {
    let x = of(&[1.0, 2.0, 3.0, 5.0]);
    let y = of(&[-2.0, -4.0, -6.0, -10.0]);
    let r = pearson(&x, &y).unwrap();
    assert!((r.value + 1.0).abs() < 1e-12);
    assert_eq!(r.interval(0.95), Err(Undefined::Exact));
    assert_eq!(r.p(0.5), Err(Undefined::Exact));
}

#[test]
fn levels_and_bounds_stay_in_their_range() {
    let x = of(&[1.0, 2.0, 4.0, 3.0]);
    let out = |what| Undefined::OutOfRange { what };
    for level in [0.0, 1.0, -3.0, f64::NAN] {
        assert_eq!(mean(&x).unwrap().interval(level), Err(out("the level")));
        assert_eq!(wilson(1, 2, level), Err(out("the level")));
    }
    let r = pearson(&x, &of(&[1.0, 2.0, 3.0, 1.0])).unwrap();
    assert_eq!(r.p(1.0), Err(out("the bound of a correlation")));
    assert_eq!(QuantileTest::new(&x, 100.0).unwrap_err(), out("the percentile"));
    assert_eq!(wilson(3, 2, 0.95), Err(out("the number of successes")));
    assert_eq!(wilson(0, 0, 0.95), Err(Undefined::TooFew { needed: 1, found: 0 }));
}

#[test]
fn a_percentile_that_few_values_cannot_bound_is_unbounded() {
    let five = of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let median = QuantileTest::new(&five, 50.0).unwrap().interval(0.95).unwrap();
    assert_eq!((median.low, median.high), (f64::NEG_INFINITY, f64::INFINITY));
    let six = of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let median = QuantileTest::new(&six, 50.0).unwrap().interval(0.95).unwrap();
    assert_eq!((median.low, median.high), (1.0, 6.0));
}

#[test]
fn an_outlier_of_a_thousand_million_is_named_and_widens_the_interval() {
    let runs = of(&[98.0, 99.0, 97.5, 98.5, 1e9]);
    assert_eq!(outliers(&runs, OutlierRule::RAW), [4]);
    assert_eq!(outliers(&runs, OutlierRule::SCALED), [4]);
    let interval = mean(&runs).unwrap().interval(0.95).unwrap();
    assert!(interval.low < 0.0 && interval.high > 1e8);
    assert!(outliers(&of(&[3.0]), OutlierRule::RAW).is_empty());
    assert_eq!(outliers(&of(&[3.0, 3.0, 3.0, 3.1]), OutlierRule::RAW), [3]);
}

#[test]
fn values_whose_squares_overflow_are_no_sample() {
    assert_eq!(Sample::new(vec![1.0, -1e200]), Err(SampleError::TooLarge { index: 1 }));
    let huge = of(&[-1e150, 1e150, 3e149]);
    assert!(huge.sd().unwrap().is_finite() && huge.median_absolute_deviation().is_finite());
    assert!(difference(&huge, &of(&[1.0, 2.0])).unwrap().p(0.0).is_finite());
    assert!(pearson(&huge, &of(&[1.0, 2.0, 4.0])).unwrap().value.is_finite());
}
