//! Loop lag: how late a task that sleeps on the agents' own loop woke, loaded and idle.
//!
//! Where each agent has a loop of its own, each is looked at in its own measured window: shares are of
//! the loops' time, counts are per loop, percentiles over the samples of all.

use std::collections::BTreeMap;
use std::path::Path;

use formats::protocol::{AgentRecord, Window};
use serde::{Deserialize, Serialize};

use super::call::sample;
use super::run::named;
use super::wait::{self, Hold};
use super::{MetricsError, ms, ms_between, ratio, read_rows};
use crate::stats::Sample;
use crate::store::record::Metrics;

/// A lag beyond this is a stall, milliseconds.
const STALL_MS: f64 = 10.0;
/// Length of a derived window.
const WINDOW_NS: u64 = 100_000_000;
/// More than a day of windows; times that make no sense must not fill the memory.
const MOST_WINDOWS: usize = 1 << 20;

/// One row of [`formats::protocol::LOOP_LAG_FILE`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LagSample {
    /// When the task woke, monotonic.
    pub time_ns: u64,
    /// How much later than it had asked for.
    pub lag_ms: f64,
    /// The agent whose own loop it was; `None`: all agents share one.
    #[serde(rename = "loop", default)]
    pub loop_name: Option<String>,
}

impl LagSample {
    fn woke_in(&self, window: Window) -> bool {
        (window.start_ns..=window.end_ns).contains(&self.time_ns)
    }

    /// It woke in the window, or after it and should have in it: a stall may end after the work that
    /// caused it.
    fn tells_of(&self, window: Window) -> bool {
        let due_before_end_ms = ms_between(self.time_ns, window.end_ns) + self.lag_ms;
        self.time_ns >= window.start_ns && due_before_end_ms >= 0.0
    }

    /// What arrives in the window while the loop is held waits until it wakes. The lag may begin before
    /// the window and end after it.
    fn hold_in(&self, window: Window) -> Hold {
        let woke_ms = ms_between(window.start_ns, self.time_ns);
        let from_ms = (woke_ms - self.lag_ms).max(0.0);
        let to_ms = woke_ms.min(length_ms(window)).max(from_ms);
        Hold { shortest_ms: woke_ms - to_ms, longest_ms: woke_ms - from_ms }
    }

    /// How much of the lag lies in the window.
    #[must_use]
    pub fn within_ms(&self, window: Window) -> f64 {
        self.hold_in(window).length_ms()
    }
}

/// The samples of one event loop.
#[derive(Debug)]
pub struct LoopSamples<'s> {
    /// The agent that it belongs to; `None`: it is all agents'.
    pub agent: Option<&'s str>,
    /// In the order of the file.
    pub samples: Vec<&'s LagSample>,
}

impl LoopSamples<'_> {
    /// Whether the loop makes this agent's calls.
    #[must_use]
    pub fn serves(&self, agent: &str) -> bool {
        self.agent.is_none_or(|own| own == agent)
    }
}

/// The samples loop by loop, in the order of the loops' names.
#[must_use]
pub fn loops(samples: &[LagSample]) -> Vec<LoopSamples<'_>> {
    let mut loops: BTreeMap<Option<&str>, Vec<&LagSample>> = BTreeMap::new();
    for sample in samples {
        loops.entry(sample.loop_name.as_deref()).or_default().push(sample);
    }
    loops.into_iter().map(|(agent, samples)| LoopSamples { agent, samples }).collect()
}

/// Reads the probe's file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<LagSample>>, MetricsError> {
    read_rows(path)
}

/// From the first start to the last end of the measured calls; in a workflow from its first scan.
#[must_use]
pub fn measured_window(record: &AgentRecord) -> Option<Window> {
    window_of(record, |_| true)
}

/// The same of these agents.
fn window_of(record: &AgentRecord, belongs: impl Fn(&str) -> bool) -> Option<Window> {
    let measured = || record.calls.iter().filter(|call| !call.warmup && belongs(&call.agent));
    let stages = record.stages.iter().filter(|stage| !stage.warmup && belongs(&stage.agent));
    let starts = stages.map(|stage| stage.start_ns);
    let start_ns = measured().map(|call| call.start_ns).chain(starts).min()?;
    let end_ns = measured().map(|call| call.end_ns).max()?;
    Some(Window { start_ns, end_ns })
}

/// What the loops show of one part of the run.
#[derive(Debug, Default)]
struct Part {
    lags: Vec<f64>,
    holds: Vec<Hold>,
    stalled_ms: f64,
    /// Time of all loops together in which it could have been found.
    looked_ms: f64,
}

impl Part {
    fn add(
        &mut self,
        own: &LoopSamples<'_>,
        window: Option<Window>,
        belongs: fn(&LagSample, Window) -> bool,
    ) {
        let Some(window) = window else { return };
        self.looked_ms += length_ms(window);
        for sample in own.samples.iter().filter(|sample| belongs(sample, window)) {
            let hold = sample.hold_in(window);
            self.lags.push(sample.lag_ms);
            self.holds.push(hold);
            if sample.lag_ms > STALL_MS {
                self.stalled_ms += hold.length_ms();
            }
        }
    }

    /// Share of the time in which a loop was held, mean wait of an arrival, and the wait that one moment
    /// in a hundred exceeds; unknown without samples.
    fn arrivals(&self) -> [Option<f64>; 3] {
        if self.lags.is_empty() {
            return [None; 3];
        }
        [
            ratio(100.0 * wait::held_ms(&self.holds), self.looked_ms),
            wait::mean_ms(&self.holds, self.looked_ms),
            wait::exceeded_ms(&self.holds, self.looked_ms, 0.01),
        ]
    }
}

/// Every loop, each in its own measured window, and all of them idle.
fn parts(record: &AgentRecord, loops: &[LoopSamples<'_>]) -> [Part; 2] {
    let (mut load, mut rest) = (Part::default(), Part::default());
    for own in loops {
        load.add(own, window_of(record, |agent| own.serves(agent)), LagSample::tells_of);
        // What ends after the idle window is not the idle loop's doing: calls have begun.
        rest.add(own, record.idle, LagSample::woke_in);
    }
    [load, rest]
}

/// The lags of the measured windows, and those of the idle control.
#[must_use]
pub fn loaded_and_idle(record: &AgentRecord, samples: &[LagSample]) -> [Option<Sample>; 2] {
    parts(record, &loops(samples)).map(|part| sample(part.lags))
}

/// Every metric of loop lag; all unknown without samples.
pub(super) fn metrics(record: &AgentRecord, samples: &[LagSample]) -> Metrics {
    let loops = loops(samples);
    let [load, rest] = parts(record, &loops);
    let [blocked, wait_mean, wait_p99] = load.arrivals();
    let [idle_blocked, idle_wait_mean, idle_wait_p99] = rest.arrivals();
    let (stalled_ms, load_ms, rest_ms) = (load.stalled_ms, load.looked_ms, rest.looked_ms);
    let (load, rest) = (sample(load.lags), sample(rest.lags));
    let percentile = |lags: &Option<Sample>, p| lags.as_ref().map(|lags| lags.percentile(p));
    let figures = |lags: &Option<Sample>| {
        [
            percentile(lags, 50.0),
            percentile(lags, 99.0),
            lags.as_ref().map(Sample::max),
            lags.as_ref().map(Sample::mean),
        ]
    };
    let [p50, p99, max, mean] = figures(&load);
    let [idle_p50, idle_p99, idle_max, idle_mean] = figures(&rest);
    let per_loop = |lags: &Option<Sample>| ratio(stalls(lags.as_ref()?), loops.len() as f64);
    let (stalls, idle_stalls) = (per_loop(&load), per_loop(&rest));
    let expected = idle_stalls.zip(ratio(load_ms, rest_ms)).map(|(stalls, times)| stalls * times);
    let above = |loaded: Option<f64>, idle: Option<f64>| Some(loaded? - idle?);
    named([
        ("loop_lag_p50_ms", p50),
        ("loop_lag_p99_ms", p99),
        ("loop_lag_max_ms", max),
        ("loop_lag_mean_ms", mean),
        ("loop_lag_stalls", stalls),
        (
            "loop_lag_stalled_percent",
            load.as_ref().and_then(|_| ratio(100.0 * stalled_ms, load_ms)),
        ),
        ("loop_blocked_percent", blocked),
        ("loop_wait_mean_ms", wait_mean),
        ("loop_wait_p99_ms", wait_p99),
        ("loop_lag_samples", load.as_ref().map(|lags| lags.n() as f64)),
        ("loop_lag_loops", load.as_ref().map(|_| loops.len() as f64)),
        ("idle_loop_lag_p50_ms", idle_p50),
        ("idle_loop_lag_p99_ms", idle_p99),
        ("idle_loop_lag_max_ms", idle_max),
        ("idle_loop_lag_mean_ms", idle_mean),
        ("idle_loop_lag_stalls", idle_stalls),
        ("idle_loop_blocked_percent", idle_blocked),
        ("idle_loop_wait_mean_ms", idle_wait_mean),
        ("idle_loop_wait_p99_ms", idle_wait_p99),
        ("loop_lag_p50_ms_above_idle", above(p50, idle_p50)),
        ("loop_lag_p99_ms_above_idle", above(p99, idle_p99)),
        ("loop_lag_max_ms_above_idle", above(max, idle_max)),
        ("loop_lag_mean_ms_above_idle", above(mean, idle_mean)),
        ("loop_lag_stalls_above_idle", above(stalls, expected)),
        ("loop_blocked_percent_above_idle", above(blocked, idle_blocked)),
        ("loop_wait_mean_ms_above_idle", above(wait_mean, idle_wait_mean)),
        ("loop_wait_p99_ms_above_idle", above(wait_p99, idle_wait_p99)),
        ("loop_lag_probe_cost_percent", cost_percent(record, &loops)),
        ("chunk_probe_cost_percent", cost_of_calls_percent(record, "chunks")),
        ("read_delay_cost_percent", cost_of_calls_percent(record, "read_delay")),
    ])
}

fn length_ms(window: Window) -> f64 {
    ms_between(window.start_ns, window.end_ns)
}

fn stalls(lags: &Sample) -> f64 {
    lags.values().iter().filter(|lag| **lag > STALL_MS).count() as f64
}

/// The cost is that of the probes on all loops, so it is divided by the time of all of them.
fn cost_percent(record: &AgentRecord, loops: &[LoopSamples<'_>]) -> Option<f64> {
    let cost = *record.probe_cost_ns.get("loop_lag")?;
    let sampled_ms = |own: &LoopSamples<'_>| {
        let (first, last) = (own.samples.first()?, own.samples.last()?);
        Some(ms_between(first.time_ns, last.time_ns))
    };
    ratio(100.0 * ms(cost), loops.iter().filter_map(sampled_ms).sum())
}

/// Of a probe that works beside the reads of calls.
fn cost_of_calls_percent(record: &AgentRecord, probe: &str) -> Option<f64> {
    let cost = *record.probe_cost_ns.get(probe)?;
    let start_ns = record.calls.iter().map(|call| call.start_ns).min()?;
    let end_ns = record.calls.iter().map(|call| call.end_ns).max()?;
    ratio(100.0 * ms(cost), ms_between(start_ns, end_ns))
}

/// 100 ms of the probe's time, beside what was taken from the streams in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LagWindow {
    /// Monotonic.
    pub start_ns: u64,
    /// 100, but for the last window, which ends with the last sample or call.
    pub duration_ms: f64,
    /// Wake-ups in the window. None of them in it: the loop was held up all through it, and the
    /// sample that tells of it is in the window in which it woke.
    pub samples: usize,
    pub lag_p50_ms: Option<f64>,
    pub lag_p99_ms: Option<f64>,
    pub lag_max_ms: Option<f64>,
    /// Chunks with text that the loop's agents took, warm-up included.
    pub chunks: usize,
    pub chunks_per_s: Option<f64>,
    /// The agent that the loop belongs to, where each has its own.
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub loop_name: Option<String>,
}

/// The samples in windows of 100 ms, from the first sample to the last sample or call, without a gap;
/// loop by loop.
#[must_use]
pub fn windows(record: &AgentRecord, samples: &[LagSample]) -> Vec<LagWindow> {
    loops(samples).iter().flat_map(|own| windows_of(record, own)).collect()
}

fn windows_of(record: &AgentRecord, own: &LoopSamples<'_>) -> Vec<LagWindow> {
    let calls = || record.calls.iter().filter(|call| own.serves(&call.agent));
    let (Some(first), Some(last)) = (own.samples.first(), own.samples.last()) else {
        return Vec::new();
    };
    // The last chunks may come after the last wake-up.
    let calls_end = calls().map(|call| call.end_ns).max().unwrap_or_default();
    let (start_ns, end_ns) = (first.time_ns, last.time_ns.max(calls_end));
    // Both lists in the order of time, so that one pass gives each window its part.
    let mut samples = own.samples.clone();
    samples.sort_by_key(|sample| sample.time_ns);
    let mut chunks: Vec<u64> = calls()
        .flat_map(|call| {
            call.text_offsets_ns.iter().map(|offset| call.start_ns.saturating_add(*offset))
        })
        .collect();
    chunks.sort_unstable();
    let mut windows = Vec::new();
    let mut from_ns = start_ns;
    loop {
        let to_ns = from_ns.saturating_add(WINDOW_NS);
        let is_last = to_ns >= end_ns || windows.len() + 1 == MOST_WINDOWS;
        // What happens at the end belongs to the window that ends there.
        let until_ns = if is_last { end_ns.saturating_add(1) } else { to_ns };
        let lags: Vec<f64> = part(&samples, |own| own.time_ns, from_ns, until_ns)
            .iter()
            .map(|own| own.lag_ms)
            .collect();
        let chunks = part(&chunks, |time| *time, from_ns, until_ns).len();
        let duration_ms = ms(if is_last { end_ns - from_ns } else { WINDOW_NS });
        let (samples, lags) = (lags.len(), sample(lags));
        windows.push(LagWindow {
            start_ns: from_ns,
            duration_ms,
            samples,
            lag_p50_ms: lags.as_ref().map(|lags| lags.percentile(50.0)),
            lag_p99_ms: lags.as_ref().map(|lags| lags.percentile(99.0)),
            lag_max_ms: lags.as_ref().map(Sample::max),
            chunks,
            chunks_per_s: ratio(chunks as f64, duration_ms / 1e3),
            loop_name: own.agent.map(str::to_owned),
        });
        if is_last {
            return windows;
        }
        from_ns = to_ns;
    }
}

/// The items of a list in the order of time that fall into `[from, until)`.
fn part<T>(sorted: &[T], time: impl Fn(&T) -> u64, from_ns: u64, until_ns: u64) -> &[T] {
    let start = sorted.partition_point(|item| time(item) < from_ns);
    let end = sorted.partition_point(|item| time(item) < until_ns);
    &sorted[start..end]
}
