//! Verdicts on runs made up in memory.

use std::collections::BTreeMap;

use super::*;
use crate::manifest::criterion::{Bound, Cells, Criterion, Statistic};
use crate::manifest::study::Level;
use crate::store::record::{Evidence, ProcessUsage, RUN_FORMAT, RunRecord};

fn run(repeat: u32, values: &[(&str, f64)]) -> RunRecord {
    RunRecord {
        format: RUN_FORMAT,
        cell: String::new(),
        cell_name: String::new(),
        repeat,
        attempt: 1,
        identity: serde_json::Value::Null,
        started: format!("2025-01-01T00:{repeat:02}:00.000Z"),
        finished: String::new(),
        evidence: Evidence::default(),
        process: ProcessUsage::default(),
        fallback_of: None,
        rerun_of: None,
        tokens: None,
        probes: BTreeMap::new(),
        servers: BTreeMap::new(),
        calls: Vec::new(),
        command: None,
        sampling: BTreeMap::new(),
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
            levels: vec![("a".to_owned(), Level::Number(index as f64))],
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
