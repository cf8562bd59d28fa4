//! Raw artifacts → metrics: the one implementation for every runtime.
//!
//! Agents only record; what a number means is decided here and listed in [`catalogue()`]. Statistics
//! over runs are left to the report.

mod active;
mod agents;
mod call;
mod catalogue;
mod checked;
pub mod controls;
pub mod conventions;
mod declared;
mod effect;
mod errors;
pub mod gpu;
pub mod host;
pub mod imported;
pub mod lag;
pub mod machine;
pub mod outliers;
mod pace;
pub mod picked;
pub mod price;
mod run;
pub mod serving;
pub mod tokenize;
mod wait;
mod warmth;
mod wire;
mod work;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use formats::protocol::{AgentRecord, CallRecord, LOOP_LAG_FILE, Stage, StageRecord, Window};
use formats::sends::{SENDS_FILE, Send};
use serde::de::DeserializeOwned;

use crate::os::files;
use crate::probe::gpu::GpuSample;
use crate::probe::host::HostSample;
use crate::probe::wire::{CallOnTheWire, WIRE_FILE};
use crate::store::record::{
    AgentFigures, Calibration, CallSummary, MachineTime, Metrics, ProcessUsage, Serving,
};

use checked::Checked;

pub use agents::OF_AGENTS;
pub use call::gaps_ms;
pub use catalogue::{Better, Clock, MetricInfo, Scope, catalogue, catalogue_markdown, info};
pub use declared::{DeclaredMetric, all, check as check_declared, declared, find};
pub use effect::{Scale, SmallestEffect, scale, smallest_effect};
pub use errors::{ENOUGH_FOR_P99, calibration};
pub use lag::LagSample;
pub(crate) use picked::statistic;
pub use work::{Seen, UnknownWork, Work};

/// Metrics of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMetrics {
    /// One per call, warm-up included, in the order of the record.
    pub calls: Vec<CallSummary>,
    pub run: Metrics,
    /// In the order of their names; empty where there are no agents.
    pub agents: Vec<AgentFigures>,
    /// What the log of the paced endpoint says of the client's timestamps; `None` without one, of a
    /// throttled run, and where nothing can be paired with it.
    pub calibration: Option<Calibration>,
}

/// What was asked of a run that its records must be read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// The agent was told to take chunks more slowly than they come. Its gaps then differ from the
    /// server's by design, so they say nothing of the measurement error.
    pub throttled: bool,
    /// The agent was told to hold bytes back, by `batch` or `rechunk`.
    pub held_back: bool,
    /// The servers held no model when the run began.
    pub cold: bool,
    /// What served each agent.
    pub serving: &'a BTreeMap<String, Serving>,
}

impl Default for Conditions<'_> {
    fn default() -> Self {
        static NOBODY: BTreeMap<String, Serving> = BTreeMap::new();
        Self { throttled: false, held_back: false, cold: false, serving: &NOBODY }
    }
}

impl Conditions<'_> {
    /// Whether one of the settings that a runtime was given makes it hold bytes back.
    #[must_use]
    pub fn holds_back(has: impl Fn(&str) -> bool) -> bool {
        ["batch", "rechunk"].into_iter().any(has)
    }
}

/// What instruments recorded of a run beside the agent's own record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recorded<'a> {
    /// `None` where the server keeps no such log.
    pub sends: Option<&'a [Send]>,
    /// In the order of time, like the others; empty where the probe was off or unavailable.
    pub lag: &'a [LagSample],
    pub wire: &'a [CallOnTheWire],
    pub gpu: &'a [GpuSample],
    pub host: &'a [HostSample],
    pub machine: Option<&'a MachineTime>,
}

/// Computes everything from an agent's record, the other artifacts in the run's folder (the files of
/// the probes and, on the paced endpoint, `sends.csv`) and what the executor saw.
pub fn of_calls(
    record: &AgentRecord,
    folder: &Path,
    seen: Seen<'_>,
    conditions: Conditions<'_>,
) -> Result<RunMetrics, MetricsError> {
    let sends = read_sends(&folder.join(SENDS_FILE))?;
    let lag = lag::read(&folder.join(LOOP_LAG_FILE))?.unwrap_or_default();
    let gpu = gpu::read(&folder.join(crate::probe::gpu::METRICS_FILE))?.unwrap_or_default();
    let host = host::read(&folder.join(crate::probe::host::METRICS_FILE))?.unwrap_or_default();
    let wire = wire::read(&folder.join(WIRE_FILE))?;
    let (sends, machine) = (sends.as_deref(), seen.machine);
    let recorded = Recorded { sends, lag: &lag, wire: &wire, gpu: &gpu, host: &host, machine };
    Ok(compute(record, &recorded, seen.process, conditions))
}

/// What the GPU and host probes saw, by their files in a run's folder, of a command that ran in this window.
/// Empty without probes.
fn of_command(
    folder: &Path,
    window: Window,
    process: &ProcessUsage,
) -> Result<Metrics, MetricsError> {
    let mut metrics = sampled(folder, &active::WorkTimes::of_process(window), None)?;
    if let Some(share) = command_cpu_percent(folder, window, process)? {
        metrics.insert(host::AGENT_CPU_PERCENT.to_owned(), share.ok());
    }
    Ok(metrics)
}

/// The share of a core that a command took, with all that it started; or why it is unknown. `None` without the
/// host probe.
pub fn command_cpu_percent(
    folder: &Path,
    window: Window,
    process: &ProcessUsage,
) -> Result<Option<Result<f64, String>>, MetricsError> {
    let samples = host::read(&folder.join(crate::probe::host::METRICS_FILE))?;
    Ok(samples.map(|samples| host::share_of_command(process, window, &samples)))
}

/// What the GPU and host probes saw of work, by their files in a run's folder; empty without them.
fn sampled(
    folder: &Path,
    work: &active::WorkTimes,
    tokens: Option<f64>,
) -> Result<Metrics, MetricsError> {
    let mut metrics = Metrics::new();
    if let Some(samples) = gpu::read(&folder.join(crate::probe::gpu::METRICS_FILE))? {
        metrics.extend(gpu::metrics(work, &samples, tokens));
    }
    if let Some(samples) = host::read(&folder.join(crate::probe::host::METRICS_FILE))? {
        metrics.extend(host::metrics(work, &samples, tokens));
    }
    Ok(metrics)
}

/// Most memory in use on the GPUs while the probe looked, by its file in a folder; `None` without it.
#[must_use]
pub fn gpu_memory_peak_mb(folder: &Path) -> Option<f64> {
    let samples = gpu::read(&folder.join(crate::probe::gpu::METRICS_FILE)).ok()??;
    gpu::memory_peak_mb(&samples)
}

/// As [`of_calls`], from what was read.
#[must_use]
pub fn compute(
    record: &AgentRecord,
    recorded: &Recorded<'_>,
    process: &ProcessUsage,
    conditions: Conditions<'_>,
) -> RunMetrics {
    let Conditions { throttled, held_back, cold, serving } = conditions;
    let log = errors::SendLog::new(recorded.sends.unwrap_or_default());
    let errors: Vec<errors::CallErrors> =
        record.calls.iter().map(|call| errors::CallErrors::of(call, &log, throttled)).collect();
    // What was asked to delay chunks is no error of the client.
    let wire = wire::of_calls(record, recorded.wire, throttled || held_back);
    let unknown = Serving::default();
    let calls: Vec<CallSummary> = record
        .calls
        .iter()
        .zip(errors.iter().zip(&wire))
        .map(|(call, (errors, wire))| {
            let serving = serving.get(&call.agent).unwrap_or(&unknown);
            let checked = Checked::new(call, serving, &conditions);
            CallSummary {
                agent: call.agent.clone(),
                call: call.call,
                warmup: call.warmup,
                stage: stage(record, call),
                outcome: call.outcome,
                error: call.error.clone(),
                http_status: call.http_status,
                finish_reason: call.finish_reason.clone(),
                metrics: call::metrics(call, &checked, errors, wire),
                notes: checked.notes,
            }
        })
        .collect();
    let mut run = run::metrics(record, &calls, &errors, &wire, process);
    run.extend(warmth::metrics(&calls, cold));
    let tokens = run.get("tokens").copied().flatten();
    run.extend(lag::metrics(record, recorded.lag));
    let work = active::WorkTimes::of_calls(record);
    run.extend(gpu::metrics(&work, recorded.gpu, tokens));
    run.extend(host::metrics(&work, recorded.host, tokens));
    run.extend(machine::metrics(recorded.machine));
    let calibration = if throttled { None } else { errors::summed_up(record, &log, &errors) };
    let agents = run::figures(record, &calls);
    RunMetrics { calls, run, agents, calibration }
}

/// The stage whose call it was.
fn stage(record: &AgentRecord, call: &CallRecord) -> Option<Stage> {
    let own = |stage: &&StageRecord| stage.agent == call.agent && stage.call == Some(call.call);
    record.stages.iter().find(own).map(|stage| stage.stage)
}

/// Bytes of an agent's record: a call has some ten thousand, and reading it takes several times as much memory.
const LARGEST_RECORD: u64 = 128 << 20;

/// Reads an agent's record.
pub fn read_record(path: &Path) -> Result<AgentRecord, MetricsError> {
    let file = files::open(path).map_err(|error| MetricsError::new(path, &error))?;
    if file.metadata().is_ok_and(|record| record.len() > LARGEST_RECORD) {
        return Err(MetricsError::new(path, &format!("it has more than {LARGEST_RECORD} bytes")));
    }
    serde_json::from_reader(BufReader::new(file)).map_err(|error| MetricsError::new(path, &error))
}

/// Reads the paced endpoint's log; `None` when there is none.
pub fn read_sends(path: &Path) -> Result<Option<Vec<Send>>, MetricsError> {
    read_rows(path)
}

/// The rows of a CSV file; `None` when there is no such file.
fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>, MetricsError> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MetricsError::new(path, &error)),
    };
    csv::Reader::from_reader(BufReader::new(file))
        .deserialize()
        .collect::<Result<Vec<T>, _>>()
        .map(Some)
        .map_err(|error| MetricsError::new(path, &error))
}

/// Nanoseconds from `earlier` to `later` in milliseconds, negative when they are the other way round.
fn ms_between(earlier: u64, later: u64) -> f64 {
    if later >= earlier { ms(later - earlier) } else { -ms(earlier - later) }
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// `None` instead of a number that says nothing (division by zero).
fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    let ratio = numerator / denominator;
    (denominator != 0.0 && ratio.is_finite()).then_some(ratio)
}

/// Artifacts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {reason}")]
pub struct MetricsError {
    pub path: PathBuf,
    pub reason: String,
}

impl MetricsError {
    fn new(path: &Path, error: &impl ToString) -> Self {
        Self { path: path.to_owned(), reason: error.to_string() }
    }
}
