//! One command: start it, keep what it says, end it with everything it started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use formats::clock;
use formats::protocol::Window;

use super::streams::{Finished, Kept};
use crate::execute::folder;
use crate::execute::group::Group;
use crate::execute::{Cancel, ExecEvent, Limits};
use crate::metrics::picked::STDOUT_FILE;
use crate::os::orphans::{self, Orphans};
use crate::os::{files, process};
use crate::probe::flamegraph::Recorder;
use crate::store::record::ProcessUsage;

/// File of the command's standard error in the run's folder.
pub const STDERR_FILE: &str = "stderr.txt";
/// How often the command is looked at.
const TICK: Duration = Duration::from_millis(20);
const FINE_TICK: Duration = Duration::from_millis(1);
/// How often the size of its files is looked at.
const SIZE_TICK: Duration = Duration::from_millis(500);
/// How often its orphans are looked for, a look at every thread of this process.
const REAP_TICK: Duration = Duration::from_millis(100);
/// How long to read on after everything of the group is gone.
const DRAIN: Duration = Duration::from_millis(500);

/// What surrounds one command.
pub struct Supervision<'a> {
    pub folder: &'a Path,
    /// Most bytes that the folder may hold.
    pub max_output: u64,
    pub timeout: Duration,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
    pub recorder: Option<&'a mut Recorder>,
    /// Called with the process id right after the start.
    pub on_start: &'a mut dyn FnMut(u32),
    pub emit: &'a mut dyn FnMut(ExecEvent),
}

/// How a command came to its end.
#[derive(Debug)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was ended after its timeout.
    TimedOut,
    /// It was ended because its files had become this many bytes.
    TooMuch(u64),
    Cancelled,
}

/// What is known of a command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub end: End,
    pub usage: ProcessUsage,
    /// From right before the start to the end.
    pub window: Window,
    pub stdout: Finished,
    pub stderr: Finished,
}

/// Why a command could not be run.
#[derive(Debug)]
pub enum Trouble {
    Start(io::Error),
    Watch(io::Error),
    /// What it says cannot be kept.
    Keep(PathBuf, io::Error),
}

/// Runs the command to its end. Nothing that it started in its group is left afterwards.
pub fn run(mut command: Command, supervision: Supervision<'_>) -> Result<Ended, Trouble> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process::lead_group(&mut command);
    process::start_as_copy(&mut command);
    let (stdout_path, stderr_path) =
        (supervision.folder.join(STDOUT_FILE), supervision.folder.join(STDERR_FILE));
    // Before it is started: nothing that it leaves lies in their place.
    let create =
        |path: &PathBuf| files::create(path).map_err(|error| Trouble::Keep(path.clone(), error));
    let (stdout_file, stderr_file) = (create(&stdout_path)?, create(&stderr_path)?);
    let copied = process::copied_bytes();
    let orphans = Orphans::adopt();
    let started_ns = clock::monotonic_ns();
    let mut child = orphans::start(&mut command).map_err(Trouble::Start)?;
    let ended = process::when_ended(&child);
    (supervision.on_start)(child.id());
    let limit = supervision.limits.log_bytes;
    let stdout = Kept::start(child.stdout.take(), stdout_file, limit);
    let stderr = Kept::start(child.stderr.take(), stderr_file, limit);
    let mut watch = Watch {
        group: Group::of_copy(child, copied),
        orphans,
        reaped: Instant::now(),
        supervision,
        started: Instant::now(),
        sized: Instant::now(),
    };
    let end = watch.follow(&ended);
    let (usage, end, end_ns) = watch.end(end)?;
    let finished = |kept: Kept, path: PathBuf| {
        let mut finished = kept.finish(DRAIN);
        match finished.error.take() {
            Some(error) => Err(Trouble::Keep(path, error)),
            None => Ok(finished),
        }
    };
    let stdout = finished(stdout, stdout_path)?;
    let stderr = finished(stderr, stderr_path)?;
    let window = Window { start_ns: started_ns, end_ns };
    Ok(Ended { end, usage, window, stdout, stderr })
}

struct Watch<'a> {
    group: Group,
    orphans: Orphans,
    reaped: Instant,
    supervision: Supervision<'a>,
    started: Instant,
    sized: Instant,
}

impl Watch<'_> {
    /// Until the command has ended by itself (`Ok`, with the time), or until there is a reason to
    /// end it.
    fn follow(&mut self, ended: &Receiver<u64>) -> Result<u64, End> {
        loop {
            if self.supervision.cancel.is_news() {
                (self.supervision.emit)(ExecEvent::Stopping);
            }
            if self.supervision.cancel.is_urgent() {
                return Err(End::Cancelled);
            }
            if self.started.elapsed() > self.supervision.timeout {
                return Err(End::TimedOut);
            }
            if self.sized.elapsed() > SIZE_TICK {
                self.check_size()?;
            }
            if self.reaped.elapsed() > REAP_TICK {
                self.orphans.reap();
                self.reaped = Instant::now();
            }
            if let Some(recorder) = &mut self.supervision.recorder {
                recorder.attach(self.group.id());
                recorder.check(self.supervision.limits.grace);
            }
            match ended.recv_timeout(TICK) {
                Ok(end_ns) => return Ok(end_ns),
                Err(RecvTimeoutError::Timeout) => {}
                // Where the system cannot wait for it in a thread of its own.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(FINE_TICK),
            }
            if self.group.has_ended().unwrap_or(false) {
                return Ok(ended.try_recv().unwrap_or_else(|_| clock::monotonic_ns()));
            }
        }
    }

    fn check_size(&mut self) -> Result<(), End> {
        let bytes = folder::size(self.supervision.folder);
        self.sized = Instant::now();
        if bytes > self.supervision.max_output { Err(End::TooMuch(bytes)) } else { Ok(()) }
    }

    /// Ends the group and reaps the command.
    fn end(mut self, end: Result<u64, End>) -> Result<(ProcessUsage, End, u64), Trouble> {
        let Supervision { limits, recorder, .. } = self.supervision;
        // What fills the disk is not asked: it could go on for as long as it is waited for.
        if end.as_ref().is_err_and(|end| !matches!(end, End::TooMuch(_))) {
            self.group.ask_to_end(limits.grace);
        }
        // Before they are killed: nobody waits for them.
        let leader = self.group.id();
        let left_cpu_s = self.orphans.left_s(leader);
        let (status, usage) = self.group.end(recorder, limits.grace).map_err(Trouble::Watch)?;
        self.orphans.clear(leader);
        let usage = ProcessUsage { left_cpu_s, ..usage };
        Ok(match end {
            Ok(end_ns) => (usage, End::Exited(status), end_ns),
            Err(end) => (usage, end, clock::monotonic_ns()),
        })
    }
}
