//! One process of a runtime: start it, hear it, end it with everything it started.
//!
//! Knows the events of the protocol, not what they are for: artifacts and metrics are left to others.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use agent::wire::secrets::Secrets;
use formats::clock;
use formats::protocol::Spec;

use super::conversation::Conversation;
use super::fault::{AgentFault, ArtifactFault, AttemptFault};
use super::folder;
use super::group::Group;
use super::{Cancel, ExecEvent, Limits};
use crate::os::{files, orphans, process};
use crate::probe::flamegraph::Recorder;
use crate::shown;
use crate::store::record::ProcessUsage;

/// Longest line that an event may have, bytes.
const LINE_LIMIT: u64 = 64 * 1024;
/// Lines that were read and not heard yet: together with the above what a runtime can have held of its words.
const LINES: usize = 256;
/// How often the size of its files is looked at.
const SIZE_TICK: Duration = Duration::from_secs(1);
/// How often a silent process is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often a process is looked at that has closed its output, or was asked to end.
const FINE_TICK: Duration = Duration::from_millis(1);
/// How long nothing may come after the process ended while something it started holds its output open, and how
/// long it is read at most: what the process said may still be on its way.
const DRAIN: Duration = Duration::from_millis(500);
const MOST_DRAIN: Duration = Duration::from_secs(10);

/// What surrounds one process.
pub struct Supervision<'a> {
    pub limits: &'a Limits,
    /// The calls that it was asked for.
    pub spec: &'a Spec,
    /// The folder for its files, with the most bytes that it may hold.
    pub folder: (&'a Path, u64),
    /// What its words may not be shown with.
    pub secrets: &'a Secrets,
    /// From `ready` to `done`: all calls one after the other, and some more.
    pub overall: Duration,
    pub cancel: &'a Cancel,
    /// Samples the process while it makes its calls.
    pub recorder: Option<&'a mut Recorder>,
    /// Called with the process id right after the start.
    pub on_start: &'a mut dyn FnMut(u32),
    /// Called when the process is ready, has ended a call or says that it is done.
    pub on_milestone: &'a dyn Fn(),
    pub emit: &'a mut dyn FnMut(ExecEvent),
}

/// Starts the runtime, hands it the spec and follows it to its end. Standard error goes to `log`.
///
/// What the process used is told however it ended; unknown is absent.
pub fn supervise<'a>(
    mut command: Command,
    spec: Vec<u8>,
    log: &'a Path,
    supervision: Supervision<'a>,
) -> (ProcessUsage, Result<(), AttemptFault>) {
    let (mut child, started_ns, written) = match start(&mut command, log) {
        Ok(started) => started,
        Err(source) => {
            let program = command.get_program().to_string_lossy().into_owned();
            let fault = AgentFault::Start { program, source };
            return (ProcessUsage::default(), Err(fault.into()));
        }
    };
    let lines = listen(child.stdout.take());
    // It begins when it has its spec: by then a later exec could find and end it.
    (supervision.on_start)(child.id());
    feed(child.stdin.take(), spec);

    let mut watch = Watch {
        group: Group::new(child),
        conversation: Conversation::new(
            Instant::now(),
            supervision.limits,
            supervision.overall,
            supervision.spec,
        ),
        sized: Instant::now(),
        log,
        written,
        supervision,
    };
    let result = watch.follow(&lines);
    watch.end(started_ns, result)
}

/// The process, the monotonic nanoseconds right before it was started, and the file of its log, whatever it puts in
/// the place of that.
fn start(command: &mut Command, log: &Path) -> std::io::Result<(Child, u64, File)> {
    let written = files::create(log)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(written.try_clone()?);
    process::lead_group(command);
    let started_ns = clock::monotonic_ns();
    Ok((orphans::start(command)?, started_ns, written))
}

/// Writes the spec without waiting: a runtime that reads nothing must not hang us. If it ends early
/// the pipe breaks, and its exit says why.
fn feed(stdin: Option<ChildStdin>, spec: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        thread::spawn(move || {
            let _ = stdin.write_all(&spec);
        });
    }
}

/// Lines of standard output, the channel ends with it. A line beyond the limit arrives cut.
fn listen(stdout: Option<ChildStdout>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(LINES);
    if let Some(stdout) = stdout {
        thread::spawn(move || read_lines(stdout, &sender));
    }
    receiver
}

fn read_lines(stdout: ChildStdout, sender: &SyncSender<Vec<u8>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if sender.send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

struct Watch<'a> {
    group: Group,
    conversation: Conversation<'a>,
    sized: Instant,
    log: &'a Path,
    written: File,
    supervision: Supervision<'a>,
}

impl Watch<'_> {
    /// Until the process has ended by itself, or until there is a reason to end it.
    fn follow(&mut self, lines: &Receiver<Vec<u8>>) -> Result<(), AttemptFault> {
        let mut open = true;
        let mut ended_at: Option<Instant> = None;
        let mut heard_at = Instant::now();
        loop {
            if self.supervision.cancel.is_news() {
                (self.supervision.emit)(ExecEvent::Stopping);
            }
            if self.supervision.cancel.is_urgent() {
                return Err(AttemptFault::Cancelled);
            }
            if ended_at.is_none() {
                self.conversation.check_time(Instant::now())?;
                check_log(&self.written, self.supervision.limits.log_bytes)?;
                self.check_size()?;
                if let Some(recorder) = &mut self.supervision.recorder {
                    recorder.check(self.supervision.limits.grace);
                }
                if self.group.has_ended().map_err(AgentFault::Watch)? {
                    ended_at = Some(Instant::now());
                }
            }
            let drained = ended_at.is_some_and(|at| {
                let silent = at.max(heard_at).elapsed() > DRAIN;
                silent || at.elapsed() > MOST_DRAIN
            });
            match (open, ended_at) {
                (false, Some(_)) => return Ok(()),
                (false, None) => thread::sleep(FINE_TICK),
                (true, _) if drained => return Ok(()),
                (true, _) => {
                    match lines.recv_timeout(if ended_at.is_some() { FINE_TICK } else { TICK }) {
                        Ok(mut line) => {
                            self.supervision.secrets.cover(&mut line);
                            self.hear(&line)?;
                            heard_at = Instant::now();
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => open = false,
                    }
                }
            }
        }
    }

    fn check_size(&mut self) -> Result<(), AttemptFault> {
        if self.sized.elapsed() < SIZE_TICK {
            return Ok(());
        }
        let (folder, limit) = self.supervision.folder;
        let bytes = folder::size(folder);
        self.sized = Instant::now();
        if bytes > limit { Err(ArtifactFault::TooMuch { bytes, limit }.into()) } else { Ok(()) }
    }

    fn hear(&mut self, line: &[u8]) -> Result<(), AttemptFault> {
        let before = self.conversation.milestones();
        self.conversation.hear(line, self.supervision.emit)?;
        if self.conversation.milestones() != before {
            (self.supervision.on_milestone)();
            self.group.look_at_memory();
            if let Some(recorder) = &mut self.supervision.recorder {
                if self.conversation.is_calling() {
                    recorder.attach(self.group.id());
                } else {
                    recorder.detach();
                }
            }
        }
        Ok(())
    }

    /// Ends the group and reaps the process.
    fn end(
        mut self,
        started_ns: u64,
        result: Result<(), AttemptFault>,
    ) -> (ProcessUsage, Result<(), AttemptFault>) {
        let startup_ms = self.conversation.startup_ms(started_ns);
        let grace = self.supervision.limits.grace;
        if result.is_err() {
            self.group.ask_to_end(grace);
        }
        let ended = self.group.end(self.supervision.recorder.take(), grace);
        // Also of a process that wrote and ended between two looks at its log.
        let result = cut_log(&self.written, self.supervision.limits.log_bytes, result);
        match ended {
            Ok((status, usage)) => {
                let usage = ProcessUsage { startup_ms, ..usage };
                let last = || last_line(self.log, self.supervision.secrets);
                let judged = result.and_then(|()| Ok(self.conversation.judge(status, last)?));
                (usage, judged)
            }
            Err(error) => {
                let usage = ProcessUsage { startup_ms, ..ProcessUsage::default() };
                (usage, result.and(Err(AgentFault::Watch(error).into())))
            }
        }
    }
}

fn check_log(log: &File, limit: u64) -> Result<(), AgentFault> {
    let length = log.metadata().map_or(0, |log| log.len());
    if length > limit { Err(AgentFault::LogFlood(limit)) } else { Ok(()) }
}

/// Keeps the start of a log that is longer than it may be; nobody writes to it any more.
fn cut_log(log: &File, limit: u64, result: Result<(), AttemptFault>) -> Result<(), AttemptFault> {
    let Err(flood) = check_log(log, limit) else { return result };
    let _ = log.set_len(limit);
    result.and(Err(flood.into()))
}

/// The end of the log, for the message.
fn last_line(log: &Path, secrets: &Secrets) -> Option<String> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = files::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(2048))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    secrets.cover(&mut tail);
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(shown::excerpt(line, 200))
}
