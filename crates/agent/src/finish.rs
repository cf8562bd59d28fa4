//! How an agent's process ends: with its work done, cut short, or not able to do it.

use std::io;
use std::path::PathBuf;

use formats::protocol::PROTOCOL;

use crate::http::AddressError;
use crate::wire::headers::HeaderError;

/// Reads an environment variable; keys never stand in a spec.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a process's work ended when it could be done.
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
    Endpoint { agent: String, source: AddressError },
    #[error("agent {agent:?}: {source}")]
    Headers { agent: String, source: HeaderError },
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
