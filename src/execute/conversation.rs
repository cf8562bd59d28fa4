//! What a runtime says on standard output, in order and in time.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use formats::protocol::{Event, PROTOCOL, Spec};

use super::fault::AgentFault;
use super::{ExecEvent, Limits};
use crate::shown;

/// How far the runtime is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Starting,
    Calling,
    /// It said `done` or `error` and should end.
    Ending,
}

/// How far a call is.
#[derive(Debug, Clone, Copy)]
enum Call {
    Asked,
    Started { t_ns: u64 },
    Finished { t_ns: u64 },
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
    /// The calls that were asked for, by agent and in their order; no event can add to them.
    calls: HashMap<&'a str, Vec<Call>>,
    has_passes: bool,
}

impl<'a> Conversation<'a> {
    /// About the work of `spec`; `overall`: longest time from `ready` to `done`.
    pub fn new(now: Instant, limits: &'a Limits, overall: Duration, spec: &'a Spec) -> Self {
        let calls = spec.agents.iter();
        Self {
            limits,
            overall,
            phase: Phase::Starting,
            since: now,
            ready_ns: None,
            done: false,
            gave_up: None,
            milestones: 0,
            calls: calls
                .map(|own| (own.name.as_str(), vec![Call::Asked; own.calls.len()]))
                .collect(),
            has_passes: spec.tokenize.is_some(),
        }
    }

    /// Takes one line and passes on what it says. Empty lines mean nothing. An event that does not belong where
    /// it stands ends the conversation: limits of time hang on the order of events.
    pub fn hear(&mut self, line: &[u8], emit: &mut dyn FnMut(ExecEvent)) -> Result<(), AgentFault> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let event: Event = serde_json::from_slice(line).map_err(|error| AgentFault::Garbage {
            line: shown::excerpt(String::from_utf8_lossy(line).trim(), 80),
            reason: error.to_string(),
        })?;
        let out_of_order = match (self.phase, &event) {
            (_, Event::Error { .. }) | (Phase::Starting, Event::Ready { .. }) => None,
            (Phase::Starting, _) => Some("before `ready`"),
            (Phase::Ending, _) => Some("after it said that it was at its end"),
            (Phase::Calling, Event::Ready { .. }) => Some("a second time"),
            (Phase::Calling, _) => None,
        };
        if let Some(why) = out_of_order {
            return Err(AgentFault::Order { event: name(&event), of: String::new(), why });
        }
        match event {
            Event::Ready { t_ns, protocol, .. } => {
                if protocol != PROTOCOL {
                    return Err(AgentFault::Protocol(protocol));
                }
                self.ready_ns = Some(t_ns);
                self.enter(Phase::Calling);
            }
            Event::CallStarted { t_ns, agent, call, warmup } => {
                match self.call("call_started", &agent, call)? {
                    asked @ Call::Asked => *asked = Call::Started { t_ns },
                    _ => return Err(order("call_started", &agent, call, "a second time")),
                }
                emit(ExecEvent::CallStarted { agent, call, warmup });
            }
            Event::FirstToken { t_ns, agent, call } => {
                let started_ns = self.started_ns("first_token", &agent, call)?;
                let ttft = Duration::from_nanos(t_ns.saturating_sub(started_ns));
                emit(ExecEvent::FirstToken { agent, call, ttft });
            }
            Event::Progress { agent, call, chunks, .. } => {
                self.started_ns("progress", &agent, call)?;
                emit(ExecEvent::Progress { agent, call, chunks });
            }
            Event::CallFinished { agent, call, outcome, tokens, .. } => {
                let own = self.call("call_finished", &agent, call)?;
                match *own {
                    Call::Started { t_ns } => *own = Call::Finished { t_ns },
                    Call::Asked => {
                        return Err(order("call_finished", &agent, call, "before it had started"));
                    }
                    Call::Finished { .. } => {
                        return Err(order("call_finished", &agent, call, "a second time"));
                    }
                }
                self.milestones += 1;
                emit(ExecEvent::CallFinished { agent, call, outcome, tokens });
            }
            Event::PassStarted { mode, pass, passes, warmup, .. } => {
                if !self.has_passes {
                    let (event, of, why) =
                        ("pass_started", String::new(), "and no passes were asked for");
                    return Err(AgentFault::Order { event, of, why });
                }
                self.milestones += 1;
                emit(ExecEvent::PassStarted { mode, pass, passes, warmup });
            }
            Event::Done { .. } => {
                self.done = true;
                self.enter(Phase::Ending);
            }
            Event::Error { message } => {
                if !matches!(self.phase, Phase::Ending) {
                    self.enter(Phase::Ending);
                }
                self.gave_up.get_or_insert(message);
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        event: &'static str,
        agent: &str,
        call: u32,
    ) -> Result<&mut Call, AgentFault> {
        let own = self.calls.get_mut(agent).and_then(|calls| calls.get_mut(call as usize));
        own.ok_or_else(|| order(event, agent, call, "which was not asked for"))
    }

    /// When a call that has started did so.
    fn started_ns(
        &mut self,
        event: &'static str,
        agent: &str,
        call: u32,
    ) -> Result<u64, AgentFault> {
        match *self.call(event, agent, call)? {
            Call::Started { t_ns } | Call::Finished { t_ns } => Ok(t_ns),
            Call::Asked => Err(order(event, agent, call, "before it had started")),
        }
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

fn order(event: &'static str, agent: &str, call: u32, why: &'static str) -> AgentFault {
    let agent = shown::excerpt(agent, 80);
    AgentFault::Order { event, of: format!(" of call {call} of agent `{agent}`"), why }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Ready { .. } => "ready",
        Event::CallStarted { .. } => "call_started",
        Event::FirstToken { .. } => "first_token",
        Event::Progress { .. } => "progress",
        Event::CallFinished { .. } => "call_finished",
        Event::PassStarted { .. } => "pass_started",
        Event::Done { .. } => "done",
        Event::Error { .. } => "error",
    }
}
