//! Command runs: any program, started without a shell, measured from outside; metrics come from the
//! files that it leaves.

mod process;
mod streams;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ExecError;
use super::ExecEvent;
use super::attempt::{Means, Measured, Task};
use super::fault::{ArtifactFault, AttemptFault, CommandFault};
use super::flamegraph::Flamegraph;
use super::folder;
use super::machine::Look;
use super::sampling::{self, Samplers};
use crate::manifest::command::{self as declared};
use crate::manifest::template::{Place, Template};
use crate::metrics::picked::{self, OUT_DIR, PickError, Picked};
use crate::metrics::{self, Seen, Work};
use crate::plan::CommandWork;
use crate::store::StoreError;
use crate::store::record::{CommandRecord, MachineTime, Metrics, StreamRecord};
pub(super) use process::STDERR_FILE;
use process::{End, Ended, Supervision, Trouble};

/// Runs the command and picks its metrics. The inner error is the attempt's, the outer one means that
/// nothing more can be stored.
pub(super) fn measure(
    task: &Task<'_>,
    work: &CommandWork,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Result<Measured, AttemptFault>, ExecError> {
    if let Some(changed) = changed_input(work, means.study_folder) {
        return Ok(Err(CommandFault::Input(changed).into()));
    }
    let out = partial.join(OUT_DIR);
    fs::create_dir(&out).map_err(StoreError::io("create", &out))?;
    let mut flamegraph = Flamegraph::new(task.cell, partial, means.py_spy);
    if let Some(fault) = flamegraph.refusal() {
        return Ok(Err(fault));
    }
    let filled = Filled::new(task, work, &out, means.study_folder);
    let samplers = Samplers::start(task.cell, means.driver.get());
    if let Some(fault) = samplers.refusal() {
        samplers.finish(partial)?;
        return Ok(Err(fault));
    }
    let mut journaled = Ok(());
    let journal = &mut *means.journal;
    let mut on_start = |pid| {
        samplers.watch_agent(pid);
        journaled = journal.note(task.started(pid));
    };
    let supervision = Supervision {
        folder: partial,
        max_output: task.cell.max_output,
        timeout: task.cell.timeout,
        limits: means.limits,
        cancel: means.cancel,
        recorder: flamegraph.recorder(),
        on_start: &mut on_start,
        emit: &mut *means.emit,
    };
    let look = Look::begin(task.cell, means.server_processes);
    let ended = process::run(filled.command(work), supervision);
    let usage = ended.as_ref().map(|ended| ended.usage.clone()).unwrap_or_default();
    let machine = look.and_then(|look| look.end(&usage));
    let cleared = folder::clear(partial)?;
    // Whatever became of it, no probe goes on.
    let sampled = samplers.finish(partial)?;
    journaled?;
    sampled.tell_losses(task, &mut *means.emit);
    let ended = match ended {
        Ok(ended) => ended,
        Err(Trouble::Keep(path, source)) => {
            return Err(StoreError::Io { action: "write", path, source }.into());
        }
        Err(Trouble::Watch(source)) => return Ok(Err(CommandFault::Watch(source).into())),
        Err(Trouble::Start(source)) => {
            let (program, line) = (filled.program(), work.line);
            return Ok(Err(CommandFault::Start { program, line, source }.into()));
        }
    };
    let record = CommandRecord {
        words: work.words.iter().map(Template::to_string).collect(),
        env: work.env.iter().filter(|name| std::env::var_os(name).is_some()).cloned().collect(),
        stdout: ended.stdout.record.clone(),
        stderr: ended.stderr.record.clone(),
        window: Some(ended.window),
    };
    for (name, stream) in [("output", &record.stdout), ("error", &record.stderr)] {
        if let Some(message) = cut(name, stream) {
            (means.emit)(ExecEvent::Note { message: format!("{}: {message}", task.name) });
        }
    }
    let window = ended.window;
    let mut unknown = Vec::new();
    let share = metrics::command_cpu_percent(partial, window, &ended.usage);
    let judged = judge(ended, cleared, machine, work, (task, partial), &mut unknown);
    // What could not be read fails the attempt below.
    let no_share = share.ok().flatten().and_then(Result::err);
    let no_share = no_share.map(|reason| format!("`agent_cpu_percent` is unknown: {reason}"));
    unknown.extend(no_share.clone());
    for message in unknown {
        (means.emit)(ExecEvent::Note { message: format!("{}: {message}", task.name) });
    }
    Ok(judged.and_then(|mut measured| {
        sampled.check(Some(window))?;
        measured.command = Some(record);
        measured.probes = flamegraph.finish()?;
        measured.probes.extend(sampled.probes);
        measured.sampling = sampled.sampling;
        if let Some(host) = measured.sampling.get_mut(sampling::HOST) {
            host.notes.extend(no_share);
        }
        Ok(measured)
    }))
}

/// What the end of the command and its files mean. Adds why metrics are unknown that files could tell.
fn judge(
    ended: Ended,
    cleared: Result<(), ArtifactFault>,
    machine: Option<MachineTime>,
    work: &CommandWork,
    (task, partial): (&Task<'_>, &Path),
    unknown: &mut Vec<String>,
) -> Result<Measured, AttemptFault> {
    match ended.end {
        End::Cancelled => return Err(AttemptFault::Cancelled),
        End::TimedOut => return Err(CommandFault::TimedOut(task.cell.timeout).into()),
        End::TooMuch(bytes) => {
            folder::discard(partial);
            return Err(ArtifactFault::TooMuch { bytes, limit: task.cell.max_output }.into());
        }
        End::Exited(status) if !status.success() => {
            return Err(CommandFault::Status { status, last: ended.stderr.last_lines() }.into());
        }
        End::Exited(_) => {}
    }
    cleared?;
    folder::check_size(partial, task.cell.max_output)?;
    check_outputs(&partial.join(OUT_DIR), &work.outputs)?;
    let picked = picked::all(partial, &work.metrics);
    let mut known = Metrics::new();
    for (pick, picked) in work.metrics.iter().zip(picked) {
        if let (declared::STDOUT, Some(reason)) =
            (pick.file.as_str(), cut("output", &ended.stdout.record))
        {
            let metric = pick.name.clone();
            return Err(CommandFault::Pick(PickError { metric, reason }).into());
        }
        let picked = picked.map_err(CommandFault::Pick)?;
        known.insert(pick.name.clone(), picked.value());
        if let Picked::Unknown(Some(reason)) = picked {
            unknown.push(format!("`{}` is unknown: {}: {reason}", pick.name, pick.file));
        }
    }
    // Its files are read already.
    let done = Work::Command { window: Some(ended.window), picks: &[] };
    let seen = Seen { process: &ended.usage, machine: machine.as_ref() };
    let mut metrics = done.metrics(partial, seen)?.run;
    metrics.extend(known);
    Ok(Measured { usage: ended.usage, machine, metrics, ..Measured::default() })
}

/// Files that a message names.
const LISTED: usize = 8;

/// All files that were declared are there.
fn check_outputs(out: &Path, declared: &[String]) -> Result<(), CommandFault> {
    let missing: Vec<&str> =
        declared.iter().map(String::as_str).filter(|file| !out.join(file).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let files = walkdir::WalkDir::new(out).sort_by_file_name().into_iter().flatten();
    let mut found: Vec<String> = files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(out).unwrap_or(entry.path()).display().to_string())
        .take(LISTED + 1)
        .collect();
    if found.len() > LISTED {
        found.truncate(LISTED);
        found.push("…".to_owned());
    }
    Err(CommandFault::Missing { missing: missing.join(", "), found: found.join(", ") })
}

/// Where more was printed than is kept.
fn cut(stream: &str, record: &StreamRecord) -> Option<String> {
    (record.bytes > record.kept).then(|| {
        format!("the first {} bytes of standard {stream} are kept of {}", record.kept, record.bytes)
    })
}

/// The first input whose content is not what the manifest was read with.
fn changed_input(work: &CommandWork, study_folder: &Path) -> Option<PathBuf> {
    work.inputs
        .iter()
        .map(|input| (study_folder.join(&input.path), &input.digest))
        .find(|(path, digest)| declared::digest(path).ok().as_ref() != Some(digest))
        .map(|(path, _)| path)
}

/// A command line with what stands for its places in this run.
struct Filled {
    words: Vec<String>,
    cwd: PathBuf,
    study: PathBuf,
}

impl Filled {
    fn new(task: &Task<'_>, work: &CommandWork, out: &Path, study_folder: &Path) -> Self {
        let study = std::path::absolute(study_folder).unwrap_or_else(|_| study_folder.to_owned());
        let fill = |template: &Template| {
            template.fill(|place| match place {
                Place::Out => out.display().to_string(),
                Place::Study => study.display().to_string(),
                Place::Repeat => task.repeat.to_string(),
            })
        };
        let words = work.words.iter().map(fill).collect();
        let cwd = work.cwd.as_ref().map_or_else(|| study.clone(), |cwd| study.join(fill(cwd)));
        Self { words, cwd, study }
    }

    fn program(&self) -> String {
        self.words.first().cloned().unwrap_or_default()
    }

    /// A program with a folder in its name is found from the study's folder, like every path in a
    /// manifest; a bare name on the search path. Of the environment only what is allowed is left.
    fn command(&self, work: &CommandWork) -> Command {
        let program = self.program();
        let mut command = if program.contains(['/', '\\']) {
            Command::new(self.study.join(program))
        } else {
            Command::new(program)
        };
        let allowed: BTreeMap<&String, _> =
            work.env.iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
        command.args(self.words.iter().skip(1)).current_dir(&self.cwd).env_clear().envs(allowed);
        command
    }
}
