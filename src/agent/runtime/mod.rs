//! The Rust runtime: all agents of a spec as tasks of one event loop on one thread.
//!
//! One loop serving several streams is what is studied, so there are no worker threads. Records stay
//! in memory until every call has ended; nothing is written to disk in the measured window.

mod artifacts;
mod call;
mod check;
mod cost;
mod events;
mod lag;
mod pieces;
mod stream;
mod taker;
#[cfg(test)]
mod tests;
mod throttle;
mod tokenize;
mod variant;
mod workflow;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, watch};

use self::call::{AgentLog, Caller, Settings};
use self::events::Events;
use self::lag::{Lag, Probe};
use super::protocol::{ClockPair, Event, PROTOCOL, ProbeSpec, RuntimeInfo, Window};
use crate::endpoint::EndpointError;
use crate::os;

/// Reads an environment variable; keys never stand in a spec.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a runtime's work ended when it could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Everything asked for is written; calls may have failed, which their records say.
    Done,
    /// Calls were cut short from outside; what there is of them is written.
    Cancelled,
}

/// Why a runtime could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("the spec is no JSON of this protocol: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("the spec asks for protocol {0}, this runtime speaks protocol {PROTOCOL}")]
    Protocol(u64),
    #[error("agent {agent:?}: {reason}")]
    Agent { agent: String, reason: String },
    #[error("agent {agent:?}: {source}")]
    Endpoint { agent: String, source: EndpointError },
    #[error("agent {agent:?}: the environment variable {variable} with its API key is not set")]
    KeyMissing { agent: String, variable: String },
    #[error("{0}")]
    Spec(String),
    #[error("cannot start the event loop: {0}")]
    EventLoop(io::Error),
    #[error("the loop-lag probe's timer failed: {0}")]
    Timer(io::Error),
    #[error("cannot write {path}: {source}")]
    Artifact { path: PathBuf, source: io::Error },
    #[error("cannot write events: {0}")]
    Output(io::Error),
    #[error("tokenize: {0}")]
    Tokenizer(String),
    #[error("an agent's task ended without its records")]
    TaskLost,
}

impl RuntimeError {
    /// Whether the spec is at fault, and not this machine.
    #[must_use]
    pub fn is_spec(&self) -> bool {
        !matches!(
            self,
            Self::EventLoop(_)
                | Self::Timer(_)
                | Self::Artifact { .. }
                | Self::Output(_)
                | Self::TaskLost
        )
    }
}

/// Does what a spec asks for and writes events to `output`.
///
/// `cancelled` turning true ends the running calls; their records are still written. An error is
/// also said as an event.
pub fn run(
    spec: &str,
    output: impl Write + Send + 'static,
    environment: Environment<'_>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let events = Events::start(output);
    let result = work(spec, &events, environment, cancelled);
    if let Err(error) = &result {
        events.send(Event::Error { message: error.to_string() });
    }
    let written = events.close();
    let finish = result?;
    written.map_err(RuntimeError::Output)?;
    Ok(finish)
}

fn work(
    spec: &str,
    events: &Events,
    environment: Environment<'_>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let (spec, variant) = check::spec(spec)?;
    if let Some(asked) = &spec.tokenize {
        return tokenize::work(&spec, asked, events, cancelled);
    }
    let settings = Arc::new(Settings::of(&spec, variant));
    let callers = spec.agents.iter().map(|agent| {
        let access = check::access(agent, environment)?;
        Ok(Caller::new(Arc::clone(&settings), agent.clone(), access, events.clone()))
    });
    let callers = callers.collect::<Result<Vec<_>, RuntimeError>>()?;
    let event_loop = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RuntimeError::EventLoop)?;

    let clock = ClockPair { monotonic_ns: os::monotonic_ns(), utc: os::utc_now() };
    events.send(Event::Ready { t_ns: clock.monotonic_ns, protocol: PROTOCOL, runtime: info() });
    let recorded = event_loop.block_on(record(&spec.probes, callers, cancelled))?;
    artifacts::write(&spec, info(), clock, recorded)?;
    events.send(Event::Done { t_ns: os::monotonic_ns() });
    Ok(if *cancelled.borrow() { Finish::Cancelled } else { Finish::Done })
}

/// What is in memory when the last call has ended.
#[derive(Debug)]
struct Recorded {
    logs: Vec<AgentLog>,
    idle: Option<Window>,
    lag: Option<Lag>,
}

/// Everything that happens on the event loop: the idle control, then all calls, the probes through
/// both.
async fn record(
    probes: &ProbeSpec,
    callers: Vec<Caller>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Recorded, RuntimeError> {
    let lag = probes.loop_lag_ns.map(Probe::start);
    let idle = match probes.idle_ns {
        Some(length_ns) => Some(idle(length_ns, cancelled.clone()).await),
        None => None,
    };
    // Warm-up ends for all before any measured call begins.
    let barrier = Arc::new(Barrier::new(callers.len()));
    let tasks = callers
        .into_iter()
        .map(|caller| tokio::spawn(caller.make_calls(Arc::clone(&barrier), cancelled.clone())));
    let tasks: Vec<_> = tasks.collect();
    let mut logs = Vec::new();
    for task in tasks {
        logs.push(task.await.map_err(|_| RuntimeError::TaskLost)?);
    }
    let lag = match lag {
        Some(probe) => Some(probe.stop().await?),
        None => None,
    };
    Ok(Recorded { logs, idle, lag })
}

/// Leaves the loop to the probes for a while, or until all is cancelled.
async fn idle(length_ns: u64, mut cancelled: watch::Receiver<bool>) -> Window {
    let start_ns = os::monotonic_ns();
    let stopped = async {
        // A sender that is gone cannot cancel any more.
        if cancelled.wait_for(|&cancelled| cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // Either end of it is the end of the window.
    let _ = tokio::time::timeout(Duration::from_nanos(length_ns), stopped).await;
    Window { start_ns, end_ns: os::monotonic_ns() }
}

fn info() -> RuntimeInfo {
    let details = [("event_loop", "tokio, one thread"), ("http", "hyper")];
    RuntimeInfo {
        name: "rust".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        details: BTreeMap::from(details.map(|(key, value)| (key.to_owned(), value.to_owned()))),
    }
}
