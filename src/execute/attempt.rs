//! One attempt at one run: from an empty folder to a sealed run, or to a kept failure.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent::wire::secrets::Secrets;
use formats::clock;
use formats::protocol::RuntimeInfo;

use super::fault::AttemptFault;
use super::machine::ServerProcesses;
use super::memory::{self, ChangedModel};
use super::paced::PacedServers;
use super::pause::Busy;
use super::runtimes::Runtimes;
use super::tokenize::Texts;
use super::{Cancel, ExecError, ExecEvent, Limits, artifacts, command, scenario, tokenize};
use crate::manifest::study::RetryOn;
use crate::metrics;
use crate::os;
use crate::plan::{CellSpec, CellWork, identity};
use crate::probe::gpu::Driver;
use crate::probe::sampling::{Sampling, Unavailable};
use crate::probe::wire;
use crate::store::failed::{self, Failure};
use crate::store::journal::{Journal, What};
use crate::store::record::{
    AgentFigures, Calibration, CallSummary, CommandRecord, Evidence, FallbackOf, MachineTime,
    Metrics, ProcessUsage, RUN_FORMAT, RunRecord, ServerMemory, Serving, TokenSummary,
};
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
    /// The run in whose place this one is made.
    pub fallback_of: Option<&'a FallbackOf>,
    /// The outlier that this run is made for.
    pub rerun_of: Option<u32>,
}

/// What an attempt works with.
pub struct Means<'a> {
    /// Differs from one `exec` to the next.
    pub session: &'a str,
    pub runtimes: &'a Runtimes,
    /// Where a user's runtime is started and its relative paths begin.
    pub study_folder: &'a Path,
    pub paced: &'a PacedServers,
    /// The keys of the study's endpoints.
    pub secrets: &'a Secrets,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
    /// For cells with the flamegraph probe; why there is none is the probe's outcome.
    pub py_spy: Option<&'a Result<PathBuf, String>>,
    /// Of tokenizer cells.
    pub texts: &'a mut Texts,
    /// Of the GPUs; looked for when it is needed first.
    pub driver: &'a OnceCell<Result<Driver, Unavailable>>,
    /// Of the servers on this machine.
    pub server_processes: &'a mut ServerProcesses,
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
        /// Models that are not the ones of the evidence that was given; the record holds theirs.
        changed: Vec<ChangedModel>,
    },
    Failed {
        message: String,
        retry_cause: Option<RetryOn>,
        /// Another attempt would end alike.
        is_final: bool,
        /// Of who may ask, not of what was asked.
        refused: bool,
        /// The endpoint that took no connection.
        unreached: Option<String>,
        cancelled: bool,
        /// A server that refused it for having too much to do.
        busy: Option<Busy>,
        /// Where what it left lies.
        kept: PathBuf,
    },
}

impl Task<'_> {
    /// The journal's line that a process of the attempt was started: by it a later exec can end the
    /// process if this one is killed.
    pub(super) fn started(&self, pid: u32) -> What {
        What::Started {
            cell: self.id.to_owned(),
            repeat: self.repeat,
            attempt: self.attempt,
            pid,
            mark: os::process::start_mark(pid),
        }
    }
}

/// Makes the attempt. An error means that nothing more can be stored; what the attempt left then
/// stays where it is and is set aside by the next exec.
pub fn attempt(
    task: Task<'_>,
    evidence: Evidence,
    means: &mut Means<'_>,
) -> Result<Ended, ExecError> {
    let clock = Instant::now();
    let started = clock::utc_now();
    let partial = prepare(&task)?;
    let run = format!("{}.{}.{}", task.id.get(..8).unwrap_or(task.id), task.repeat, task.attempt);
    let measured = match &task.cell.work {
        CellWork::Scenario(work) => {
            scenario::measure(&task, work, &run, &partial, &evidence, means)?
        }
        CellWork::Tokenize(work) => {
            let met = evidence.tokenizer.as_ref();
            tokenize::measure(&task, work, met, &run, &partial, means)?.map_err(Failed::from)
        }
        CellWork::Command(work) => {
            command::measure(&task, work, &partial, means)?.map_err(Failed::from)
        }
        // The plan's order has none of them.
        CellWork::Import(_) => return Err(ExecError::Imported),
    };
    match measured {
        Ok(measured) => {
            let mut evidence = evidence;
            let changed = memory::correct(&mut evidence, &measured.servers);
            let metrics = finish(&task, started, measured, evidence, &partial, means)?;
            Ok(Ended::Sealed { wall: clock.elapsed(), metrics, changed })
        }
        Err(failed) => keep(&task, failed, started, &partial, means),
    }
}

/// What an attempt that went well found, whatever kind of work it did.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// What the runtime said of itself.
    pub info: Option<RuntimeInfo>,
    pub usage: ProcessUsage,
    /// What the machine did meanwhile.
    pub machine: Option<MachineTime>,
    pub calls: Vec<CallSummary>,
    pub agents: Vec<AgentFigures>,
    pub metrics: Metrics,
    /// What a command was and said.
    pub command: Option<CommandRecord>,
    /// How each probe outside the measured process fared.
    pub probes: BTreeMap<String, String>,
    /// What the servers held in memory.
    pub servers: BTreeMap<String, ServerMemory>,
    /// What served each agent.
    pub serving: BTreeMap<String, Serving>,
    /// What a tokenizer made of its text.
    pub tokens: Option<TokenSummary>,
    /// What the run says of its own timestamps, where its endpoints are all paced.
    pub calibration: Option<Calibration>,
    /// What the sampling probes among them say of themselves.
    pub sampling: BTreeMap<String, Sampling>,
    /// What the packet capture says of itself.
    pub wire: Option<wire::Summary>,
}

/// Why an attempt gave no run.
pub(super) struct Failed {
    pub fault: AttemptFault,
    /// What the servers held in memory then.
    pub servers: BTreeMap<String, ServerMemory>,
}

impl From<AttemptFault> for Failed {
    fn from(fault: AttemptFault) -> Self {
        Self { fault, servers: BTreeMap::new() }
    }
}

/// The empty folder that the artifacts go into, absolute.
fn prepare(task: &Task<'_>) -> Result<PathBuf, StoreError> {
    let partial = partial_folder(task.folder, task.repeat);
    if partial.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
        fs::remove_file(&partial).map_err(StoreError::io("remove", &partial))?;
    }
    os::disk::create_folders(task.folder)
        .and_then(|()| fs::create_dir(&partial))
        .and_then(|()| std::path::absolute(&partial))
        .map_err(|source| StoreError::Io { action: "create", path: partial, source })
}

/// Seals the run and writes it into the journal.
fn finish(
    task: &Task<'_>,
    started: String,
    measured: Measured,
    mut evidence: Evidence,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Metrics, ExecError> {
    evidence.agent.info = measured.info;
    evidence.calibration = measured.calibration.or(evidence.calibration);
    let mut record = RunRecord {
        format: RUN_FORMAT,
        cell: task.id.to_owned(),
        identity_version: identity::VERSION,
        levels: task.cell.levels.clone(),
        cell_name: task.name.to_owned(),
        repeat: task.repeat,
        attempt: task.attempt,
        identity: task.cell.identity.clone(),
        started: Some(started),
        finished: Some(clock::utc_now()),
        imported: None,
        evidence,
        process: measured.usage,
        machine: measured.machine,
        calls: measured.calls,
        agents: measured.agents,
        metrics: measured.metrics,
        probes: measured.probes,
        servers: measured.servers,
        serving: measured.serving,
        fallback_of: task.fallback_of.cloned(),
        rerun_of: task.rerun_of,
        tokens: measured.tokens,
        command: measured.command,
        sampling: measured.sampling,
        wire: measured.wire,
        recomputed: Vec::new(),
        files: BTreeMap::new(),
    };
    let place = task.folder.join(task.repeat.to_string());
    // That it was begun: the line of its end may be lost with the machine.
    means.journal.sync()?;
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
    left: Failed,
    started: String,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Ended, ExecError> {
    let Failed { fault, servers } = left;
    let message = fault.to_string();
    let calls = artifacts::left_calls(partial);
    let (server_error, http_status) = match artifacts::server_error(&calls) {
        Some((error, status)) => (Some(error), status),
        None => (None, None),
    };
    let cancelled = matches!(fault, AttemptFault::Cancelled);
    let failure = Failure {
        cell: Some(task.id.to_owned()),
        attempt: Some(task.attempt),
        identity: Some(task.cell.identity.clone()),
        server_error,
        http_status,
        gpu_memory_peak_mb: metrics::gpu_memory_peak_mb(partial),
        servers,
        // Who abandons a run wants to be let go.
        gpus: if cancelled { None } else { memory::of_gpus(means.driver) },
        calls: artifacts::outcomes(&calls),
        started: Some(started),
        ..Failure::new(task.name.to_owned(), task.repeat, fault.cause(), message.clone())
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
        is_final: fault.is_final(),
        refused: fault.is_refusal(),
        unreached: fault.unreached(task.cell).map(str::to_owned),
        cancelled,
        busy: Busy::of(&calls),
        kept,
    })
}
