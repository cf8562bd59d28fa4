//! Verdicts on runs made up in memory.

use std::collections::BTreeMap;

use super::*;
use crate::cells::NamedLevel;
use crate::manifest::criterion::{Bound, Cells, Criterion, Statistic};
use crate::manifest::study::Level;
use crate::store::record::{Evidence, ProcessUsage, RUN_FORMAT, RunRecord};

fn run(repeat: u32, values: &[(&str, f64)]) -> RunRecord {
    RunRecord {
        format: RUN_FORMAT,
        cell: String::new(),
        identity_version: 2,
        levels: Vec::new(),
        cell_name: String::new(),
        repeat,
        attempt: 1,
        identity: serde_json::Value::Null,
        started: format!("2025-01-01T00:{repeat:02}:00.000Z"),
        finished: String::new(),
        evidence: Evidence::default(),
        process: ProcessUsage::default(),
        machine: None,
        fallback_of: None,
        rerun_of: None,
        tokens: None,
        probes: BTreeMap::new(),
        servers: BTreeMap::new(),
        serving: BTreeMap::new(),
        calls: Vec::new(),
        command: None,
        sampling: BTreeMap::new(),
        wire: None,
        metrics: values.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))).collect(),
        recomputed: Vec::new(),
        files: BTreeMap::new(),
    }
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
            runs: runs.iter().collect(),
            stale: 0,
            failed: 0,
        })
        .collect()
}

fn at(level: f64) -> Cells {
    Cells([("a".to_owned(), Level::Number(level))].into_iter().collect())
}

fn judged(values: &[&[f64]], criterion: &Criterion, alpha: f64, interleaved: bool) -> Finding {
    let runs = runs(values);
    judge(&Question { criterion, alpha, cells: &cells(&runs), interleaved, declared: &[] })
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
    assert!((ratio(Bound::Above(1.5)).effect.unwrap() - 20.9 / 11.0).abs() < 1e-12);
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
    assert_eq!(verdict(Statistic::Sd, Bound::Above(1.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Cv, Bound::Above(0.5)), Verdict::Refuted);
    assert_eq!(verdict(Statistic::Min, Bound::Above(99.0)), Verdict::Supported);
    assert_eq!(verdict(Statistic::Max, Bound::Below(111.0)), Verdict::Refuted);
    let few = judged(&[&LOW], &threshold(Statistic::Cv, Bound::Above(0.5)), 0.05, true);
    assert_eq!(few.verdict, Verdict::NoData);
    assert!(few.reason.unwrap().contains("needs at least 10 runs, there are 5"));
}

#[test]
fn a_correlation_against_its_bound() {
    let noise = [0.0, 0.2, -0.1, 0.1, -0.2, 0.15, 0.0, -0.1];
    let along: Vec<f64> = noise.iter().enumerate().map(|(n, e)| 5.0 + n as f64 + e).collect();
    let verdict = |bound| {
        let (x, y) = ("ttft_ms".to_owned(), wall());
        let criterion = Criterion::Correlation { x, y, cells: Cells::default(), bound };
        judged(&[&along], &criterion, 0.05, true).verdict
    };
    assert_eq!(verdict(Bound::Above(0.8)), Verdict::Supported);
    assert_eq!(verdict(Bound::Above(0.9985)), Verdict::Inconclusive);
    assert_eq!(verdict(Bound::Below(0.5)), Verdict::Refuted);
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
        judge(&Question { criterion, alpha: 0.05, cells: &cells, interleaved: true, declared: &[] })
    };
    let correlation = Criterion::Correlation {
        x: "ttft_ms".to_owned(),
        y: wall(),
        cells: Cells::default(),
        bound: Bound::Below(0.99),
    };
    let both = Criterion::Threshold {
        metric: wall(),
        cells: Cells::default(),
        statistic: Statistic::Mean,
        bound: Bound::Above(1.0),
    };
    let over_both = [difference(Bound::Above(0.0)), correlation, both];
    for criterion in &over_both {
        assert_eq!(judged(&runs, criterion).verdict, Verdict::Supported);
    }
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
    let (low, high) = ([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]);
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
            declared: &[],
        })
    };
    let found = judged("efficiency_percent");
    assert_eq!(found.verdict, Verdict::Supported);
    let work = found.work.unwrap();
    assert!(
        work.contains("aggregate_tokens_per_s, falls: difference of means -20 tok/s"),
        "{work}"
    );
    assert_eq!(judged("wall_ms").work, None);
}

#[test]
fn a_stored_criterion_reads_as_words() {
    let words = |document: serde_json::Value| {
        let (criterion, alpha) = Criterion::stored(&document).unwrap();
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
    let adjusted = adjust(&[&alone, &Finding::no_data("none"), &alone, &alone]);
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
