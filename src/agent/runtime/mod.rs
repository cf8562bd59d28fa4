//! The Rust runtime: all agents of a spec as tasks of one event loop on one thread.
//!
//! One loop serving several streams is what is studied, so there are no worker threads. Records stay
//! in memory until every call has ended; nothing is written to disk in the measured window.

mod artifacts;
mod call;
mod check;
mod events;
mod link;
mod stream;
mod taker;
#[cfg(test)]
mod tests;
mod throttle;
mod workflow;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Barrier, watch};

use self::call::{Caller, Settings};
use self::events::Events;
use super::protocol::{ClockPair, Event, PROTOCOL, RuntimeInfo};
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
    #[error("cannot write {path}: {source}")]
    Artifact { path: PathBuf, source: io::Error },
    #[error("cannot write events: {0}")]
    Output(io::Error),
    #[error("an agent's task ended without its records")]
    TaskLost,
}

impl RuntimeError {
    /// Whether the spec is at fault, and not this machine.
    #[must_use]
    pub fn is_spec(&self) -> bool {
        !matches!(
            self,
            Self::EventLoop(_) | Self::Artifact { .. } | Self::Output(_) | Self::TaskLost
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
    let spec = check::spec(spec)?;
    let settings = Arc::new(Settings::of(&spec));
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
    let logs = event_loop.block_on(async {
        // Warm-up ends for all before any measured call begins.
        let barrier = Arc::new(Barrier::new(callers.len()));
        let tasks = callers.into_iter().map(|caller| {
            event_loop.spawn(caller.make_calls(Arc::clone(&barrier), cancelled.clone()))
        });
        let tasks: Vec<_> = tasks.collect();
        let mut logs = Vec::new();
        for task in tasks {
            logs.push(task.await.map_err(|_| RuntimeError::TaskLost)?);
        }
        Ok::<_, RuntimeError>(logs)
    })?;
    artifacts::write(&spec, info(), clock, logs)?;
    events.send(Event::Done { t_ns: os::monotonic_ns() });
    Ok(if *cancelled.borrow() { Finish::Cancelled } else { Finish::Done })
}

fn info() -> RuntimeInfo {
    let details = [("event_loop", "tokio, one thread"), ("http", "hyper")];
    RuntimeInfo {
        name: "rust".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        details: BTreeMap::from(details.map(|(key, value)| (key.to_owned(), value.to_owned()))),
    }
}
