//! The statistics of two cells, or of a cell and all others, as rows: against the baseline, in a ranking, in
//! per cent of a level, one tokenizer against another, a cell against its replica; and how often a metric
//! improved.
//!
//! Adjusted p are those of the reports' tables; metrics and baselines that no table shows are adjusted over
//! everything of the experiment that is listed here. `family` and `tests` say which of the two it was.

use serde_json::Value;

use super::{Table, interval, number, words};
use crate::metrics::{self, MetricInfo};
use crate::report::comparison::contrast::{Contrast, Quantity, Test};
use crate::report::comparison::family::{Adjusted, Families, known};
use crate::report::comparison::{baseline, direction, normalised, ranking, replicas, success};
use crate::report::data::{Data, Experiment};
use crate::report::select::Selection;
use crate::report::tokenizers;

/// `against` is the id of the other cell, or the level that is 100 %. `replicate` is the unit of
/// replication: what counts as one value of the test. `judged` is what p and the judgement are of, and `ratio` that of the
/// geometric means where these are judged; `matters_from` is the smallest effect of interest. `below_error` is
/// 0 or 1. What users are told of them: `docs/comparisons.md`.
const COLUMNS: [&str; 40] = [
    "comparison",
    "experiment",
    "metric",
    "unit",
    "cell",
    "name",
    "against",
    "n",
    "planned",
    "against_n",
    "pairs",
    "replicate",
    "judged",
    "test",
    "mean",
    "against_mean",
    "difference",
    "ci_low",
    "ci_high",
    "ratio",
    "ratio_ci_low",
    "ratio_ci_high",
    "percent",
    "percent_ci_low",
    "percent_ci_high",
    "improvement_percent",
    "improvement_ci_low",
    "improvement_ci_high",
    "hedges_g",
    "g_ci_low",
    "g_ci_high",
    "p",
    "p_adjusted",
    "family",
    "tests",
    "matters_from",
    "below_error",
    "rank",
    "judgement",
    "why",
];

/// One row; what a kind of comparison does not have is absent.
#[derive(Default)]
struct Row<'a> {
    comparison: &'static str,
    experiment: &'a str,
    metric: &'a str,
    unit: &'a str,
    cell: Option<&'a str>,
    name: &'a str,
    against: Option<&'a str>,
    n: Option<usize>,
    planned: Option<u32>,
    against_n: Option<usize>,
    mean: Option<f64>,
    against_mean: Option<f64>,
    percent: Option<f64>,
    percent_ci: Option<[f64; 2]>,
    improvement: Option<f64>,
    improvement_ci: Option<[f64; 2]>,
    contrast: Option<&'a Contrast>,
    judged: Option<Quantity>,
    adjusted: Option<Adjusted>,
    matters_from: Option<String>,
    rank: Option<usize>,
    judgement: &'a str,
    below_error: bool,
    why: Option<&'a str>,
}

impl Row<'_> {
    fn values(self) -> Vec<Value> {
        let figure = |of: fn(&Contrast) -> Option<f64>| number(self.contrast.and_then(of));
        let bounds = |of: fn(&Contrast) -> Option<[f64; 2]>| interval(self.contrast.and_then(of));
        let [ci_low, ci_high] = bounds(|contrast| contrast.ci);
        let [ratio_low, ratio_high] = bounds(|contrast| contrast.ratio_ci);
        let [percent_low, percent_high] = interval(self.percent_ci);
        let [improvement_low, improvement_high] = interval(self.improvement_ci);
        let [g_low, g_high] = bounds(|contrast| contrast.g_ci);
        let adjusted = self.adjusted.or_else(|| self.contrast.and_then(Contrast::adjusted));
        vec![
            self.comparison.into(),
            self.experiment.into(),
            self.metric.into(),
            self.unit.into(),
            self.cell.into(),
            self.name.into(),
            self.against.into(),
            self.n.into(),
            self.planned.into(),
            self.against_n.into(),
            self.contrast.and_then(|contrast| contrast.pairs).into(),
            self.contrast.and_then(replicate).into(),
            self.judged
                .or_else(|| self.contrast.and_then(|contrast| contrast.judged))
                .map(Quantity::name)
                .into(),
            self.contrast.and_then(|contrast| Some(contrast.test?.name())).into(),
            number(self.mean),
            number(self.against_mean),
            figure(|contrast| contrast.difference),
            ci_low,
            ci_high,
            figure(|contrast| contrast.ratio),
            ratio_low,
            ratio_high,
            number(self.percent),
            percent_low,
            percent_high,
            number(self.improvement),
            improvement_low,
            improvement_high,
            figure(|contrast| contrast.g),
            g_low,
            g_high,
            figure(|contrast| contrast.p),
            number(adjusted.map(|own| own.p)),
            adjusted.map(|own| own.of.name()).into(),
            adjusted.map(|own| own.tests).into(),
            self.matters_from.into(),
            u8::from(self.below_error).into(),
            self.rank.into(),
            self.judgement.into(),
            self.why.or_else(|| self.contrast.and_then(|own| own.why.as_deref())).into(),
        ]
    }
}

/// The unit of replication of a test.
fn replicate(contrast: &Contrast) -> Option<&'static str> {
    contrast.test.map(|test| match test {
        Test::Paired => "pair of runs",
        Test::Welch => "run",
    })
}

/// The smallest effect of interest with its unit.
fn matters_from(metric: &MetricInfo<'_>) -> Option<String> {
    metrics::smallest_effect(metric).map(|effect| effect.text(metric.unit))
}

/// Everything that can be compared without further words: by the declared baselines, and by the metrics
/// that have a direction.
pub fn comparisons(data: &Data) -> Table {
    let (mut rows, families) = (Vec::new(), Families::default());
    for experiment in &data.experiments {
        let selection = Selection::whole(data, experiment);
        for metric in known(data, &selection) {
            against_baseline(data, &families, &metric, &selection, &mut rows);
            normalised_by(data, &families, &metric, experiment, &selection, &mut rows);
            ranked(data, &families, &metric, &selection, &mut rows);
        }
        replicated(data, &selection, &mut rows);
    }
    if let Some(tokenizers) = tokenizers::tokenizers(data) {
        for own in &tokenizers.ratios {
            let metric = metrics::info(&own.metric);
            let row = Row {
                comparison: "tokenizers",
                experiment: &own.experiment,
                metric: &own.metric,
                unit: metric.map_or("", |metric| metric.unit),
                name: &format!("{} ({})", own.of, own.at),
                n: Some(own.n[0]),
                against_n: Some(own.n[1]),
                contrast: Some(&own.contrast),
                ..Row::default()
            };
            rows.push(row.values());
        }
    }
    Table { columns: words(&COLUMNS), rows }
}

fn against_baseline(
    data: &Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    selection: &Selection<'_>,
    rows: &mut Vec<Vec<Value>>,
) {
    // Without a baseline there is nothing to say.
    let Ok(found) = baseline::rows(data, families, metric, &[], selection) else { return };
    for own in &found {
        let judgement = if own.is_baseline { "baseline" } else { own.contrast.judgement.name() };
        let row = Row {
            comparison: "baseline",
            experiment: &selection.said,
            metric: metric.name,
            unit: metric.unit,
            cell: Some(&own.id),
            name: &own.name,
            against: own.baseline_id.as_deref(),
            n: Some(own.n),
            planned: Some(own.planned),
            against_n: Some(own.baseline_n),
            mean: own.mean,
            against_mean: own.baseline_mean,
            improvement: own.improvement_percent,
            improvement_ci: own.improvement_ci,
            contrast: Some(&own.contrast),
            matters_from: matters_from(metric),
            below_error: own.contrast.below_error,
            judgement,
            ..Row::default()
        };
        rows.push(row.values());
    }
}

/// In per cent of the baseline's level, axis by axis.
fn normalised_by(
    data: &Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    experiment: &Experiment,
    selection: &Selection<'_>,
    rows: &mut Vec<Vec<Value>>,
) {
    for axis in experiment.axes.iter().filter(|axis| axis.varies) {
        let found = normalised::normalised(data, families, metric, &axis.name, None, selection);
        let Ok(table) = found else { continue };
        let against = format!("{} {}", table.axis, table.level);
        for own in table.rows.iter().flat_map(|row| &row.cells).flatten() {
            let judgement = if own.is_baseline { "baseline" } else { own.judgement.name() };
            let name = selection.cells.iter().find(|cell| cell.id == own.id);
            let row = Row {
                comparison: "normalised",
                experiment: &selection.said,
                metric: metric.name,
                unit: metric.unit,
                cell: Some(&own.id),
                name: name.map_or("", |cell| &cell.name),
                against: Some(&against),
                mean: own.mean,
                percent: own.percent,
                percent_ci: own.ci,
                judged: own.judged,
                adjusted: own.adjusted(),
                matters_from: matters_from(metric),
                below_error: own.below_error,
                judgement,
                why: own.why.as_deref(),
                ..Row::default()
            };
            rows.push(row.values());
        }
    }
}

/// Against rank 1; p × (number of other cells) is what is adjusted, over the rankings of the experiment.
fn ranked(
    data: &Data,
    families: &Families,
    metric: &MetricInfo<'_>,
    selection: &Selection<'_>,
    rows: &mut Vec<Vec<Value>>,
) {
    let Ok(better) = direction(metric, None) else { return };
    let ranking = ranking::ranking(data, families, metric, better, selection);
    let first = ranking.rows.first();
    for own in &ranking.rows {
        let row = Row {
            comparison: "ranking",
            experiment: &selection.said,
            metric: metric.name,
            unit: metric.unit,
            cell: Some(&own.id),
            name: &own.name,
            against: first.filter(|_| own.rank.is_some()).map(|first| first.id.as_str()),
            n: Some(own.n),
            planned: Some(own.planned),
            against_n: first.map(|first| first.n),
            mean: own.mean,
            against_mean: first.and_then(|first| first.mean),
            contrast: Some(&own.behind),
            matters_from: matters_from(metric),
            below_error: own.behind.below_error,
            rank: own.rank,
            judgement: match own.distinguishable {
                Some(true) => "told apart",
                Some(false) => "not told apart",
                None if own.rank.is_some() => "rank 1",
                None => "no data",
            },
            ..Row::default()
        };
        rows.push(row.values());
    }
}

/// The replica against the cell that it is of, whose row it is.
fn replicated(data: &Data, selection: &Selection<'_>, rows: &mut Vec<Vec<Value>>) {
    for own in &replicas::all(data, selection, known(data, selection)) {
        let metric = data.metrics().find(|metric| metric.name == own.metric);
        let row = Row {
            comparison: "aa",
            experiment: &selection.said,
            metric: &own.metric,
            unit: &own.unit,
            cell: Some(&own.replica),
            name: &own.name,
            against: Some(&own.cell),
            n: Some(own.replica_n),
            planned: Some(own.planned),
            against_n: Some(own.n),
            mean: own.replica_mean,
            against_mean: own.mean,
            contrast: Some(&own.contrast),
            matters_from: metric.as_ref().and_then(matters_from),
            below_error: own.contrast.below_error,
            judgement: own.contrast.judgement.name(),
            ..Row::default()
        };
        rows.push(row.values());
    }
}

/// Counts are of configurations, which `replicate` says; intervals are Wilson's. `better` goes by the means
/// alone, `clearly_better` by the judgements of the comparisons.
const SUCCESS: [&str; 15] = [
    "experiment",
    "metric",
    "replicate",
    "configurations",
    "compared",
    "better",
    "better_percent",
    "better_ci_low",
    "better_ci_high",
    "clearly_better",
    "clearly_better_percent",
    "clearly_better_ci_low",
    "clearly_better_ci_high",
    "clearly_worse",
    "untested",
];

/// How often each metric with a direction is better than at the baseline.
pub fn successes(data: &Data) -> Table {
    let (mut rows, families) = (Vec::new(), Families::default());
    for experiment in &data.experiments {
        let selection = Selection::whole(data, experiment);
        for metric in known(data, &selection) {
            let (Ok(better), Ok(found)) = (
                direction(&metric, None),
                baseline::rows(data, &families, &metric, &[], &selection),
            ) else {
                continue;
            };
            let own = success::success(&found, better);
            let percent = |share: Option<f64>| number(share.map(|share| 100.0 * share));
            let percents =
                |ci: Option<[f64; 2]>| interval(ci.map(|ci| ci.map(|share| 100.0 * share)));
            let [low, high] = percents(own.better_ci);
            let [clear_low, clear_high] = percents(own.clearly_better_ci);
            rows.push(vec![
                experiment.name.as_str().into(),
                metric.name.into(),
                "configuration".into(),
                own.configurations.into(),
                own.compared.into(),
                own.better.into(),
                percent(own.better_share),
                low,
                high,
                own.clearly_better.into(),
                percent(own.clearly_better_share),
                clear_low,
                clear_high,
                own.clearly_worse.into(),
                own.untested.into(),
            ]);
        }
    }
    Table { columns: words(&SUCCESS), rows }
}
