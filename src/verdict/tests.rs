//! Verdicts on runs made up in memory.

use super::*;
use crate::cells::NamedLevel;
use crate::manifest::criterion::{Across, Bound, Cells, Criterion, Over, Statistic, Terms, Test};
use crate::manifest::study::Level;
use crate::stats;
use crate::store::record::RunRecord;

fn run(repeat: u32, values: &[(&str, f64)]) -> RunRecord {
    drawn::run(repeat, 60 * repeat, values.iter().map(|(name, value)| ((*name).to_owned(), *value)))
}

/// `wall_ms` of each repeat, one list per level of the axis `a`.
fn runs(values: &[&[f64]]) -> Vec<Vec<RunRecord>> {
    let one = |(index, value): (usize, &f64)| {
        run(u32::try_from(index).unwrap() + 1, &[("wall_ms", *value), ("ttft_ms", index as f64)])
    };
    values.iter().map(|values| values.iter().enumerate().map(one).collect()).collect()
}

const IDS: [&str; 3] = ["aaaaaaaa", "bbbbbbbb", "cccccccc"];

fn cells(runs: &[Vec<RunRecord>]) -> Vec<Cell<'_>> {
    runs.iter()
        .enumerate()
        .map(|(index, runs)| Cell {
            id: IDS[index],
            name: IDS[index],
            levels: vec![NamedLevel::new("a", &Level::Number(index as f64))],
            planned: u32::try_from(runs.len()).unwrap(),
            open: Vec::new(),
            runs: runs.iter().collect(),
            stale: 0,
            failed: Vec::new(),
        })
        .collect()
}

fn at(level: f64) -> Cells {
    Cells([("a".to_owned(), Level::Number(level))].into_iter().collect())
}

fn judged(values: &[&[f64]], criterion: &Criterion, alpha: f64, interleaved: bool) -> Finding {
    on_terms(values, criterion, Terms::default(), alpha, interleaved)
}

fn on_terms(
    values: &[&[f64]],
    criterion: &Criterion,
    terms: Terms,
    alpha: f64,
    interleaved: bool,
) -> Finding {
    let runs = runs(values);
    let cells = cells(&runs);
    judge(&Question {
        criterion,
        terms,
        alpha,
        cells: &cells,
        interleaved,
        looks: &[],
        declared: &[],
    })
}

fn wall() -> String {
    "wall_ms".to_owned()
}

fn threshold(statistic: Statistic, bound: Bound) -> Criterion {
    Criterion::Threshold { metric: wall(), cells: at(0.0), statistic, bound }
}

fn difference(bound: Bound) -> Criterion {
    Criterion::Difference { metric: wall(), at: at(1.0), than: at(0.0), bound }
}

const LOW: [f64; 5] = [10.0, 11.0, 12.0, 10.5, 11.5];
const HIGH: [f64; 5] = [20.0, 21.5, 22.0, 20.0, 21.0];

#[test]
fn greater_and_less_are_mirrors() {
    for interleaved in [true, false] {
        let verdict = |bound| judged(&[&LOW, &HIGH], &difference(bound), 0.05, interleaved).verdict;
        assert_eq!(verdict(Bound::Above(0.0)), Verdict::Supported);
        assert_eq!(verdict(Bound::Above(9.9)), Verdict::Inconclusive);
        assert_eq!(verdict(Bound::Above(15.0)), Verdict::Refuted);
        assert_eq!(verdict(Bound::Below(0.0)), Verdict::Refuted);
        assert_eq!(verdict(Bound::Below(15.0)), Verdict::Supported);
    }
}

#[test]
fn pairs_see_what_independent_samples_do_not() {
    // both drift together; the difference is steady
    let drift = [10.0, 30.0, 50.0, 70.0];
    let above = [11.0, 31.2, 50.9, 71.1];
    let paired = judged(&[&drift, &above], &difference(Bound::Above(0.0)), 0.05, true);
    let apart = judged(&[&drift, &above], &difference(Bound::Above(0.0)), 0.05, false);
    assert_eq!((paired.verdict, apart.verdict), (Verdict::Supported, Verdict::Inconclusive));
    assert_eq!((paired.n.as_str(), apart.n.as_str()), ("4 pairs", "4 and 4 runs"));
    assert_eq!((paired.needed_unit, apart.needed_unit), ("pairs", "runs per side"));
}

#[test]
fn a_ratio_against_its_bound() {
    let ratio = |bound| {
        let criterion = Criterion::Ratio { metric: wall(), of: at(1.0), to: at(0.0), bound };
        judged(&[&LOW, &HIGH], &criterion, 0.05, true)
    };
    assert_eq!(ratio(Bound::Above(1.5)).verdict, Verdict::Supported);
    assert_eq!(ratio(Bound::Above(2.5)).verdict, Verdict::Refuted);
    assert_eq!(ratio(Bound::Below(1.9)).verdict, Verdict::Inconclusive);
    // of pairs the mean of the logarithms' differences
    let logarithms = LOW.iter().zip(HIGH).map(|(low, high)| (high / low).ln());
    let geometric = (logarithms.sum::<f64>() / 5.0).exp();
    assert!((ratio(Bound::Above(1.5)).effect.unwrap() - geometric).abs() < 1e-12);
    // a ratio of means is what the author may ask for
    let criterion =
        Criterion::Ratio { metric: wall(), of: at(1.0), to: at(0.0), bound: Bound::Above(1.5) };
    let terms = Terms { test: Some(Test::T), ..Terms::default() };
    let of_means = on_terms(&[&LOW, &HIGH], &criterion, terms, 0.05, true);
    assert!((of_means.effect.unwrap() - 20.9 / 11.0).abs() < 1e-12, "{of_means:?}");
}

#[test]
fn equivalence_needs_the_interval_inside_the_margin() {
    let other = [10.2, 11.1, 11.9, 10.6, 11.4];
    let same = |values: &[f64], margin| {
        let criterion = Criterion::Equivalent { metric: wall(), at: at(1.0), to: at(0.0), margin };
        judged(&[&LOW, values], &criterion, 0.05, true)
    };
    assert_eq!(same(&other, 0.5).verdict, Verdict::Supported);
    assert_eq!(same(&other, 0.05).verdict, Verdict::Inconclusive);
    let apart = same(&HIGH, 5.0);
    assert_eq!(apart.verdict, Verdict::Refuted);
    // a decision against the claim has a p of its own
    assert!(apart.p.unwrap() < 0.05 && (apart.level - 0.9).abs() < 1e-12);
}

#[test]
fn thresholds_of_every_statistic() {
    let twelve: Vec<f64> = (0..12).map(|n| 100.0 + f64::from(n * 7 % 12)).collect();
    let verdict =
        |statistic, bound| judged(&[&twelve], &threshold(statistic, bound), 0.05, true).verdict;
    assert_eq!(verdict(Statistic::Mean, Bound::Above(100.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Mean, Bound::Below(100.0)), Verdict::Refuted);
    assert_eq!(verdict(Statistic::Median, Bound::Above(101.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Median, Bound::Above(105.0)), Verdict::Inconclusive);
    // twelve runs cannot bound a 95th percentile from above, only from below
    assert_eq!(verdict(Statistic::P95, Bound::Below(1000.0)), Verdict::Inconclusive);
    assert_eq!(verdict(Statistic::P95, Bound::Above(104.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Min, Bound::Above(99.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Max, Bound::Below(111.0)), Verdict::Refuted);
}

#[test]
fn a_spread_is_decided_by_a_shape_that_is_declared_and_not_spoken_against() {
    let terms = |test| Terms { test, ..Terms::default() };
    let chi2 = terms(Some(Test::Chi2));
    let twelve: Vec<f64> = (0..12).map(|n| 100.0 + f64::from(n * 7 % 12)).collect();
    let found = |values: &[f64], terms, statistic, bound| {
        on_terms(&[values], &threshold(statistic, bound), terms, 0.05, true)
    };
    let silent = found(&twelve, terms(None), Statistic::Sd, Bound::Above(1.0));
    assert_eq!(silent.verdict, Verdict::Inconclusive);
    assert!(silent.reason.as_ref().unwrap().contains("`test = \"chi2\"`"), "{silent:?}");
    assert!(silent.interval.is_some());
    let sd = found(&twelve, chi2, Statistic::Sd, Bound::Above(1.0));
    assert_eq!(sd.verdict, Verdict::Supported, "{sd:?}");
    let cv = found(&twelve, chi2, Statistic::Cv, Bound::Above(50.0));
    assert_eq!(cv.verdict, Verdict::Refuted, "{cv:?}");
    // two that lie far out are no normal tail
    let mut long = twelve.clone();
    long[3] = 160.0;
    long[7] = 190.0;
    let odd = found(&long, chi2, Statistic::Sd, Bound::Above(1.0));
    assert_eq!(odd.verdict, Verdict::Inconclusive);
    assert!(odd.reason.unwrap().contains("Anderson"));
}

#[test]
fn a_correlation_against_its_bound() {
    let noise = [0.0, 0.2, -0.1, 0.1, -0.2, 0.15, 0.0, -0.1];
    // in no order that a drift would give
    let off = [3.0, 0.0, 5.0, 7.0, 1.0, 6.0, 2.0, 4.0];
    let of = |(repeat, (x, e)): (u32, (&f64, &f64))| {
        run(repeat, &[("ttft_ms", *x), ("wall_ms", 5.0 + x + e)])
    };
    let runs = [(1..).zip(off.iter().zip(&noise)).map(of).collect::<Vec<RunRecord>>()];
    let cells = cells(&runs);
    let found = |bound| {
        let (x, y) = ("ttft_ms".to_owned(), wall());
        let criterion =
            Criterion::Correlation { x, y, cells: Cells::default(), across: Across::Runs, bound };
        judge(&asked(&criterion, &cells, Terms::default()))
    };
    let verdict = |bound| found(bound).verdict;
    assert_eq!(verdict(Bound::Above(0.2)), Verdict::Supported, "{:?}", found(Bound::Above(0.2)));
    assert_eq!(verdict(Bound::Above(0.9985)), Verdict::Inconclusive);
    assert_eq!(verdict(Bound::Below(0.2)), Verdict::Refuted);
}

#[test]
fn p_is_below_alpha_exactly_where_there_is_a_decision() {
    let criteria = [
        difference(Bound::Above(9.0)),
        Criterion::Ratio { metric: wall(), of: at(1.0), to: at(0.0), bound: Bound::Above(1.85) },
        Criterion::Equivalent { metric: wall(), at: at(1.0), to: at(0.0), margin: 9.5 },
        threshold(Statistic::Mean, Bound::Above(10.5)),
    ];
    let compound = [Criterion::All(criteria.to_vec()), Criterion::Any(criteria.to_vec())];
    for criterion in criteria.iter().chain(&compound) {
        for alpha in [0.2, 0.1, 0.05, 0.01, 0.001] {
            for interleaved in [true, false] {
                let finding = judged(&[&LOW, &HIGH], criterion, alpha, interleaved);
                let significant = finding.p.is_some_and(|p| p < alpha);
                assert_eq!(finding.verdict.is_decided(), significant, "{alpha} {finding:?}");
            }
        }
    }
}

#[test]
fn what_was_measured_elsewhere_is_not_compared() {
    let mut runs = runs(&[&LOW, &HIGH]);
    let judged = |runs: &[Vec<RunRecord>], criterion: &Criterion| {
        let cells = cells(runs);
        judge(&Question {
            criterion,
            alpha: 0.05,
            cells: &cells,
            interleaved: true,
            looks: &[],
            declared: &[],
            terms: Terms::default(),
        })
    };
    let correlation = Criterion::Correlation {
        x: "ttft_ms".to_owned(),
        y: wall(),
        cells: Cells::default(),
        across: Across::Runs,
        bound: Bound::Below(0.99),
    };
    let over_both = [difference(Bound::Above(0.0)), correlation];
    assert_eq!(judged(&runs, &over_both[0]).verdict, Verdict::Supported);
    let found = judged(&runs, &over_both[1]);
    assert!(found.reason.unwrap().contains("too few runs"), "two cells in five blocks");
    for (cell, hostname) in ["bench", "laptop"].into_iter().enumerate() {
        for run in &mut runs[cell] {
            run.evidence.machine.hostname = Some(hostname.to_owned());
        }
    }
    for criterion in &over_both {
        let found = judged(&runs, criterion);
        assert_eq!((found.verdict, found.p), (Verdict::NoData, None));
        let reason = found.reason.unwrap();
        assert!(reason.contains("different circumstances: the hostname was"), "{reason}");
    }
    // one cell alone says what it says
    let alone = judged(&runs, &threshold(Statistic::Mean, Bound::Above(1.0)));
    assert_eq!(alone.verdict, Verdict::Supported);
}

#[test]
fn pairs_that_all_differ_by_the_same_leave_the_runs_to_compare() {
    let (low, high) = ([101.0, 102.0, 103.0], [111.0, 112.0, 113.0]);
    let found = judged(&[&low, &high], &difference(Bound::Above(0.0)), 0.05, true);
    assert_eq!((found.verdict, found.n.as_str()), (Verdict::Supported, "3 and 3 runs"));
    assert!(found.test.contains("the differences of the pairs do not vary"), "{}", found.test);
    // nothing varies: what was seen is said, and that it cannot be judged
    let (low, high) = ([1.0; 3], [3.0; 3]);
    for criterion in [
        difference(Bound::Above(0.0)),
        Criterion::Equivalent { metric: wall(), at: at(1.0), to: at(0.0), margin: 1.0 },
    ] {
        let found = judged(&[&low, &high], &criterion, 0.05, true);
        assert_eq!((found.verdict, found.effect), (Verdict::Inconclusive, Some(2.0)));
    }
}

#[test]
fn nothing_is_inferred_from_the_largest_run() {
    let found = judged(&[&LOW], &threshold(Statistic::Max, Bound::Below(20.0)), 0.05, true);
    assert_eq!((found.verdict, found.effect), (Verdict::Supported, Some(12.0)));
    assert_eq!((found.interval, found.p), (None, None));
}

#[test]
fn a_percentile_that_no_interval_bounds_is_no_data() {
    let median = |values: &[f64]| {
        judged(&[values], &threshold(Statistic::Median, Bound::Above(1.0)), 0.05, true)
    };
    let five = median(&LOW);
    assert_eq!((five.verdict, five.interval), (Verdict::NoData, None));
    assert!(five.reason.unwrap().contains("needs at least 6 runs, there are 5"));
    assert_eq!(median(&[10.0, 11.0, 12.0, 10.5, 11.5, 9.0]).verdict, Verdict::Supported);
}

#[test]
fn a_value_that_is_too_large_is_named() {
    let found =
        judged(&[&[1.0, 1e200]], &threshold(Statistic::Mean, Bound::Above(1.0)), 0.05, true);
    assert_eq!(found.verdict, Verdict::NoData);
    assert!(found.reason.unwrap().starts_with("run aaaaaaaa/2 has 1000"));
}

#[test]
fn load_balance_never_stands_without_the_work_done() {
    let mut runs = runs(&[&LOW, &HIGH]);
    for (cell, runs) in runs.iter_mut().enumerate() {
        for run in runs {
            let wall = run.metrics["wall_ms"].unwrap();
            run.metrics.insert("efficiency_percent".into(), Some(70.0 + wall));
            let (slow, shaken) = (cell as f64, f64::from(run.repeat * 7 % 5));
            run.metrics.insert("aggregate_tokens_per_s".into(), Some(50.0 - 20.0 * slow + shaken));
        }
    }
    let judged = |metric: &str| {
        let criterion = Criterion::Difference {
            metric: metric.to_owned(),
            at: at(1.0),
            than: at(0.0),
            bound: Bound::Above(0.0),
        };
        let cells = cells(&runs);
        let interleaved = false;
        judge(&Question {
            criterion: &criterion,
            alpha: 0.05,
            cells: &cells,
            interleaved,
            terms: Terms::default(),
            looks: &[],
            declared: &[],
        })
    };
    let found = judged("efficiency_percent");
    assert_eq!(found.verdict, Verdict::Supported);
    let work = found.work.unwrap();
    assert!(work.contains("aggregate_tokens_per_s, is lower"), "{work}");
    assert_eq!(judged("wall_ms").work, None);
}

#[test]
fn a_stored_criterion_reads_as_words() {
    let words = |document: serde_json::Value| {
        let (criterion, _, alpha) = Criterion::stored(&document).unwrap();
        (in_words(&criterion), alpha)
    };
    let found = words(serde_json::json!({
        "alpha": 0.01,
        "greater": { "metric": "wall_ms", "at": { "throttle": "60 tok/s" }, "than": { "throttle": "off" }, "by": 10.0 },
    }));
    let expected = "wall_ms at throttle 60 tok/s is greater than at throttle off by more than 10";
    assert_eq!(found, (expected.to_owned(), 0.01));
    let (found, alpha) = words(serde_json::json!({ "any": [
        { "threshold": { "metric": "ttft_ms", "stat": "p95", "below": 5.0 } },
        { "correlation": { "x": "ttft_ms", "y": "wall_ms", "at_most": 0.2 } },
    ]}));
    assert_eq!(
        found,
        "(p95 ttft_ms is below 5) or (correlation of ttft_ms with wall_ms is at most 0.2)"
    );
    assert!((alpha - 0.05).abs() < 1e-12);
    assert_eq!(Criterion::stored(&serde_json::json!({ "later": {} })), None);
}

#[test]
fn all_and_any() {
    let (yes, no, open) = (
        difference(Bound::Above(0.0)),
        difference(Bound::Below(0.0)),
        difference(Bound::Above(9.9)),
    );
    let missing = Criterion::Threshold {
        metric: wall(),
        cells: at(2.0),
        statistic: Statistic::Mean,
        bound: Bound::Above(0.0),
    };
    let verdict = |criterion: Criterion| judged(&[&LOW, &HIGH], &criterion, 0.05, true).verdict;
    let all = |parts: &[&Criterion]| {
        verdict(Criterion::All(parts.iter().map(|part| (*part).clone()).collect()))
    };
    let any = |parts: &[&Criterion]| {
        verdict(Criterion::Any(parts.iter().map(|part| (*part).clone()).collect()))
    };
    assert_eq!(all(&[&yes, &yes]), Verdict::Supported);
    assert_eq!(all(&[&yes, &no]), Verdict::Refuted);
    assert_eq!(all(&[&yes, &open]), Verdict::Inconclusive);
    assert_eq!(all(&[&yes, &missing]), Verdict::NoData);
    assert_eq!(all(&[&no, &missing]), Verdict::Refuted);
    assert_eq!(any(&[&no, &yes]), Verdict::Supported);
    assert_eq!(any(&[&no, &no]), Verdict::Refuted);
    assert_eq!(any(&[&no, &open]), Verdict::Inconclusive);
    assert_eq!(any(&[&no, &missing]), Verdict::NoData);
    assert_eq!(any(&[&yes, &missing]), Verdict::Supported);
}

#[test]
fn one_of_many_chances_is_corrected_for() {
    // p is about 0.03: enough for one criterion, not for one of four
    let values = [10.0, 12.0, 11.0, 13.0, 11.5];
    let criterion = threshold(Statistic::Mean, Bound::Above(9.82));
    let alone = judged(&[&values], &criterion, 0.05, true);
    assert!(alone.p.unwrap() > 0.0125 && alone.p.unwrap() < 0.05, "{alone:?}");
    assert_eq!(alone.verdict, Verdict::Supported);
    let any = judged(&[&values], &Criterion::Any(vec![criterion; 4]), 0.05, true);
    assert_eq!(any.verdict, Verdict::Inconclusive);
    let adjusted = adjust(&[&alone, &Finding::no_data("none"), &alone, &alone], 0);
    assert_eq!(adjusted[1], None);
    assert!((adjusted[0].unwrap() - 3.0 * alone.p.unwrap()).abs() < 1e-12);
}

#[test]
fn units_of_published_numbers() {
    for (from, to, factor) in [("s", "ms", 1e3), ("tok/s", "tok/s", 1.0), ("1", "%", 100.0)] {
        let ours = unit::factor(from, to).unwrap();
        assert!((ours - factor).abs() < 1e-9, "{from} {to} {ours}");
    }
    assert_eq!(unit::factor("ms", "tok/s"), None);
    assert_eq!(unit::factor("parsec", "ms"), None);
}

/// What the simulation through the whole path finds is what the noncentral t says of normal data.
#[test]
fn the_repeats_that_are_needed_are_those_of_the_noncentral_t() {
    // shares in percent are compared as they are; a difference of one point matters
    let share = |repeat: u32, value: f64| run(repeat, &[("efficiency_percent", value)]);
    let one = [70.0, 70.7, 69.5, 70.2, 71.0, 69.3, 70.0, 70.5];
    let other = [50.3, 50.1, 50.1, 49.6, 51.0, 49.9, 50.0, 50.7];
    let side = |values: &[f64]| (1..).zip(values).map(|(n, value)| share(n, *value)).collect();
    let runs: Vec<Vec<RunRecord>> = vec![side(&other), side(&one)];
    let cells = cells(&runs);
    let criterion = Criterion::Difference {
        metric: "efficiency_percent".to_owned(),
        at: at(1.0),
        than: at(0.0),
        bound: Bound::Above(5.0),
    };
    let question = |interleaved| Question {
        criterion: &criterion,
        terms: Terms::default(),
        alpha: 0.05,
        cells: &cells,
        interleaved,
        looks: &[],
        declared: &[],
    };
    let sample = |values: &[f64]| stats::Sample::new(values.to_vec()).unwrap();
    let (one, other) = (sample(&one), sample(&other));
    let differences = stats::paired_difference(&one, &other).unwrap();
    let sd = differences.standard_error * 8_f64.sqrt();
    let near = |found: &power::Planned, expected: stats::Needed| {
        let stats::Needed::Runs(expected) = expected else { panic!("{expected:?}") };
        let needed = f64::from(found.repeats.needed.unwrap());
        let expected = expected as f64;
        assert!((needed - expected).abs() <= 1.0 + 0.1 * expected, "{found:?} {expected}");
        let (low, high) = found.repeats.range;
        assert!(low < found.repeats.needed && found.repeats.needed < high, "{found:?}");
        assert!(found.repeats.corrected > found.repeats.needed, "{found:?}");
    };
    let found = |interleaved| power::planned(&question(interleaved), 4).remove(0).1.unwrap();
    near(&found(true), stats::paired_runs(1.0, sd, 0.05).unwrap());
    near(&found(false), stats::difference_runs(&one, &other, 1.0, 0.05).unwrap());
    assert_eq!(found(true).truth, "a difference 1 pp beyond 5");
    assert!(found(true).spread.contains("of 16 run(s) of 2 cell(s)"), "{:?}", found(true));

    // a correlation needs no pilot
    let correlation = Criterion::Correlation {
        x: wall(),
        y: "ttft_ms".to_owned(),
        cells: Cells::default(),
        across: Across::Runs,
        bound: Bound::Above(0.8),
    };
    let asked = Question { criterion: &correlation, ..question(true) };
    let found = power::planned(&asked, 1).remove(0).1.unwrap();
    assert_eq!(found.truth, "a correlation of 0.9");
    assert!(found.repeats.needed.is_some_and(|needed| needed > 6), "{found:?}");

    // a pilot of one run each has no spread
    let runs: Vec<Vec<RunRecord>> = runs.iter().map(|runs| vec![runs[0].clone()]).collect();
    let cells = self::cells(&runs);
    let why = power::planned(&Question { cells: &cells, ..question(true) }, 1).remove(0).1;
    assert!(why.unwrap_err().contains("make a pilot"));
}

fn asked<'a>(criterion: &'a Criterion, cells: &'a [Cell<'a>], terms: Terms) -> Question<'a> {
    Question { criterion, terms, alpha: 0.05, cells, interleaved: true, looks: &[], declared: &[] }
}

#[test]
fn a_drift_of_the_machine_is_no_difference() {
    // one cell after the other, while the machine slows down by a step per run
    let drifting = |side: u32, place: fn(u32, u32) -> u32| -> Vec<RunRecord> {
        let one = |repeat: u32| {
            let place = place(side, repeat);
            drawn::run(repeat, place, [(wall(), 100.0 + f64::from(place))])
        };
        (1..=5).map(one).collect()
    };
    let after = |side, repeat| 5 * side + repeat;
    let runs: Vec<Vec<RunRecord>> = vec![drifting(0, after), drifting(1, after)];
    let cells_after = cells(&runs);
    let criterion = difference(Bound::Above(0.0));
    let found = judge(&asked(&criterion, &cells_after, Terms::default()));
    assert_eq!((found.verdict, found.p), (Verdict::Inconclusive, None), "{found:?}");
    assert!(found.reason.unwrap().contains("measured one after the other (in 100 % of all pairs"));
    // what was seen stays, and the author may take it on himself
    assert!((found.effect.unwrap() - 5.0).abs() < 1e-9 && found.interval.unwrap().low > 0.0);
    let terms = Terms { despite_drift: true, ..Terms::default() };
    assert_eq!(judge(&asked(&criterion, &cells_after, terms)).verdict, Verdict::Supported);
    // in blocks the drift is in both: one step is left, and that is what a place in the block costs
    let within = |side, repeat| 2 * repeat + side;
    let runs: Vec<Vec<RunRecord>> = vec![drifting(0, within), drifting(1, within)];
    let cells_within = cells(&runs);
    let found = judge(&asked(&criterion, &cells_within, Terms::default()));
    assert!((found.effect.unwrap() - 1.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn what_answered_while_most_attempts_hung_is_no_answer() {
    let runs = runs(&[&LOW, &HIGH]);
    let mut cells = cells(&runs);
    cells[1].failed = vec![1; 13];
    let criterion = difference(Bound::Above(0.0));
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!((found.verdict, found.p), (Verdict::NoData, None));
    assert!(found.reason.unwrap().starts_with("13 of 18 attempts of bbbbbbbb (bbbbbbbb) failed"));
    assert!(found.notes.iter().any(|note| note.starts_with("13 of 18 attempts")));
    let terms = Terms { despite_failures: true, ..Terms::default() };
    assert_eq!(judge(&asked(&criterion, &cells, terms)).verdict, Verdict::Supported);
    // one of twenty is an accident
    cells[1].failed = Vec::new();
    assert_eq!(judge(&asked(&criterion, &cells, Terms::default())).verdict, Verdict::Supported);
}

#[test]
fn runs_that_are_still_to_come_keep_the_verdict_back() {
    let runs = runs(&[&LOW, &HIGH]);
    let mut cells = cells(&runs);
    for cell in &mut cells {
        (cell.planned, cell.open) = (7, vec![6, 7]);
    }
    let criterion = difference(Bound::Above(0.0));
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.reason.unwrap().starts_with("interim: 4 of 14 planned runs"));
}

#[test]
fn a_look_decides_only_by_what_it_may_spend() {
    // p of the pairs is 0.03 after five of ten
    let one = [10.0, 11.0, 12.0, 10.5, 11.5];
    let other = [10.3, 12.2, 12.4, 11.6, 11.8];
    let runs = runs(&[&one, &other]);
    let mut cells = cells(&runs);
    let criterion = difference(Bound::Above(0.0));
    let at_end = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!(at_end.verdict, Verdict::Supported, "{at_end:?}");
    for cell in &mut cells {
        (cell.planned, cell.open) = (10, (6..=10).collect());
    }
    let question = Question { looks: &[5, 10], ..asked(&criterion, &cells, Terms::default()) };
    let early = judge(&question);
    assert_eq!(early.verdict, Verdict::Inconclusive);
    assert_eq!(
        early.reason.as_deref(),
        Some("undecided at look 1 of 2; the next is at 10 repeats")
    );
    assert!(early.notes.iter().any(|note| note.starts_with("look 1 of 2 that were declared")));
    // what is beyond doubt is decided at once, and so is the study
    let far: Vec<f64> = one.iter().zip([9.0, 9.1, 8.9, 9.05, 9.0]).map(|(a, b)| a + b).collect();
    let runs = self::runs(&[&one, &far]);
    let mut cells = self::cells(&runs);
    for cell in &mut cells {
        (cell.planned, cell.open) = (10, (6..=10).collect());
    }
    let found = judge(&Question { cells: &cells, ..question });
    assert_eq!(found.verdict, Verdict::Supported, "{found:?}");
    assert!(found.p.unwrap() < 0.05);
}

/// Cells `(a, b)` with their values.
fn crossed(values: &[((f64, f64), &[RunRecord])]) -> Vec<Cell<'static>> {
    let leak = |runs: &[RunRecord]| -> &'static [RunRecord] { Box::leak(runs.to_vec().into()) };
    values
        .iter()
        .map(|((a, b), runs)| {
            let name: &'static str = Box::leak(format!("a{a}b{b}").into_boxed_str());
            Cell {
                id: name,
                name,
                levels: vec![
                    NamedLevel::new("a", &Level::Number(*a)),
                    NamedLevel::new("b", &Level::Number(*b)),
                ],
                planned: u32::try_from(runs.len()).unwrap(),
                open: Vec::new(),
                runs: leak(runs).iter().collect(),
                stale: 0,
                failed: Vec::new(),
            }
        })
        .collect()
}

#[test]
fn four_cells_are_four_values_and_not_their_runs() {
    // each cell differs for reasons of its own; over the runs, each alike, p would be below 1e-6
    let own = [[100.0, 104.0], [100.0, 111.0], [100.0, 99.0], [100.0, 120.0]];
    let runs: Vec<((f64, f64), Vec<RunRecord>)> = own
        .iter()
        .enumerate()
        .flat_map(|(b, sides)| sides.iter().enumerate().map(move |(a, mean)| (a, b, *mean)))
        .map(|(a, b, mean)| {
            let values = [-0.5, 0.0, 0.5, 0.2, -0.2].into_iter();
            let runs =
                (1..).zip(values).map(|(repeat, off)| run(repeat, &[("wall_ms", mean + off)]));
            ((a as f64, b as f64), runs.collect())
        })
        .collect();
    let borrowed: Vec<((f64, f64), &[RunRecord])> =
        runs.iter().map(|(levels, runs)| (*levels, runs.as_slice())).collect();
    let cells = crossed(&borrowed);
    let criterion = difference(Bound::Above(0.0));
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!((found.verdict, found.n.as_str()), (Verdict::Inconclusive, "4 pairs of cells"));
    // each by itself: in one of them it is the other way round
    let terms = Terms { over: Over::Each, ..Terms::default() };
    let each = judge(&asked(&criterion, &cells, terms));
    assert_eq!((each.verdict, each.parts.len()), (Verdict::Refuted, 4), "{each:?}");
    // a spread is one cell's
    let criterion = threshold(Statistic::Median, Bound::Above(1.0));
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!(found.verdict, Verdict::NoData);
    assert!(found.reason.unwrap().contains("write `over = \"each\"`"));
}

#[test]
fn what_goes_together_between_cells_does_not_within() {
    let runs: Vec<Vec<RunRecord>> = (0..3_u32)
        .map(|cell| {
            let values = [-2.0, -1.0, 0.0, 1.0, 2.0].into_iter().enumerate();
            let run = |(index, off): (usize, f64)| {
                let (apart, noise) = (
                    100.0 * f64::from(cell),
                    [0.1, -0.2, 0.0, 0.2, -0.1][(2 * index + usize::try_from(cell).unwrap()) % 5],
                );
                // another order in each cell: what all cells of a block share is taken out
                let off =
                    [off, -off, [1.0, -2.0, 2.0, 0.0, -1.0][index]][usize::try_from(cell).unwrap()];
                let repeat = u32::try_from(index).unwrap() + 1;
                run(repeat, &[("wall_ms", apart + off), ("ttft_ms", apart - off + noise)])
            };
            values.map(run).collect()
        })
        .collect();
    let cells = cells(&runs);
    let criterion = |across, bound| Criterion::Correlation {
        x: wall(),
        y: "ttft_ms".to_owned(),
        cells: Cells::default(),
        across,
        bound,
    };
    let high = criterion(Across::Runs, Bound::Above(0.8));
    let found = judge(&asked(&high, &cells, Terms::default()));
    assert_eq!(found.verdict, Verdict::Refuted, "{found:?}");
    assert!(found.effect.unwrap() < -0.9);
    // over the means of three cells nothing can be said
    let between = criterion(Across::Cells, Bound::Above(0.8));
    assert_eq!(judge(&asked(&between, &cells, Terms::default())).verdict, Verdict::NoData);
}

#[test]
fn a_throttle_that_did_not_bind_is_said() {
    let throttled = |rate: f64| -> Vec<RunRecord> {
        let values = [10.0, 11.0, 12.0];
        let run = |(n, value): (u32, f64)| {
            run(n, &[("wall_ms", value + rate), ("decode_tokens_per_s", 31.0)])
        };
        (1..).zip(values).map(run).collect()
    };
    let runs = [throttled(0.0), throttled(20.0)];
    let mut cells = cells(&runs);
    for (cell, throttle) in cells.iter_mut().zip([30.0, 60.0]) {
        cell.levels = vec![NamedLevel::new("throttle", &Level::Number(throttle))];
    }
    let at = |throttle: f64| Cells([("throttle".to_owned(), Level::Number(throttle))].into());
    let criterion = Criterion::Difference {
        metric: wall(),
        at: at(60.0),
        than: at(30.0),
        bound: Bound::Above(0.0),
    };
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    let said: Vec<&String> = found.notes.iter().filter(|note| note.contains("throttle")).collect();
    let expected = "the throttle of 60 tok/s did not bind in bbbbbbbb (bbbbbbbb): its streams came at 31 \
                    tok/s at most";
    assert_eq!(said, [expected], "{found:?}");
}

/// The correlation above 0 over cells that are given as their pairs of values, made in blocks or one by one.
fn correlated(values: &[Vec<(f64, f64)>], blocks: bool, terms: Terms) -> Finding {
    let runs: Vec<Vec<RunRecord>> = values
        .iter()
        .enumerate()
        .map(|(cell, values)| {
            let run = |(index, (x, y)): (usize, &(f64, f64))| {
                let place =
                    if blocks { index * IDS.len() + cell } else { cell * values.len() + index };
                let [repeat, place] = [index + 1, place].map(|n| u32::try_from(n).unwrap());
                let values = [("wall_ms", *x), ("ttft_ms", *y)];
                drawn::run(repeat, place, values.map(|(name, value)| (name.to_owned(), value)))
            };
            values.iter().enumerate().map(run).collect()
        })
        .collect();
    let (x, y) = (wall(), "ttft_ms".to_owned());
    let (cells, across) = (Cells::default(), Across::Runs);
    let criterion = Criterion::Correlation { x, y, cells, across, bound: Bound::Above(0.0) };
    judge(&asked(&criterion, &self::cells(&runs), terms))
}

/// What is no correlation: digits in no order, and others.
const X: [f64; 12] = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.3, 3.5, 8.0, 9.7];
const Y: [f64; 12] = [2.0, 7.0, 1.0, 8.0, 2.8, 1.8, 2.8, 4.0, 5.9, 0.4, 5.2, 3.0];

#[test]
fn what_all_cells_of_a_block_share_is_no_correlation_within_cells() {
    let shared = [10.0, 50.0, 20.0, 40.0];
    let cell = |cell: usize| -> Vec<(f64, f64)> {
        let of = |n: usize| (X[4 * cell + n] + shared[n], Y[4 * cell + n] + shared[n]);
        (0..4).map(of).collect()
    };
    let found = correlated(&[cell(0), cell(1), cell(2)], true, Terms::default());
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    assert!(found.notes.iter().any(|note| note.contains("4 blocks")), "{found:?}");
}

#[test]
fn a_drift_of_both_metrics_is_no_correlation() {
    let drifting: Vec<(f64, f64)> =
        (0..12).map(|n| (X[n] + 10.0 * n as f64, Y[n] + 10.0 * n as f64)).collect();
    let found = correlated(std::slice::from_ref(&drifting), true, Terms::default());
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    let several: Vec<_> = drifting.chunks(4).map(<[_]>::to_vec).collect();
    let found = correlated(&several, false, Terms::default());
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    // who says so takes the drift for what is meant
    let terms = Terms { despite_drift: true, ..Terms::default() };
    assert_eq!(correlated(&[drifting], true, terms).verdict, Verdict::Supported);
}

#[test]
fn ranks_in_exactly_the_same_order_are_evidence() {
    let values: Vec<(f64, f64)> = X.iter().map(|x| (*x, x.powi(3))).collect();
    let despite_drift = true;
    let terms = Terms { test: Some(Test::Rank), despite_drift, ..Terms::default() };
    let found = correlated(&[values], true, terms);
    assert_eq!(found.verdict, Verdict::Supported, "{found:?}");
}

#[test]
fn a_constant_side_is_not_told_from_skewed_runs_by_their_low_mean() {
    // short ones only: the long tail that lognormal data have was not met
    let skewed = [60.0, 71.0, 88.0, 66.0, 97.0];
    for interleaved in [true, false] {
        let sides: [&[f64]; 2] = [&skewed, &[100.0; 5]];
        let found = judged(&sides, &difference(Bound::Above(0.0)), 0.05, interleaved);
        assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
        assert!(found.reason.unwrap().contains("lognormal"));
    }
}

#[test]
fn fewer_runs_that_are_spread_more_are_no_difference_by_order() {
    let one: Vec<f64> = (0..10).map(|n| 100.0 + 0.1 * f64::from(n)).collect();
    let runs = runs(&[&one, &[104.0, 121.0, 109.0]]);
    let mut cells = cells(&runs);
    cells[1].planned = 3;
    for test in [Test::Rank, Test::Permutation] {
        let terms = Terms { test: Some(test), despite_drift: true, ..Terms::default() };
        let criterion = difference(Bound::Above(0.0));
        let found = judge(&Question { interleaved: false, ..asked(&criterion, &cells, terms) });
        assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
        assert!(found.reason.unwrap().contains("Welch"));
    }
}

#[test]
fn a_cell_that_hardly_answers_is_not_made_up_for_by_others() {
    let runs = runs(&[&HIGH, &HIGH, &HIGH]);
    let mut cells = cells(&runs);
    let criterion = Criterion::Threshold {
        metric: wall(),
        cells: Cells::default(),
        statistic: Statistic::Mean,
        bound: Bound::Above(0.0),
    };
    for cell in &mut cells {
        cell.stale = 60;
    }
    cells[1].stale = 0;
    cells[1].failed = vec![1; 9];
    let found = judge(&asked(&criterion, &cells, Terms::default()));
    assert_eq!(found.verdict, Verdict::NoData, "{found:?}");
    assert!(found.reason.unwrap().contains("9 of 14 attempts of bbbbbbbb"));
}
