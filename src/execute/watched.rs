//! A runtime's process with the sampling probes around it: from the spec on its standard input to its end.

use std::path::Path;
use std::time::Duration;

use formats::protocol::Spec;

use super::ExecError;
use super::attempt::{LOG_FILE, Means, SPEC_FILE, Task};
use super::fault::AttemptFault;
use super::folder;
use super::machine::Look;
use super::process::{Supervision, supervise};
use super::sampling::{self, Samplers};
use crate::os::files;
use crate::probe::flamegraph::Recorder;
use crate::store::StoreError;
use crate::store::record::{MachineTime, ProcessUsage};

/// What became of the process and of the probes.
pub(super) struct Watched {
    pub usage: ProcessUsage,
    /// What the machine did meanwhile.
    pub machine: Option<MachineTime>,
    pub result: Result<(), AttemptFault>,
    pub sampled: sampling::Outcome,
}

impl Watched {
    /// It was not even started.
    pub fn refused(fault: AttemptFault) -> Self {
        Self {
            usage: ProcessUsage::default(),
            machine: None,
            result: Err(fault),
            sampled: sampling::Outcome::default(),
        }
    }
}

/// Runs the process, which may take `overall` from `ready` to `done`. What the probes saw is written
/// also when it fails.
pub(super) fn watch(
    task: &Task<'_>,
    spec: &Spec,
    overall: Duration,
    partial: &Path,
    recorder: Option<&mut Recorder>,
    means: &mut Means<'_>,
) -> Result<Watched, ExecError> {
    let samplers = Samplers::start(task.cell, means.driver.get());
    let driven = match samplers.refusal() {
        Some(fault) => Ok((ProcessUsage::default(), None, Err(fault))),
        None => drive(task, spec, overall, partial, recorder, &samplers, means),
    };
    // Whatever became of it, no probe goes on.
    let sampled = samplers.finish(partial)?;
    let (usage, machine, result) = driven?;
    sampled.tell_losses(task, &mut *means.emit);
    Ok(Watched { usage, machine, result, sampled })
}

/// What the process used and what the machine did meanwhile, and how it ended.
type Driven = (ProcessUsage, Option<MachineTime>, Result<(), AttemptFault>);

fn drive(
    task: &Task<'_>,
    spec: &Spec,
    overall: Duration,
    partial: &Path,
    recorder: Option<&mut Recorder>,
    samplers: &Samplers,
    means: &mut Means<'_>,
) -> Result<Driven, ExecError> {
    let text = write_spec(&partial.join(SPEC_FILE), spec)?;
    let mut journaled = Ok(());
    let journal = &mut *means.journal;
    let mut on_start = |pid| {
        samplers.watch_agent(pid);
        journaled = journal.note(task.started(pid));
    };
    let supervision = Supervision {
        limits: means.limits,
        spec,
        folder: (partial, task.cell.max_output),
        secrets: means.secrets,
        overall,
        cancel: means.cancel,
        recorder,
        on_start: &mut on_start,
        on_milestone: &|| samplers.note_milestone(),
        emit: &mut *means.emit,
    };
    let command = means.runtimes.command(task.cell, means.study_folder);
    let look = Look::begin(task.cell, means.server_processes);
    let (usage, result) = supervise(command, text, &partial.join(LOG_FILE), supervision);
    let machine = look.and_then(|look| look.end(&usage));
    let result = folder::settle(partial, task.cell.max_output, means.secrets, result)?;
    journaled?;
    Ok((usage, machine, result))
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
    files::write(path, &kept).map_err(StoreError::io("write", path))?;
    Ok(text)
}
