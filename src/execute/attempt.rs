//! One attempt at one run: from an empty folder to a sealed run, or to a kept failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fault::AttemptFault;
use super::flamegraph::Flamegraph;
use super::paced::PacedServers;
use super::process::{Supervision, supervise};
use super::request::{IDLE, Request};
use super::runtimes::Runtimes;
use super::sampling::{self, Samplers};
use super::{Cancel, ExecError, ExecEvent, Limits, artifacts, derived, workflow};
use crate::agent::protocol::{AgentRecord, Spec};
use crate::manifest::study::RetryOn;
use crate::metrics;
use crate::os;
use crate::plan::CellSpec;
use crate::probe::flamegraph::Recorder;
use crate::probe::gpu::Driver;
use crate::probe::sampling::{Sampling, Unavailable};
use crate::store::failed::{self, FAILURE_FORMAT, Failure};
use crate::store::journal::{Journal, What};
use crate::store::record::{Evidence, Metrics, ProcessUsage, RUN_FORMAT, RunRecord};
use crate::store::{Layout, StoreError, partial_folder, seal};

/// File of the protocol's spec in the run's folder.
pub(super) const SPEC_FILE: &str = "spec.json";
/// File of the runtime's standard error in the run's folder.
pub(super) const LOG_FILE: &str = "agent.log";

/// What is to be made and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    pub layout: &'a Layout,
    pub cell: &'a CellSpec,
    /// 32 hex digits.
    pub id: &'a str,
    pub name: &'a str,
    /// Folder of the cell below `runs`.
    pub folder: &'a Path,
    pub repeat: u32,
    pub attempt: u32,
}

/// What an attempt works with.
pub struct Means<'a> {
    /// Differs from one `exec` to the next.
    pub session: &'a str,
    pub runtimes: &'a Runtimes,
    /// Where a user's runtime is started and its relative paths begin.
    pub study_folder: &'a Path,
    pub paced: &'a PacedServers,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
    /// For cells with the flamegraph probe; why there is none is the probe's outcome.
    pub py_spy: Option<&'a Result<PathBuf, String>>,
    /// For cells with the GPU probe, likewise.
    pub driver: Option<&'a Result<Driver, Unavailable>>,
    pub journal: &'a mut Journal,
    pub emit: &'a mut dyn FnMut(ExecEvent),
}

impl std::fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Means").field("runtimes", &self.runtimes).finish_non_exhaustive()
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Ended {
    Sealed {
        wall: Duration,
        metrics: Metrics,
    },
    Failed {
        message: String,
        retry_cause: Option<RetryOn>,
        cancelled: bool,
        /// Where what it left lies.
        kept: PathBuf,
    },
}

/// Makes the attempt. An error means that nothing more can be stored; what the attempt left then
/// stays where it is and is set aside by the next exec.
pub fn attempt(
    task: Task<'_>,
    evidence: Evidence,
    means: &mut Means<'_>,
) -> Result<Ended, ExecError> {
    let clock = Instant::now();
    let started = os::utc_now();
    let partial = prepare(&task)?;
    let run = format!("{}.{}.{}", &task.id[..task.id.len().min(8)], task.repeat, task.attempt);
    let paced = means.paced.urls();
    let spec = Request {
        cell: task.cell,
        id: task.id,
        session: means.session,
        repeat: task.repeat,
        attempt: task.attempt,
        run: &run,
        artifacts: &partial,
        paced: &paced,
    }
    .spec();

    let mut flamegraph = Flamegraph::new(task.cell, &partial, means.py_spy);
    let (usage, result, sampled) = match flamegraph.refusal() {
        Some(fault) => (ProcessUsage::default(), Err(fault), sampling::Outcome::default()),
        None => watch(&task, &spec, &partial, flamegraph.recorder(), means)?,
    };
    means.paced.write_sends(&run, &partial).map_err(|error| ExecError::sends(&partial, error))?;
    let judged = result.and_then(|()| {
        let record = artifacts::check(&partial, &spec)?;
        workflow::check(&partial, &spec, task.cell, &record)?;
        sampled.check(&record)?;
        let metrics = metrics::from_folder(&partial, &usage, task.cell.throttle.is_some())?;
        Ok((record, metrics, flamegraph.finish()?))
    });
    let judged = match judged {
        Ok((agent, computed, probes)) => {
            derived::write(&partial, &agent)?.map(|()| (agent, computed, probes))
        }
        Err(fault) => Err(fault),
    };
    match judged {
        Ok((agent, computed, mut probes)) => {
            probes.extend(sampled.probes);
            let sampling = sampled.sampling;
            let made = Made { started, agent, usage, evidence, computed, probes, sampling };
            let metrics = finish(&task, made, &partial, means)?;
            Ok(Ended::Sealed { wall: clock.elapsed(), metrics })
        }
        Err(fault) => keep(&task, &fault, started, &partial, means),
    }
}

/// The empty folder that the artifacts go into, absolute.
fn prepare(task: &Task<'_>) -> Result<PathBuf, StoreError> {
    let partial = partial_folder(task.folder, task.repeat);
    os::disk::create_folders(task.folder)
        .and_then(|()| fs::create_dir(&partial))
        .and_then(|()| std::path::absolute(&partial))
        .map_err(|source| StoreError::Io { action: "create", path: partial, source })
}

/// What became of the agent's process and of the sampling probes around it.
type Watched = (ProcessUsage, Result<(), AttemptFault>, sampling::Outcome);

/// Runs the agent's process with the sampling probes around it. What they saw is written also when
/// the agent fails.
fn watch(
    task: &Task<'_>,
    spec: &Spec,
    partial: &Path,
    recorder: Option<&mut Recorder>,
    means: &mut Means<'_>,
) -> Result<Watched, ExecError> {
    let samplers = Samplers::start(task.cell, means.driver);
    let driven = match samplers.refusal() {
        Some(fault) => Ok((ProcessUsage::default(), Err(fault))),
        None => drive(task, spec, partial, recorder, &samplers, means),
    };
    // Whatever became of it, no probe goes on.
    let sampled = samplers.finish(partial)?;
    let (usage, result) = driven?;
    Ok((usage, result, sampled))
}

/// Runs the agent's process.
fn drive(
    task: &Task<'_>,
    spec: &Spec,
    partial: &Path,
    recorder: Option<&mut Recorder>,
    samplers: &Samplers,
    means: &mut Means<'_>,
) -> Result<(ProcessUsage, Result<(), AttemptFault>), ExecError> {
    let text = write_spec(&partial.join(SPEC_FILE), spec)?;
    let mut journaled = Ok(());
    let journal = &mut *means.journal;
    let mut on_start = |pid| {
        samplers.watch_agent(pid);
        journaled = journal.write(What::Started {
            cell: task.id.to_owned(),
            repeat: task.repeat,
            attempt: task.attempt,
            pid,
            mark: os::process::start_mark(pid),
        });
    };
    let supervision = Supervision {
        limits: means.limits,
        overall: overall_limit(task.cell, means.limits),
        cancel: means.cancel,
        recorder,
        on_start: &mut on_start,
        emit: &mut *means.emit,
    };
    let command = means.runtimes.command(task.cell, means.study_folder);
    let ended = supervise(command, text, &partial.join(LOG_FILE), supervision);
    journaled?;
    Ok(ended)
}

/// Writes the spec into the run, and returns it as the agent gets it.
pub(super) fn write_spec(path: &Path, spec: &Spec) -> Result<Vec<u8>, StoreError> {
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let text = serde_json::to_vec_pretty(spec).map_err(malformed)?;
    // Kept without the folder that it was made in: a run may be moved, and a folder's path says
    // something of the machine and nothing of the measurement.
    let kept = Spec { artifacts: ".".into(), ..spec.clone() };
    let kept = serde_json::to_vec_pretty(&kept).map_err(malformed)?;
    fs::write(path, kept).map_err(StoreError::io("write", path))?;
    Ok(text)
}

/// The idle control, all calls of the longest stream one after the other at their limit, and the
/// slack.
pub(super) fn overall_limit(cell: &CellSpec, limits: &Limits) -> Duration {
    let idle = if cell.idle { IDLE } else { Duration::ZERO };
    let longest = cell.agents.iter().map(|agent| agent.work.prompts().len()).max();
    let calls = longest.and_then(|calls| u32::try_from(calls).ok()).unwrap_or(1);
    let calls = cell.warmup.saturating_add(1).saturating_mul(calls);
    cell.timeout.saturating_mul(calls).saturating_add(idle).saturating_add(limits.slack)
}

struct Made {
    started: String,
    agent: AgentRecord,
    usage: ProcessUsage,
    evidence: Evidence,
    computed: metrics::RunMetrics,
    probes: BTreeMap<String, String>,
    sampling: BTreeMap<String, Sampling>,
}

/// Seals the run and writes it into the journal.
fn finish(
    task: &Task<'_>,
    made: Made,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Metrics, ExecError> {
    let mut evidence = made.evidence;
    evidence.agent.info = Some(made.agent.runtime);
    let mut record = RunRecord {
        format: RUN_FORMAT,
        cell: task.id.to_owned(),
        cell_name: task.name.to_owned(),
        repeat: task.repeat,
        attempt: task.attempt,
        identity: task.cell.identity.clone(),
        started: made.started,
        finished: os::utc_now(),
        evidence,
        process: made.usage,
        calls: made.computed.calls,
        metrics: made.computed.run,
        probes: made.probes,
        sampling: made.sampling,
        files: BTreeMap::new(),
    };
    let place = task.folder.join(task.repeat.to_string());
    let sha256 = seal::seal(partial, &place, &mut record)?;
    means.journal.write(What::Finished {
        cell: task.id.to_owned(),
        repeat: task.repeat,
        attempt: task.attempt,
        sha256,
    })?;
    Ok(record.metrics)
}

/// Keeps what the attempt left, with its reason.
fn keep(
    task: &Task<'_>,
    fault: &AttemptFault,
    started: String,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Ended, ExecError> {
    let message = fault.to_string();
    let failure = Failure {
        format: FAILURE_FORMAT,
        cell: Some(task.id.to_owned()),
        cell_name: task.name.to_owned(),
        repeat: task.repeat,
        attempt: Some(task.attempt),
        cause: fault.cause().to_owned(),
        message: message.clone(),
        calls: artifacts::outcomes(partial),
        started: Some(started),
        finished: os::utc_now(),
    };
    // By the path it was made under: the partial one is absolute, the layout's may not be.
    let folder = partial_folder(task.folder, task.repeat);
    let kept = failed::keep(task.layout, &folder, &failure)?;
    means.journal.write(What::Failed {
        cell: task.id.to_owned(),
        repeat: task.repeat,
        attempt: task.attempt,
        cause: failure.cause,
        kept: task.layout.relative(&kept),
    })?;
    Ok(Ended::Failed {
        message,
        retry_cause: fault.retry_cause(),
        cancelled: matches!(fault, AttemptFault::Cancelled),
        kept,
    })
}
