//! Normalised tables, winners, frontiers, shares; and what no table may depend on.

use proptest::prelude::*;

use super::super::contrast::Judgement;
use super::super::family::Families;
use super::super::winners::Axes;
use super::super::{ComparisonError, baseline, frontier, normalised, ranking, shares, winners};
use super::{Built, METRIC, whole};
use crate::cells::Wanted;
use crate::manifest::sign::Sign;
use crate::metrics::{self, Better};

fn around(mean: f64) -> Vec<f64> {
    [-0.2, 0.1, 0.15, -0.15, 0.1].iter().map(|offset| mean + offset).collect()
}

fn shaken(mean: f64) -> Vec<f64> {
    [9.0, -12.0, 4.0, -8.0, 7.0].iter().map(|offset| mean + offset).collect()
}

#[test]
fn percent_of_a_level() {
    let data = Built::new(&["model", "scenario"], &[])
        .cell("gemma/solo", &around(100.0))
        .cell("gemma/pair", &around(50.0))
        .cell("qwen/solo", &around(80.0))
        .cell("qwen/pair", &shaken(51.0))
        .cell("llama/solo", &around(110.0))
        .data();
    let info = metrics::info(METRIC).unwrap();
    let gemma = Wanted::free("gemma");
    let table = normalised::normalised(
        &data,
        &Families::default(),
        info,
        "model",
        Some(&gemma),
        &whole(&data),
    )
    .unwrap();
    assert_eq!(table.columns, ["gemma", "qwen", "llama"]);
    let percents: Vec<Vec<Option<i64>>> = table
        .rows
        .iter()
        .map(|row| {
            let percent = |cell: &Option<normalised::NormalisedCell>| {
                #[allow(clippy::cast_possible_truncation)]
                cell.as_ref().and_then(|cell| cell.percent).map(|percent| percent.round() as i64)
            };
            row.cells.iter().map(percent).collect()
        })
        .collect();
    assert_eq!(percents, [[Some(100), Some(80), Some(110)], [Some(100), Some(101), None]]);
    let judged =
        |row: usize, column: usize| table.rows[row].cells[column].as_ref().unwrap().judgement;
    assert_eq!((judged(0, 1), judged(0, 2)), (Judgement::Worse, Judgement::Better));
    assert_eq!(judged(1, 1), Judgement::Unclear);
    let unknown = Wanted::free("mistral");
    let error = normalised::normalised(
        &data,
        &Families::default(),
        info,
        "model",
        Some(&unknown),
        &whole(&data),
    );
    assert!(error.unwrap_err().to_string().contains("gemma, qwen, llama"));
}

#[test]
fn who_wins_where_and_where_it_is_unclear() {
    let data = Built::new(&["model", "scenario", "num_ctx"], &[])
        .cell("gemma/solo/512", &around(100.0))
        .cell("gemma/solo/1024", &around(90.0))
        .cell("qwen/solo/512", &around(80.0))
        .cell("qwen/solo/1024", &around(84.0))
        .cell("gemma/pair/512", &shaken(50.0))
        .cell("qwen/pair/512", &around(51.0))
        // a configuration that only one contestant has is no argument
        .cell("qwen/pair/1024", &around(500.0))
        .cell("qwen/trio/512", &around(9.0))
        .data();
    let info = metrics::info(METRIC).unwrap();
    let axes = Axes { contestant: "model", rows: "scenario", columns: None };
    let found = winners::winners(&data, info, Better::Higher, axes, &whole(&data)).unwrap();
    let [solo, pair, trio] = &found.rows[..] else { panic!() };
    let solo = &solo.boxes[0];
    assert_eq!((solo.winner.as_deref(), solo.clear), (Some("gemma"), true));
    // (100 + 90) ÷ 2 against (80 + 84) ÷ 2
    assert!((solo.lead_percent.unwrap() - 100.0 * 13.0 / 82.0).abs() < 1e-9);
    assert_eq!((solo.configurations, solo.n), (2, 5));
    let pair = &pair.boxes[0];
    assert_eq!((pair.winner.as_deref(), pair.clear), (Some("qwen"), false));
    assert_eq!(pair.configurations, 1);
    assert_eq!(trio.boxes[0].winner, None);
    assert_eq!(trio.boxes[0].lead.why.as_deref(), Some("there is one contestant only"));
    let axes = Axes { columns: Some("num_ctx"), ..axes };
    let found = winners::winners(&data, info, Better::Lower, axes, &whole(&data)).unwrap();
    assert_eq!(found.columns, ["512", "1024"]);
    assert_eq!(found.rows[0].boxes[0].winner.as_deref(), Some("qwen"));
    let twice = Axes { columns: Some("model"), ..axes };
    assert_eq!(
        winners::winners(&data, info, Better::Lower, twice, &whole(&data)),
        Err(ComparisonError::AxisTwice { axis: "model".into() })
    );
}

#[test]
fn a_frontier_of_two_metrics() {
    let mut data = Built::new(&["throttle"], &[])
        .cell("1", &around(10.0))
        .cell("2", &around(20.0))
        .cell("3", &around(15.0))
        .cell("4", &shaken(19.0))
        .unknown("5", 3)
        .data();
    for (cell, ttft) in data.cells.iter_mut().zip([10.0, 20.0, 30.0, 20.5, 1.0]) {
        for (run, value) in cell.runs.values_mut().zip(around(ttft)) {
            run.metrics.insert("ttft_ms".into(), Some(value));
        }
    }
    let (x, y) = (metrics::info(METRIC).unwrap(), metrics::info("ttft_ms").unwrap());
    let rows = frontier::frontier(&data, x, y, &whole(&data)).unwrap();
    let on: Vec<Option<bool>> = rows.iter().map(|row| row.on_frontier).collect();
    // more tokens per second, fewer ms
    assert_eq!(on, [Some(true), Some(true), Some(false), Some(false), None]);
    assert_eq!(rows[2].dominated_by, ["00000001"]);
    assert_eq!((rows[2].clearly, rows[3].clearly), (true, false));
    assert_eq!(rows[4].why, Some("the metric is unknown in every run"));
    let tokens = metrics::info("tokens").unwrap();
    assert!(frontier::frontier(&data, x, tokens, &whole(&data)).is_err());
}

#[test]
fn contention_by_scenario() {
    let data = Built::new(&["scenario", "num_gpu"], &[])
        .of("speedup")
        .cell("homo/60", &[1.9, 1.4, 1.8])
        .cell("homo/80", &[1.5, 1.9, 1.8])
        .cell("hetero/60", &[1.2, 1.3, 1.1])
        .unknown("hetero/80", 2)
        .data();
    let info = metrics::info("speedup").unwrap();
    let by = ["scenario".to_owned()];
    let rows = shares::shares(&data, info, Sign::Less, 1.5, &by, &whole(&data)).unwrap();
    let counts: Vec<_> = rows.iter().map(|row| (row.cells, row.runs, row.n, row.beyond)).collect();
    assert_eq!(counts, [(2, 6, 6, 1), (2, 5, 3, 3)]);
    // Wilson for 3 of 3: 1 ÷ (1 + z² ÷ 3)
    let [low, high] = rows[1].ci.unwrap();
    assert!((low - 3.0 / (3.0 + 1.959_963_984_540_054_f64.powi(2))).abs() < 1e-9);
    assert!((high - 1.0).abs() < 1e-12);
    let all = shares::shares(&data, info, Sign::AtMost, 1.5, &[], &whole(&data)).unwrap();
    assert_eq!((all.len(), all[0].beyond, all[0].n), (1, 5, 9));
    assert!(shares::sign("=").is_err());
}

#[test]
fn a_counterpart_may_stand_for_several_rows_of_the_matrix() {
    let mut data = Built::new(&["scenario", "num_gpu"], &[("scenario", "plain")])
        .cell("plain/60", &around(10.0))
        .cell("tuned/60", &around(12.0))
        .cell("tuned/80", &around(13.0))
        .data();
    let info = metrics::info(METRIC).unwrap();
    let rows = baseline::rows(&data, &Families::default(), info, &[], &whole(&data)).unwrap();
    let why = rows[2].contrast.why.as_deref();
    assert_eq!(why, Some("no cell has scenario = plain, num_gpu = 80"));
    // options do not reach an agent without them: plain/80 is the same cell
    let plain = &mut data.experiments[0].cells[0];
    let mut same = plain.levels.clone();
    same[1].text = "80".into();
    plain.merged.push(same);
    let rows = baseline::rows(&data, &Families::default(), info, &[], &whole(&data)).unwrap();
    assert_eq!(rows[2].baseline.as_deref(), Some("00000000"));
    assert_eq!(rows[2].contrast.judgement, Judgement::Better);
    assert!((rows[2].improvement_percent.unwrap() - 30.0).abs() < 0.1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_order_of_cells_changes_no_row(
        values in prop::collection::vec(prop::collection::vec(1.0..100.0_f64, 3), 6),
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        interleaved in any::<bool>(),
    ) {
        let build = || {
            let names = ["a/off", "a/60", "a/30", "b/off", "b/60", "b/30"];
            let start = Built::new(&["model", "throttle"], &[("throttle", "off")]);
            let built = names.iter().zip(&values).fold(start, |built, (name, values)| {
                built.cell(name, values)
            });
            if interleaved { built } else { built.sequential() }
        };
        let (data, shuffled) = (build().data(), build().listed(order).data());
        let info = metrics::info(METRIC).unwrap();
        let table = |data| {
            let mut rows = baseline::rows(data, &Families::default(), info, &[], &whole(data)).unwrap();
            rows.sort_by(|a, b| a.cell.cmp(&b.cell));
            rows
        };
        prop_assert_eq!(table(&data), table(&shuffled));
        let found = ranking::ranking(&data, &Families::default(), info, Better::Lower, &whole(&data));
        let again = ranking::ranking(&shuffled, &Families::default(), info, Better::Lower, &whole(&shuffled));
        prop_assert_eq!(&found, &again);
        // ranks follow the means
        for pair in found.rows.windows(2) {
            prop_assert!(pair[0].mean <= pair[1].mean);
            prop_assert!(pair[0].rank < pair[1].rank);
        }
        let best = found.rows[0].mean.unwrap();
        prop_assert!(values.iter().all(|own| own.iter().sum::<f64>() / 3.0 >= best - 1e-9));
    }
}
