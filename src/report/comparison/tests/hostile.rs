//! Few runs, no spread, missing cells, stale and foreign runs, huge values.

use super::super::baseline::{self, BaselineRow};
use super::super::contrast::{Judgement, Test};
use super::super::family::Families;
use super::super::{ComparisonError, ranking, success};
use super::{Built, METRIC, whole};
use crate::metrics::{self, Better};
use crate::report::data::Data;
use crate::report::select;

fn two(of: &[f64], to: &[f64]) -> Built {
    Built::new(&["throttle"], &[("throttle", "off")]).cell("off", to).cell("60", of)
}

fn rows(data: &Data) -> Vec<BaselineRow> {
    baseline::rows(data, &Families::default(), metrics::info(METRIC).unwrap(), &[], &whole(data))
        .unwrap()
}

#[track_caller]
fn why(data: &Data, judgement: Judgement, part: &str) -> BaselineRow {
    let row = rows(data).remove(1);
    assert_eq!(row.contrast.judgement, judgement, "{row:?}");
    let why = row.contrast.why.as_deref().unwrap_or_default();
    assert!(why.contains(part), "{why}");
    row
}

#[test]
fn with_one_run_there_is_a_difference_and_no_test() {
    let row =
        why(&two(&[2.0], &[1.0]).data(), Judgement::NotDefined, "needs 2 values, there are 1");
    assert_eq!((row.contrast.difference, row.contrast.p, row.contrast.ci), (Some(1.0), None, None));
    why(&two(&[], &[1.0, 2.0]).data(), Judgement::NotDefined, "no run is stored");
    why(&two(&[1.0, 2.0], &[]).data(), Judgement::NotDefined, "the other side: no data");
    let unknown =
        Built::new(&["throttle"], &[("throttle", "off")]).cell("off", &[1.0, 2.0]).unknown("60", 2);
    why(&unknown.data(), Judgement::NotDefined, "unknown in every run");
}

#[test]
fn two_runs_make_a_test() {
    let row = rows(&two(&[2.0, 2.3], &[1.0, 1.1]).data()).remove(1);
    assert_eq!((row.contrast.test, row.contrast.pairs), (Some(Test::Paired), Some(2)));
    assert!(row.contrast.p.is_some());
}

#[test]
fn without_spread_there_is_no_test() {
    let row = why(&two(&[7.0; 3], &[5.0; 3]).data(), Judgement::NotDefined, "do not vary");
    assert_eq!(row.contrast.difference, Some(2.0));
    why(&two(&[5.0; 3], &[5.0; 3]).data(), Judgement::Same, "do not vary");
    // the same step in every pair, here a factor: the runs themselves are still compared
    let row = rows(&two(&[40.0, 44.0, 52.0], &[10.0, 11.0, 13.0]).data()).remove(1);
    assert_eq!((row.contrast.test, row.contrast.pairs), (Some(Test::Welch), None));
    assert_eq!(row.contrast.judgement, Judgement::Better);
}

#[test]
fn all_equal_is_no_ranking() {
    let data = two(&[5.0; 3], &[5.0; 3]).data();
    let info = metrics::info(METRIC).unwrap();
    let found = ranking::ranking(&data, &Families::default(), info, Better::Higher, &whole(&data));
    assert_eq!(found.rows.iter().map(|row| row.rank).collect::<Vec<_>>(), [Some(1), Some(1)]);
    assert_eq!((found.clear, found.said.as_str()), (false, "rank 1 is shared by 2 cells"));
    let success = success::success(&rows(&data), Better::Higher);
    assert_eq!((success.compared, success.better, success.clearly_better), (1, 0, 0));
}

#[test]
fn a_cell_without_runs_has_no_rank() {
    let data = two(&[], &[5.0, 6.0]).data();
    let info = metrics::info(METRIC).unwrap();
    let found = ranking::ranking(&data, &Families::default(), info, Better::Higher, &whole(&data));
    assert_eq!((found.ranked, found.said.as_str()), (1, "only one cell has a mean"));
    assert_eq!((found.rows[1].rank, found.rows[1].mean), (None, None));
    let success = success::success(&rows(&data), Better::Higher);
    assert_eq!((success.configurations, success.compared), (1, 0));
    assert_eq!((success.better_share, success.better_ci), (None, None));
}

#[test]
fn an_outlier_of_1e9_leaves_finite_figures() {
    let row = rows(&two(&[5.0, 6.0, 1e9], &[5.0, 6.5, 7.0]).data()).remove(1);
    assert_eq!(row.contrast.judgement, Judgement::Unclear);
    let contrast = &row.contrast;
    let figures =
        [contrast.difference, contrast.p, contrast.g, contrast.ratio, contrast.p_adjusted];
    assert!(figures.iter().all(|figure| figure.is_some_and(f64::is_finite)), "{contrast:?}");
    let ends = [contrast.ci, contrast.ratio_ci, contrast.g_ci];
    assert!(ends.iter().flatten().flatten().all(|end| end.is_finite()), "{contrast:?}");
    why(&two(&[5.0, 6.0, 1e200], &[5.0, 6.5]).data(), Judgement::NotDefined, "too large");
}

#[test]
fn stale_runs_are_left_out() {
    let mut data = two(&[5.0, 6.0, 900.0], &[5.0, 6.5, 7.0]).data();
    data.cells[1].stale.insert(3, vec!["the hostname was a, is b".into()]);
    let row = rows(&data).remove(1);
    assert_eq!((row.n, row.runs, row.mean, row.contrast.pairs), (2, 2, Some(5.5), Some(2)));
}

#[test]
fn runs_beyond_the_plan_are_counted_as_asked_for() {
    // repeats 1 to 5 are planned; the sixth was made because of an outlier
    let data = two(&[5.0, 6.0, 5.5, 9.0, 5.4, 5.6], &[5.0, 6.5, 7.0]).data();
    let row = &rows(&data)[1];
    assert_eq!((row.runs, row.planned), (6, 6));
    let info = metrics::info(METRIC).unwrap();
    let found = ranking::ranking(&data, &Families::default(), info, Better::Higher, &whole(&data));
    assert_eq!(found.rows.iter().map(|row| row.planned).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn cells_of_two_machines_are_not_compared() {
    let mut data = two(&[9.0, 9.1, 9.2], &[5.0, 5.1, 5.3]).data();
    for run in data.cells[1].runs.values_mut() {
        run.evidence.machine.hostname = Some("laptop".into());
    }
    let row =
        why(&data, Judgement::NotDefined, "other circumstances: the hostname was bench, is laptop");
    assert_eq!((row.contrast.p, row.contrast.ci), (None, None));
    let success = success::success(&rows(&data), Better::Higher);
    assert_eq!((success.configurations, success.compared, success.better), (1, 0, 0));
    let info = metrics::info(METRIC).unwrap();
    let found = ranking::ranking(&data, &Families::default(), info, Better::Higher, &whole(&data));
    assert_eq!(found.rows[1].distinguishable, Some(false));
    // two runtimes have code of their own
    for run in data.cells[1].runs.values_mut() {
        run.evidence.machine.hostname = Some("bench".into());
        run.evidence.agent.runtime = "python".into();
        run.evidence.agent.digest = Some("ab".into());
    }
    data.cells[0].runs.values_mut().for_each(|run| run.evidence.agent.digest = Some("cd".into()));
    assert_eq!(rows(&data)[1].contrast.judgement, Judgement::Better);
}

#[test]
fn runs_that_were_not_made_in_blocks_are_no_pairs() {
    let mut data = two(&[9.0, 9.1, 9.3], &[5.0, 5.2, 5.3]).data();
    assert_eq!(rows(&data)[1].contrast.test, Some(Test::Paired));
    // a level that was added a day later
    for run in data.cells[1].runs.values_mut() {
        run.started = Some(run.began().replace("06-01", "06-02"));
    }
    assert_eq!(rows(&data)[1].contrast.test, Some(Test::Welch));
}

#[test]
fn below_the_measurement_error_nothing_is_clear() {
    let mut data = two(&[9.0, 9.1, 9.3], &[9.2, 9.31, 9.52]).of("ttft_ms").data();
    let calibration = serde_json::json!({
        "runtime": "rust", "streams": 1, "rate_tok_s": 1.0, "samples": 1,
        "ttft_error_ms": { "p50": 0.1, "p99": 0.4, "max": 0.5 },
        "gap_error_ms": { "p50": 0.1, "p99": 0.4, "max": 0.5 },
    });
    let info = metrics::info("ttft_ms").unwrap();
    let judged = |data: &Data| {
        let contrast = baseline::rows(data, &Families::default(), info, &[], &whole(data))
            .unwrap()
            .remove(1)
            .contrast;
        assert!(contrast.p_adjusted.unwrap() < 0.05);
        (contrast.judgement, contrast.below_error)
    };
    assert_eq!(judged(&data), (Judgement::Better, false));
    // the baseline's own error counts, too
    let calibration = serde_json::from_value(calibration).unwrap();
    data.cells[0].runs.get_mut(&1).unwrap().evidence.calibration = Some(calibration);
    assert_eq!(judged(&data), (Judgement::Unclear, true));
}

#[test]
fn what_a_comparison_needs_is_said() {
    let data = Built::new(&["throttle"], &[]).cell("off", &[1.0]).data();
    let info = metrics::info(METRIC).unwrap();
    let error = baseline::rows(&data, &Families::default(), info, &[], &whole(&data)).unwrap_err();
    assert_eq!(error, ComparisonError::NoBaseline { experiment: "e".into() });
    let all = select::cells(&data, None, &[]).unwrap();
    let error = baseline::rows(&data, &Families::default(), info, &[], &all).unwrap_err();
    assert!(error.to_string().contains("add experiment ="), "{error}");
}
