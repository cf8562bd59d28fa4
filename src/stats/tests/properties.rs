//! What must hold for any values: shift, scale, exchange; intervals and p that agree.

use proptest::prelude::*;

use crate::stats::*;

fn values(least: usize) -> impl Strategy<Value = Vec<f64>> {
    // quarters are exact, so that shifting by them rounds nothing away
    prop::collection::vec((-4000_i32..4000).prop_map(|n| f64::from(n) / 4.0), least..9)
}

fn of(values: &[f64]) -> Sample {
    Sample::new(values.to_vec()).unwrap()
}

fn map(values: &[f64], f: impl Fn(f64) -> f64) -> Sample {
    Sample::new(values.iter().map(|value| f(*value)).collect()).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #[test]
    fn a_shift_moves_estimates_and_changes_no_p(x in values(2), y in values(2), by in -50_i32..50) {
        let by = f64::from(by);
        let Ok(before) = difference(&of(&x), &of(&y)) else { return Ok(()) };
        let both = difference(&map(&x, |v| v + by), &map(&y, |v| v + by)).unwrap();
        prop_assert!(near(before.value, both.value) && near(before.p(0.0), both.p(0.0)));
        let one = difference(&map(&x, |v| v + by), &of(&y)).unwrap();
        prop_assert!(near(before.value + by, one.value) && near(before.p(0.0), one.p(by)));
    }

    #[test]
    fn a_unit_changes_no_p_and_no_effect_size(x in values(2), y in values(2), unit in 1_i32..1000) {
        let (x, y, unit) = (of(&x), of(&y), f64::from(unit) / 7.0);
        let (scaled_x, scaled_y) = (map(x.values(), |v| v * unit), map(y.values(), |v| v * unit));
        let Ok(before) = difference(&x, &y) else { return Ok(()) };
        let after = difference(&scaled_x, &scaled_y).unwrap();
        prop_assert!(near(before.p(0.0), after.p(0.0)));
        prop_assert!(near(before.interval(0.9).unwrap().low * unit, after.interval(0.9).unwrap().low));
        let (g, scaled) = (hedges_g(&x, &y).unwrap(), hedges_g(&scaled_x, &scaled_y).unwrap());
        prop_assert!(near(g.value, scaled.value));
        prop_assert!(near(cliffs_delta(&x, &y), cliffs_delta(&scaled_x, &scaled_y)));
    }

    #[test]
    fn the_order_of_runs_does_not_matter(x in values(2), y in values(2)) {
        let reversed: Vec<f64> = x.iter().rev().copied().collect();
        let Ok(before) = difference(&of(&x), &of(&y)) else { return Ok(()) };
        prop_assert_eq!(before, difference(&of(&reversed), &of(&y)).unwrap());
        let p = |x: &[f64]| mann_whitney(&of(x), &of(&y)).unwrap().p;
        prop_assert!(near(p(&x), p(&reversed)));
        let p = |x: &[f64]| permutation(&of(x), &of(&y), 3).unwrap();
        if p(&x).exact {
            prop_assert!(near(p(&x).p, p(&reversed).p));
        }
    }

    #[test]
    fn exchanging_the_sides_changes_the_sign_only(x in values(2), y in values(2)) {
        let (x, y) = (of(&x), of(&y));
        let Ok(one) = difference(&x, &y) else { return Ok(()) };
        let other = difference(&y, &x).unwrap();
        prop_assert!(near(one.value, -other.value) && near(one.p(0.0), other.p(0.0)));
        prop_assert!(near(cliffs_delta(&x, &y), -cliffs_delta(&y, &x)));
        let (one, other) = (mann_whitney(&x, &y).unwrap(), mann_whitney(&y, &x).unwrap());
        prop_assert!(near(one.p, other.p));
        prop_assert!(near(one.u + other.u, (x.n() * y.n()) as f64));
    }

    #[test]
    fn an_interval_leaves_out_exactly_what_its_test_rejects(
        x in values(2), y in values(2), bound in -2000_i32..2000, alpha in 1_i32..60,
    ) {
        let (x, y) = (of(&x), of(&y));
        let (bound, alpha) = (f64::from(bound) / 4.0, f64::from(alpha) / 100.0);
        if let Ok(estimate) = difference(&x, &y) {
            let inside = estimate.interval(1.0 - alpha).unwrap().contains(bound);
            let p = estimate.p(bound);
            prop_assert!(inside == (p >= alpha) || near(p, alpha));
            let narrow = estimate.interval(1.0 - 2.0 * alpha.min(0.49)).unwrap();
            let within = narrow.low > -bound.abs() && narrow.high < bound.abs();
            let p = estimate.equivalence_p(bound.abs());
            prop_assert!(within == (p < alpha.min(0.49)) || near(p, alpha.min(0.49)));
        }
        for percent in [10.0, 50.0, 95.0] {
            let test = QuantileTest::new(&x, percent).unwrap();
            let inside = test.interval(1.0 - alpha).unwrap().contains(bound);
            prop_assert_eq!(inside, test.p(bound) >= alpha);
        }
    }

    #[test]
    fn a_ratio_and_its_interval_agree(
        x in values(2), y in values(2), bound in -20_i32..40, pairs in any::<bool>(),
    ) {
        let n = x.len().min(y.len());
        let cut = if pairs { n } else { usize::MAX };
        let x = of(&x[..x.len().min(cut)]);
        let y = map(&y[..y.len().min(cut)], |value| value + 1200.0);
        let bound = f64::from(bound) / 10.0;
        if let Ok(ratio) = ratio(&x, &y, pairs)
            && let (Ok(interval), Ok(p)) = (ratio.interval(0.95), ratio.p(bound))
        {
            prop_assert!(interval.low <= ratio.value && ratio.value <= interval.high);
            let edge = near(bound, interval.low) || near(bound, interval.high);
            prop_assert!(interval.contains(bound) == (p >= 0.05) || edge, "{interval:?} {p}");
        }
    }

    #[test]
    fn a_correlation_and_its_interval_agree(
        pairs in prop::collection::vec((-400_i32..400, -400_i32..400), 4..12), bound in -99_i32..99,
    ) {
        let x: Vec<f64> = pairs.iter().map(|(x, _)| f64::from(*x)).collect();
        let y: Vec<f64> = pairs.iter().map(|(_, y)| f64::from(*y)).collect();
        for found in [pearson(&of(&x), &of(&y)), spearman(&of(&x), &of(&y))] {
            let Ok(r) = found else { continue };
            prop_assert!((-1.0..=1.0).contains(&r.value));
            let bound = f64::from(bound) / 100.0;
            if let (Ok(interval), Ok(p)) = (r.interval(0.95), r.p(bound)) {
                prop_assert!(interval.contains(bound) == (p >= 0.05) || near(p, 0.05));
            }
        }
    }

    #[test]
    fn holm_never_lowers_a_p_nor_changes_their_order(raw in prop::collection::vec(0.0..=1.0, 0..8)) {
        let adjusted = holm(&raw);
        for (i, p) in raw.iter().enumerate() {
            prop_assert!(adjusted[i] >= *p && adjusted[i] <= 1.0);
            prop_assert!(adjusted[i] <= (raw.len() as f64 * p).min(1.0));
            for (j, other) in raw.iter().enumerate() {
                prop_assert!(p > other || adjusted[i] <= adjusted[j]);
            }
        }
    }
}

#[test]
fn holm_as_in_its_own_paper() {
    // four tests at 5 %: 0.01 × 4, 0.02 × 3, then never less than before
    let adjusted = holm(&[0.04, 0.01, 0.03, 0.02]);
    for (ours, theirs) in adjusted.iter().zip([0.06, 0.04, 0.06, 0.06]) {
        assert!((ours - theirs).abs() < 1e-15, "{adjusted:?}");
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn what_is_drawn_depends_on_the_seed_alone() {
    let many = |shift: f64| of(&(0..40).map(|n| f64::from(n * n % 17) + shift).collect::<Vec<_>>());
    let (x, y) = (many(0.0), many(1.5));
    let draw = |seed| permutation(&x, &y, seed).unwrap();
    assert!(!draw(1).exact);
    assert_eq!(draw(1), draw(1));
    assert!((draw(1).p - draw(2).p).abs() < 0.03);
    let medians = |seed| Bootstrap::one(&x, seed, |s| Some(s.median())).unwrap();
    assert_eq!(medians(5), medians(5));
    let medians = Bootstrap::two(&x, &y, 5, |x, y| Some(y.mean() - x.mean())).unwrap();
    let interval = medians.interval(0.95).unwrap();
    assert!(interval.contains(1.5), "{interval:?}");
    assert!((medians.p(-30.0) - 2e-4).abs() < 1e-15);
    for bound in [0.0, 1.0, 3.5] {
        let p = medians.p(bound);
        let inside = medians.interval(1.0 - p * 0.98).unwrap().contains(bound);
        let outside = !medians.interval(1.0 - (p * 1.02).min(0.999)).unwrap().contains(bound);
        assert!(inside && outside, "{bound} {p}");
    }
}
