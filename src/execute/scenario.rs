//! Scenario runs: agents of one runtime process call endpoints, as the agent protocol says.
//!
//! From the spec that the process gets to the metrics of what it left; sealing or keeping it is left
//! to [`super::attempt`].

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::attempt::{Failed, LOG_FILE, Means, Measured, SPEC_FILE, Task};
use super::fault::AttemptFault;
use super::flamegraph::Flamegraph;
use super::memory::Servers;
use super::process::{Supervision, supervise};
use super::request::{IDLE, Request};
use super::sampling::{self, Samplers};
use super::{ExecError, Limits, artifacts, derived, workflow};
use crate::agent::protocol::{AgentRecord, Spec, Window};
use crate::metrics::{Conditions, Work};
use crate::plan::{CellSpec, ScenarioWork};
use crate::probe::flamegraph::Recorder;
use crate::store::StoreError;
use crate::store::record::ProcessUsage;

/// Makes the calls and computes what they tell. The inner error is the attempt's, the outer one means
/// that nothing more can be stored.
pub(super) fn measure(
    task: &Task<'_>,
    scenario: &ScenarioWork,
    run: &str,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Result<Measured, Failed>, ExecError> {
    let paced = means.paced.urls();
    let spec = Request {
        cell: task.cell,
        scenario,
        id: task.id,
        session: means.session,
        repeat: task.repeat,
        attempt: task.attempt,
        run,
        artifacts: partial,
        paced: &paced,
    }
    .spec();
    let mut servers = Servers::of(scenario, &paced);
    if scenario.cold
        && let Err(fault) = servers.unload(means.limits.unload)
    {
        return Ok(Err(Failed { fault, servers: servers.look() }));
    }
    let mut flamegraph = Flamegraph::new(task.cell, partial, means.py_spy);
    let (mut usage, result, sampled) = match flamegraph.refusal() {
        Some(fault) => (ProcessUsage::default(), Err(fault), sampling::Outcome::default()),
        None => watch(task, scenario, &spec, partial, flamegraph.recorder(), means)?,
    };
    let servers = servers.look();
    if spec.variant.get("processes").is_some_and(|processes| processes == "agent") {
        // The system tells the peak of the largest of several processes, which is nobody's.
        usage.peak_rss_mb = None;
    }
    means.paced.write_sends(run, partial).map_err(|error| ExecError::sends(partial, error))?;
    let judged = result.and_then(|()| {
        let record = artifacts::check(partial, &spec)?;
        workflow::check(partial, &spec, scenario, &record)?;
        sampled.check(all_calls(&record))?;
        let conditions = Conditions { throttled: scenario.throttle.is_some(), cold: scenario.cold };
        let metrics = Work::Scenario(conditions).metrics(partial, &usage)?;
        Ok((record, metrics, flamegraph.finish()?))
    });
    let (agent, computed, mut probes) = match judged {
        Ok(judged) => judged,
        Err(fault) => return Ok(Err(Failed { fault, servers })),
    };
    if let Err(fault) = derived::write(partial, &agent)? {
        return Ok(Err(Failed { fault, servers }));
    }
    probes.extend(sampled.probes);
    Ok(Ok(Measured {
        info: Some(agent.runtime),
        usage,
        calls: computed.calls,
        metrics: computed.run,
        probes,
        sampling: sampled.sampling,
        servers,
        ..Measured::default()
    }))
}

/// From the first start to the last end, warm-up included.
fn all_calls(record: &AgentRecord) -> Option<Window> {
    let start_ns = record.calls.iter().map(|call| call.start_ns).min()?;
    let end_ns = record.calls.iter().map(|call| call.end_ns).max()?;
    Some(Window { start_ns, end_ns })
}

/// What became of the agent's process and of the sampling probes around it.
type Watched = (ProcessUsage, Result<(), AttemptFault>, sampling::Outcome);

/// Runs the agent's process with the sampling probes around it. What they saw is written also when
/// the agent fails.
fn watch(
    task: &Task<'_>,
    scenario: &ScenarioWork,
    spec: &Spec,
    partial: &Path,
    recorder: Option<&mut Recorder>,
    means: &mut Means<'_>,
) -> Result<Watched, ExecError> {
    let samplers = Samplers::start(task.cell, means.driver.get());
    let driven = match samplers.refusal() {
        Some(fault) => Ok((ProcessUsage::default(), Err(fault))),
        None => drive(task, scenario, spec, partial, recorder, &samplers, means),
    };
    // Whatever became of it, no probe goes on.
    let sampled = samplers.finish(partial)?;
    let (usage, result) = driven?;
    Ok((usage, result, sampled))
}

/// Runs the agent's process.
fn drive(
    task: &Task<'_>,
    scenario: &ScenarioWork,
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
        journaled = journal.write(task.started(pid));
    };
    let supervision = Supervision {
        limits: means.limits,
        overall: overall_limit(task.cell, scenario, means.limits),
        cancel: means.cancel,
        recorder,
        on_start: &mut on_start,
        on_milestone: &|| samplers.note_milestone(),
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
    let mut kept = Spec { artifacts: ".".into(), ..spec.clone() };
    if let Some(asked) = &mut kept.tokenize {
        let parts = asked.modes.iter_mut().filter_map(|mode| mode.parts.as_mut());
        for file in parts.chain([&mut asked.tokenizer, &mut asked.corpus]) {
            *file = file.file_name().map(Into::into).unwrap_or_default();
        }
    }
    let kept = serde_json::to_vec_pretty(&kept).map_err(malformed)?;
    fs::write(path, kept).map_err(StoreError::io("write", path))?;
    Ok(text)
}

/// The idle control, all calls of the longest stream one after the other at their limit, and the
/// slack.
pub(super) fn overall_limit(cell: &CellSpec, scenario: &ScenarioWork, limits: &Limits) -> Duration {
    let idle = if scenario.idle { IDLE } else { Duration::ZERO };
    let longest = scenario.agents.iter().map(|agent| agent.work.prompts().len()).max();
    let calls = longest.and_then(|calls| u32::try_from(calls).ok()).unwrap_or(1);
    let calls = scenario.warmup.saturating_add(1).saturating_mul(calls);
    cell.timeout.saturating_mul(calls).saturating_add(idle).saturating_add(limits.slack)
}
