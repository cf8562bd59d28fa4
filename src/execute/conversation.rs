//! What a runtime says on standard output, in order and in time.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use formats::protocol::{Event, PROTOCOL};

use super::fault::AgentFault;
use super::{ExecEvent, Limits};

/// How far the runtime is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Starting,
    Calling,
    /// It said `done` or `error` and should end.
    Ending,
}

/// The state of one conversation.
pub struct Conversation<'a> {
    limits: &'a Limits,
    overall: Duration,
    phase: Phase,
    since: Instant,
    ready_ns: Option<u64>,
    done: bool,
    gave_up: Option<String>,
    milestones: usize,
    /// Start of each call, nanoseconds.
    calls: HashMap<(String, u32), u64>,
}

impl<'a> Conversation<'a> {
    /// `overall`: longest time from `ready` to `done`.
    pub fn new(now: Instant, limits: &'a Limits, overall: Duration) -> Self {
        Self {
            limits,
            overall,
            phase: Phase::Starting,
            since: now,
            ready_ns: None,
            done: false,
            gave_up: None,
            milestones: 0,
            calls: HashMap::new(),
        }
    }

    /// Takes one line and passes on what it says. Empty lines mean nothing.
    pub fn hear(&mut self, line: &[u8], emit: &mut dyn FnMut(ExecEvent)) -> Result<(), AgentFault> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let event: Event = serde_json::from_slice(line).map_err(|error| AgentFault::Garbage {
            line: excerpt(line),
            reason: error.to_string(),
        })?;
        match event {
            Event::Ready { t_ns, protocol, .. } => {
                if protocol != PROTOCOL {
                    return Err(AgentFault::Protocol(protocol));
                }
                self.ready_ns = Some(t_ns);
                self.enter(Phase::Calling);
            }
            Event::CallStarted { t_ns, agent, call, warmup } => {
                self.calls.insert((agent.clone(), call), t_ns);
                emit(ExecEvent::CallStarted { agent, call, warmup });
            }
            Event::FirstToken { t_ns, agent, call } => {
                let started = self.calls.get(&(agent.clone(), call)).copied();
                let ttft = t_ns.saturating_sub(started.unwrap_or(t_ns));
                emit(ExecEvent::FirstToken { agent, call, ttft: Duration::from_nanos(ttft) });
            }
            Event::Progress { agent, call, chunks, .. } => {
                emit(ExecEvent::Progress { agent, call, chunks });
            }
            Event::CallFinished { agent, call, outcome, tokens, .. } => {
                self.milestones += 1;
                emit(ExecEvent::CallFinished { agent, call, outcome, tokens });
            }
            Event::PassStarted { mode, pass, passes, warmup, .. } => {
                self.milestones += 1;
                emit(ExecEvent::PassStarted { mode, pass, passes, warmup });
            }
            Event::Done { .. } => {
                self.done = true;
                self.enter(Phase::Ending);
            }
            Event::Error { message } => {
                self.gave_up = Some(message);
                self.enter(Phase::Ending);
            }
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase) {
        self.milestones += 1;
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Grows with every phase, with every call that ended, and with passes that begin.
    pub fn milestones(&self) -> usize {
        self.milestones
    }

    /// Whether the runtime is making its calls: from `ready` to `done`.
    pub fn is_calling(&self) -> bool {
        matches!(self.phase, Phase::Calling)
    }

    /// Whether the phase lasts longer than it may.
    pub fn check_time(&self, now: Instant) -> Result<(), AgentFault> {
        let passed = now.saturating_duration_since(self.since);
        match self.phase {
            Phase::Starting if passed > self.limits.startup => {
                Err(AgentFault::NotReady(self.limits.startup))
            }
            Phase::Calling if passed > self.overall => Err(AgentFault::Overran(self.overall)),
            Phase::Ending if passed > self.limits.after_done => {
                Err(AgentFault::Lingered(self.limits.after_done))
            }
            _ => Ok(()),
        }
    }

    /// What the end of the process means after what it said.
    pub fn judge(
        self,
        status: ExitStatus,
        last_line: impl FnOnce() -> Option<String>,
    ) -> Result<(), AgentFault> {
        match (self.gave_up, self.done, status.success()) {
            (Some(message), _, _) => Err(AgentFault::GaveUp(message)),
            (None, true, true) => Ok(()),
            (None, true, false) => Err(AgentFault::FailedAfterDone { status }),
            (None, false, true) => Err(AgentFault::NotDone),
            (None, false, false) => Err(AgentFault::Died { status, last: last_line() }),
        }
    }

    /// Milliseconds from the start to `ready` by the runtime's own stamp, on the shared clock.
    pub fn startup_ms(&self, started_ns: u64) -> Option<f64> {
        let passed = self.ready_ns?.checked_sub(started_ns)?;
        Some(passed as f64 / 1e6)
    }
}

/// The start of a line, fit for a message.
fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.trim_ascii());
    let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
