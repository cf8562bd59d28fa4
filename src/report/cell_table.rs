//! The table of an experiment: one metric over its cells.

use std::collections::BTreeMap;

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, Data, NamedLevel};
use super::select::{Selection, value};
use crate::metrics::{self, DeclaredMetric, MetricInfo};
use crate::stats::Sample;
use crate::store::record::{Calibration, ErrorSummary, RunRecord};

/// One cell's statistics of one metric; what is unknown is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellRow {
    /// `<id8>`.
    pub cell: String,
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    /// The cell's levels on the experiment's axes.
    pub levels: Vec<NamedLevel>,
    /// Runs in which the metric is known.
    pub n: usize,
    /// Runs that are stored and not stale.
    pub runs: usize,
    pub planned: u32,
    pub mean: Option<f64>,
    pub sd: Option<f64>,
    pub median: Option<f64>,
    pub ci: Option<[f64; 2]>,
    /// Median absolute deviation, as it is.
    pub mad: Option<f64>,
    /// 100 × sd ÷ |mean|.
    pub cv_percent: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Percentiles, interpolated linearly (type 7).
    pub p5: Option<f64>,
    pub p25: Option<f64>,
    pub p75: Option<f64>,
    pub p95: Option<f64>,
    /// The mean differs from the reference cell's by less than the measurement error. The reference
    /// is the baseline, or else the experiment's first cell.
    pub below_error: bool,
    /// That error, the larger of both cells', in the metric's unit; absent for the reference itself, and where
    /// the metric is no time of the client or its error unknown.
    pub error: Option<f64>,
}

/// One metric by cell of an experiment, as a table of the report shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub experiment: String,
    pub metric: String,
    pub unit: String,
    pub measured_by: &'static str,
    pub rows: Vec<CellRow>,
}

/// The metrics worth a table, in their order; those that nothing is known of are left out.
const MAIN: [&str; 39] = [
    "efficiency_percent",
    "speedup",
    "scaling_efficiency_percent",
    "contention_efficiency_percent",
    "slowdown",
    "wall_ms",
    "process_wall_ms",
    "aggregate_tokens_per_s",
    "client_tokens_per_s",
    "eval_rate_tokens_per_s",
    "decode_tokens_per_s",
    "prefill_tokens_per_s",
    "ttft_ms",
    "itl_ms",
    "itl_p99_ms",
    "tpot_ms",
    "throughput_delta",
    "ttft_delta_ms",
    "send_delay_ms",
    "wire_ttft_ms",
    "client_delay_p99_ms",
    "ttft_error_ms",
    "gap_error_p99_ms",
    "loop_wait_mean_ms",
    "loop_lag_p99_ms",
    "cpu_s_per_1000_tokens",
    "tokenizer_tokens_per_s",
    "tokenizer_mb_per_s",
    "tokenizer_latency_ms",
    "tokenizer_lines_tokens_per_s",
    "tokenizer_pieces_p50_us",
    "tokenizer_pieces_p99_us",
    "tokenizer_load_ms",
    "cpu_s",
    "peak_rss_mb",
    "gpu_power_w",
    "joules_per_token",
    "redline_percent",
    "usd_per_million_tokens",
];
/// Of these, what a reader sees first. Load balance never stands without what became of the agents.
const FIRST: [&str; 11] = [
    "efficiency_percent",
    "slowdown",
    AGGREGATE,
    "process_wall_ms",
    "ttft_ms",
    "loop_wait_mean_ms",
    "client_delay_p99_ms",
    "tokenizer_tokens_per_s",
    "tokenizer_mb_per_s",
    "redline_percent",
    "joules_per_token",
];
const AGGREGATE: &str = "aggregate_tokens_per_s";
/// The same of one agent.
const ONE_AGENT: [&str; 2] = ["client_tokens_per_s", "itl_ms"];
/// The rate of runs that know none of the client's.
const PUBLISHED_RATE: &str = "eval_rate_tokens_per_s";
/// For one agent these are 1 and 100 % by definition.
const OF_SEVERAL_AGENTS: [&str; 2] = ["efficiency_percent", "speedup"];
/// Of agents the cost per token tells more.
const OF_COMMANDS: [&str; 1] = ["cpu_s"];

/// One row per selected cell.
pub fn rows<'a>(
    data: &'a Data,
    metric: &MetricInfo<'_>,
    selection: &Selection<'a>,
) -> Vec<CellRow> {
    let levels = levels(data, selection);
    let reference = reference(selection);
    let reference_mean = reference.and_then(|cell| sample(cell, metric)).map(|own| own.mean());
    selection
        .cells
        .iter()
        .map(|cell| {
            let sample = sample(cell, metric);
            let mean = sample.as_ref().map(Sample::mean);
            let percentile = |percent| sample.as_ref().map(|own| own.percentile(percent));
            let other = reference.filter(|reference| reference.id != cell.id);
            let error = other
                .and_then(|other| measurement_error_of(fresh(cell).chain(fresh(other)), metric));
            let difference = mean.zip(reference_mean).map(|(own, other)| own - other);
            CellRow {
                cell: cell.short().to_owned(),
                id: cell.id.clone(),
                name: cell.name.clone(),
                levels: levels.get(cell.id.as_str()).map_or(&cell.factors[..], |own| own).to_vec(),
                n: sample.as_ref().map_or(0, Sample::n),
                runs: fresh(cell).count(),
                planned: cell.planned(),
                mean,
                sd: sample.as_ref().and_then(Sample::sd),
                median: sample.as_ref().map(Sample::median),
                ci: sample.as_ref().and_then(|s| s.mean_ci(0.95)).map(|ci| [ci.low, ci.high]),
                mad: sample.as_ref().map(Sample::median_absolute_deviation),
                cv_percent: sample.as_ref().and_then(Sample::cv).map(|cv| 100.0 * cv),
                min: sample.as_ref().map(Sample::min),
                max: sample.as_ref().map(Sample::max),
                p5: percentile(5.0),
                p25: percentile(25.0),
                p75: percentile(75.0),
                p95: percentile(95.0),
                below_error: drowns(difference, error),
                error,
            }
        })
        .collect()
}

/// Every metric that a run of an experiment knows, by cell; in the order of the manifest and of the
/// catalogue.
pub fn tables(data: &Data) -> Vec<Table> {
    let mut tables = Vec::new();
    for experiment in &data.experiments {
        let selection = Selection::whole(data, experiment);
        for metric in data.metrics() {
            let rows = rows(data, &metric, &selection);
            if rows.iter().any(|row| row.n > 0) {
                tables.push(Table {
                    experiment: experiment.name.clone(),
                    metric: metric.name.to_owned(),
                    unit: metric.unit.to_owned(),
                    measured_by: metric.clock.name(),
                    rows,
                });
            }
        }
    }
    tables
}

/// What the selected runs know of the metrics worth a table: first those that a reader needs to judge the
/// experiment, which are one or two of each aspect, those of its hypotheses and the declared ones; then the
/// others.
pub fn main_metrics<'a>(
    data: &'a Data,
    selection: &Selection,
) -> (Vec<MetricInfo<'a>>, Vec<MetricInfo<'a>>) {
    let runs: Vec<&RunRecord> = selection.cells.iter().copied().flat_map(fresh).collect();
    let experiment = selection.experiment.map(|own| own.name.as_str());
    let axes = selection.experiment.map_or(&[][..], |own| &own.axes);
    let connections = axes.iter().any(|axis| axis.name == "connection");
    let asked = |name: &str| {
        let own = data.hypotheses.iter().filter(|one| Some(one.experiment.as_str()) == experiment);
        own.flat_map(|one| &one.metrics).any(|metric| metric == name)
            || name == "connect_ms" && connections
    };
    let several_agents = several_agents(&runs);
    let client_rate = runs.iter().any(|run| value(run, ONE_AGENT[0]).is_some());
    let heads = |name: &str| {
        FIRST.contains(&name) && (several_agents || name != AGGREGATE)
            || ONE_AGENT.contains(&name) && !several_agents
            || name == PUBLISHED_RATE && !client_rate
            || data.declared.iter().any(|own| own.name == name)
            || asked(name)
    };
    let mut known = main_metrics_of(&data.declared, &runs);
    let others = data.metrics().filter(|metric| asked(metric.name));
    let others = others.filter(|metric| runs.iter().any(|run| value(run, metric.name).is_some()));
    let others: Vec<MetricInfo<'a>> =
        others.filter(|metric| known.iter().all(|other| other.name != metric.name)).collect();
    known.extend(others);
    known.into_iter().partition(|metric| heads(metric.name))
}

fn several_agents(runs: &[&RunRecord]) -> bool {
    runs.iter().any(|run| value(run, "agents").is_some_and(|agents| agents > 1.0))
}

/// The main metrics that at least one of the runs knows, then the declared ones.
pub(super) fn main_metrics_of<'a>(
    declared: &'a [DeclaredMetric],
    runs: &[&RunRecord],
) -> Vec<MetricInfo<'a>> {
    let known = |name: &str| runs.iter().any(|run| value(run, name).is_some());
    let several_agents = several_agents(runs);
    let commands = known("process_wall_ms");
    MAIN.iter()
        .filter(|name| several_agents || !OF_SEVERAL_AGENTS.contains(name))
        .filter(|name| commands || !OF_COMMANDS.contains(name))
        .copied()
        .chain(declared.iter().map(|own| own.name.as_str()))
        .filter(|name| known(name))
        .filter_map(|name| metrics::find(declared, name))
        .collect()
}

fn sample(cell: &Cell, metric: &MetricInfo<'_>) -> Option<Sample> {
    Sample::new(fresh(cell).filter_map(|run| value(run, metric.name)).collect()).ok()
}

/// Levels on the experiment's axes by the cell's id.
fn levels<'a>(data: &'a Data, selection: &Selection<'a>) -> BTreeMap<&'a str, &'a [NamedLevel]> {
    let cells = selection.experiment.map_or(&[][..], |experiment| &experiment.cells);
    cells.iter().map(|own| (data.cells[own.cell].id.as_str(), own.levels.as_slice())).collect()
}

/// The first cell at the baseline's levels, or the first of all.
fn reference<'a>(selection: &Selection<'a>) -> Option<&'a Cell> {
    let baseline = selection.experiment.map_or(&[][..], |experiment| &experiment.baseline);
    let at_baseline = |cell: &&Cell| {
        baseline.iter().all(|level| {
            cell.factors.iter().any(|own| own.name == level.name && own.text == level.text)
        })
    };
    selection.cells.iter().copied().find(at_baseline).or_else(|| selection.cells.first().copied())
}

/// Whether a difference is smaller than the error of the instruments; never where either is unknown.
pub(super) fn drowns(difference: Option<f64>, error: Option<f64>) -> bool {
    difference.zip(error).is_some_and(|(difference, error)| difference.abs() < error)
}

/// The largest error of a metric that calibration or the runs' own send logs found; `None` where it is
/// no time of the client.
pub(super) fn measurement_error(cell: &Cell, metric: &MetricInfo<'_>) -> Option<f64> {
    measurement_error_of(fresh(cell), metric)
}

/// As [`measurement_error`], of any runs.
pub(super) fn measurement_error_of<'a>(
    runs: impl Iterator<Item = &'a RunRecord>,
    metric: &MetricInfo<'_>,
) -> Option<f64> {
    runs.flat_map(|run| {
        let calibrated = run.evidence.calibration.as_ref();
        [calibrated.and_then(|c| error_of(metric, c)), own_error_of(metric, run)]
    })
    .flatten()
    .max_by(f64::total_cmp)
}

/// What the run's own instruments say, where it has them.
fn own_error_of(metric: &MetricInfo<'_>, run: &RunRecord) -> Option<f64> {
    // Lag that is given on purpose is what is measured.
    if run.identity.get("lag_dose").is_some() {
        return None;
    }
    // The log of the paced endpoint, and the packet capture.
    let larger = |log: &str, wire: &str| {
        value(run, log).into_iter().chain(value(run, wire)).max_by(f64::total_cmp)
    };
    match metric.name {
        "ttft_ms" | "ttft_delta_ms" => larger("ttft_error_ms", "wire_ttft_error_ms"),
        "itl_p50_ms" => larger("gap_error_p50_ms", "wire_gap_error_p50_ms"),
        "itl_p95_ms" | "itl_p99_ms" => larger("gap_error_p99_ms", "wire_gap_error_p99_ms"),
        "itl_max_ms" => larger("gap_error_max_ms", "wire_gap_error_max_ms"),
        "itl_ms" | "tpot_ms" => value(run, "wire_gap_error_mean_ms"),
        _ => None,
    }
}

/// The error of the same kind of figure: of a mean for a mean, of a percentile for a percentile. A
/// percentile that too few errors were measured for is stood in for by the largest.
fn error_of(metric: &MetricInfo<'_>, calibration: &Calibration) -> Option<f64> {
    let (ttft, gap) = (calibration.ttft_error_ms, calibration.gap_error_ms);
    let p99 = |error: ErrorSummary| error.p99.unwrap_or(error.max);
    match metric.name {
        "ttft_ms" | "ttft_delta_ms" => Some(ttft.mean.unwrap_or_else(|| p99(ttft))),
        "itl_ms" | "tpot_ms" => Some(gap.mean.unwrap_or_else(|| p99(gap))),
        "itl_p50_ms" => Some(gap.p50),
        "itl_p95_ms" | "itl_p99_ms" => Some(p99(gap)),
        "itl_max_ms" => Some(gap.max),
        _ => None,
    }
}
