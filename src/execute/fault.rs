//! Why an attempt gave no run: every way it can end badly has its own words.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use formats::protocol::{Outcome, PROTOCOL};

use super::tokenize::TokenizeFault;
use crate::manifest::study::RetryOn;
use crate::metrics::MetricsError;
use crate::metrics::picked::PickError;
use crate::plan::CellSpec;
use crate::server::ServerError;
use crate::store::failed::CANCELLED;
use crate::workflow::contract::ContractError;

/// Why an attempt gave no run.
#[derive(Debug, thiserror::Error)]
pub enum AttemptFault {
    #[error(transparent)]
    Agent(#[from] AgentFault),
    #[error(transparent)]
    Artifacts(#[from] ArtifactFault),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Tokenize(#[from] TokenizeFault),
    #[error(transparent)]
    Command(#[from] CommandFault),
    #[error("{} {call} of agent `{agent}` ended with {}{}{}",
        if *.warmup { "warm-up call" } else { "call" }, .outcome.name(),
        .status.map(|status| format!(", HTTP {status}")).unwrap_or_default(),
        .error.as_deref().map(|error| format!(": {error}")).unwrap_or_default())]
    Call {
        agent: String,
        call: u32,
        warmup: bool,
        outcome: Outcome,
        /// Of an answer that was an error.
        status: Option<u16>,
        error: Option<String>,
    },
    #[error(
        "the files of the workflow in {} are not those that the manifest was read with; \
         start exec again to measure with them as they are now", .0.display()
    )]
    CorpusChanged(PathBuf),
    #[error("the probe `{probe}` is required and unavailable: {reason}")]
    Probe { probe: &'static str, reason: String },
    #[error(
        "{file} of the probe `{probe}` does not cover the run: with its {rows} rows{of} there is none \
         for {hole_ms:.0} ms, {allowed_ms:.0} ms are allowed{because}"
    )]
    ProbeGap {
        probe: &'static str,
        file: &'static str,
        /// Empty, or whose rows they are.
        of: String,
        rows: usize,
        hole_ms: f64,
        allowed_ms: f64,
        /// Empty, or a colon and why.
        because: String,
    },
    #[error(
        "the server of endpoint `{endpoint}` was to unload its models for a cold run: {source}"
    )]
    Unload { endpoint: String, source: ServerError },
    #[error("abandoned by the user")]
    Cancelled,
}

impl AttemptFault {
    /// The cause by the name that failures are filed under.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Artifacts(_)
            | Self::Metrics(_)
            | Self::Tokenize(TokenizeFault::Record { .. }) => "artifacts",
            Self::Command(fault) => fault.cause(),
            Self::Probe { .. } | Self::ProbeGap { .. } => "probe",
            Self::Unload { .. } => "unload",
            Self::CorpusChanged(_) | Self::Tokenize(TokenizeFault::Corpus(_)) => "corpus",
            Self::Tokenize(TokenizeFault::File(_)) => "tokenizer",
            Self::Cancelled => CANCELLED,
            Self::Call { outcome, .. } => match outcome {
                Outcome::Timeout => "timeout",
                Outcome::ConnectError => "connect",
                Outcome::HttpError => "http_error",
                Outcome::InBandError => "in_band_error",
                Outcome::Truncated => "truncated",
                Outcome::Malformed => "malformed",
                Outcome::Refused => "refused",
                Outcome::Empty => "empty",
                Outcome::ContextFull => "context_full",
                Outcome::NotStreamed => "not_streamed",
                Outcome::OtherModel => "other_model",
                Outcome::Ok | Outcome::Length | Outcome::TooShort | Outcome::Cancelled => "agent",
            },
        }
    }

    /// Whether it says who may ask, or how often, and nothing of what is asked: a fallback would be
    /// refused like it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Call { status: Some(401 | 403 | 407 | 429), .. })
    }

    /// Whether the same request would be answered in the same way: an HTTP status that says so of what was
    /// asked, and not of how busy or broken the server is.
    #[must_use]
    pub fn is_final(&self) -> bool {
        const LATER: [u16; 3] = [408, 425, 429];
        let Self::Call { outcome: Outcome::HttpError, status: Some(status), .. } = self else {
            return false;
        };
        (300..500).contains(status) && !LATER.contains(status)
    }

    /// The endpoint that took no connection.
    #[must_use]
    pub fn unreached<'c>(&'c self, cell: &'c CellSpec) -> Option<&'c str> {
        match self {
            Self::Call { agent, outcome: Outcome::ConnectError, .. } => {
                let caller = cell.agents().iter().find(|own| own.name == *agent)?;
                Some(&caller.endpoint_name)
            }
            Self::Unload { endpoint, source: ServerError::Unreachable { .. } } => Some(endpoint),
            _ => None,
        }
    }

    /// The cause as a retry policy names it; `None`: never retried.
    #[must_use]
    pub fn retry_cause(&self) -> Option<RetryOn> {
        match self {
            Self::Agent(_)
            | Self::Artifacts(_)
            | Self::Metrics(_)
            | Self::Tokenize(TokenizeFault::Record { .. }) => Some(RetryOn::Agent),
            Self::Command(fault) => fault.retry_cause(),
            Self::Cancelled
            | Self::CorpusChanged(_)
            | Self::Tokenize(TokenizeFault::File(_) | TokenizeFault::Corpus(_))
            | Self::Probe { .. }
            | Self::ProbeGap { .. }
            // The same question would be answered in the same way.
            | Self::Call {
                outcome: Outcome::ContextFull | Outcome::NotStreamed | Outcome::OtherModel,
                ..
            } => None,
            Self::Unload { .. } => Some(RetryOn::Connect),
            Self::Call { outcome, .. } => Some(match outcome {
                Outcome::Timeout => RetryOn::Timeout,
                Outcome::ConnectError => RetryOn::Connect,
                Outcome::HttpError => RetryOn::HttpError,
                Outcome::InBandError => RetryOn::InBandError,
                Outcome::Truncated => RetryOn::Truncated,
                Outcome::Malformed => RetryOn::Malformed,
                Outcome::Refused => RetryOn::Refused,
                Outcome::Empty => RetryOn::Empty,
                _ => RetryOn::Agent,
            }),
        }
    }
}

/// A command did not do what was declared of it.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    #[error(
        "cannot start `{program}` (line {line} of the manifest): {source}; a name without a folder \
         is looked for on PATH, a path starts at the manifest's folder and must be executable"
    )]
    Start { program: String, line: usize, source: std::io::Error },
    #[error("cannot watch the command's process: {0}")]
    Watch(std::io::Error),
    #[error("the command ended with {status}; {}", match .last {
        Some(last) => format!("its standard error ends with: {last}"),
        None => "it wrote nothing to standard error".to_owned(),
    })]
    Status { status: ExitStatus, last: Option<String> },
    #[error(
        "the command still ran after {0:?} and was ended with everything it had started; raise \
         `timeout` if it may take longer"
    )]
    TimedOut(Duration),
    #[error("the command did not leave {missing} below {{out}}, which the manifest declares; {}",
        if .found.is_empty() { "it left nothing there".to_owned() }
        else { format!("it left {found} there") })]
    Missing { missing: String, found: String },
    #[error(
        "the input {} is not what the manifest was read with; start exec again to measure with it \
         as it is now", .0.display()
    )]
    Input(PathBuf),
    #[error(transparent)]
    Pick(PickError),
}

impl CommandFault {
    fn cause(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "timeout",
            Self::Start { .. } | Self::Watch(_) | Self::Status { .. } => "command",
            Self::Missing { .. } | Self::Pick(_) => "artifacts",
            Self::Input(_) => "inputs",
        }
    }

    fn retry_cause(&self) -> Option<RetryOn> {
        match self {
            Self::TimedOut(_) => Some(RetryOn::Timeout),
            Self::Start { .. } | Self::Input(_) => None,
            _ => Some(RetryOn::Agent),
        }
    }
}

/// The agent's process did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    #[error("cannot start the runtime `{program}`: {source}; check its `command` in the manifest")]
    Start { program: String, source: std::io::Error },
    #[error("cannot watch the runtime's process: {0}")]
    Watch(std::io::Error),
    #[error(
        "the runtime speaks version {0} of the agent protocol, this runner version {PROTOCOL}; \
         use versions that fit together"
    )]
    Protocol(u32),
    #[error(
        "the runtime wrote to standard output what is no event of the agent protocol: `{line}` \
         ({reason}); only events belong there, free text goes to standard error"
    )]
    Garbage { line: String, reason: String },
    #[error(
        "the runtime sent the event `{event}`{of} {why}; `ready` comes first and once, then the events of the \
         calls that were asked for, and `done` last"
    )]
    Order { event: &'static str, of: String, why: &'static str },
    #[error("the runtime gave up: {0}")]
    GaveUp(String),
    #[error("the runtime ended with {status} before it was done; agent.log may tell why{}",
        .last.as_deref().map(|line| format!(", its last line is `{line}`")).unwrap_or_default())]
    Died { status: ExitStatus, last: Option<String> },
    #[error(
        "the runtime exited with 0 without the event `done`; it must say so when all is written"
    )]
    NotDone,
    #[error("the runtime said `done` and then ended with {status}; it must exit with 0")]
    FailedAfterDone { status: ExitStatus },
    #[error("the runtime was not ready after {0:?}; agent.log may tell why")]
    NotReady(Duration),
    #[error("the runtime still ran {0:?} after it was done or gave up, and was killed")]
    Lingered(Duration),
    #[error(
        "the runtime still ran after {0:?}, longer than all its calls may take together, and was \
         killed; it does not keep the `timeout` of its calls"
    )]
    Overran(Duration),
    #[error("the runtime wrote more than {0} bytes to standard error, and was killed")]
    LogFlood(u64),
}

/// The agent exited well but did not leave what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactFault {
    #[error(
        "what was measured left {name:?}, {reason}; only regular files with names in UTF-8 can be kept"
    )]
    Odd { name: PathBuf, reason: &'static str },
    #[error("what was measured removed its folder, or put something else in its place")]
    NoFolder,
    #[error(
        "what was measured left {bytes} bytes of files, more than the {limit} allowed; they were removed. It \
         must write less, or `max_output` must be raised"
    )]
    TooMuch { bytes: u64, limit: u64 },
    #[error("the runtime left no usable {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{file} holds no record of call {call} of agent `{agent}`, which was asked for")]
    MissingCall { file: &'static str, agent: String, call: u32 },
    #[error("{file} holds a record of call {call} of agent `{agent}`, which was not asked for")]
    ForeignCall { file: &'static str, agent: String, call: u32 },
    #[error("{file} holds a record of call {call} of agent `{agent}` that cannot be: {reason}")]
    Impossible { file: &'static str, agent: String, call: u32, reason: String },
    #[error("the answer of call {call} of agent `{agent}` was not written to {}", path.display())]
    MissingResponse { path: PathBuf, agent: String, call: u32 },
    #[error(transparent)]
    Workflow(ContractError),
    #[error("the header of {file} is `{found}`, it must be `{expected}`")]
    Header { file: &'static str, found: String, expected: String },
    #[error("{file} has {found} rows for {expected} chunks; the probe must record every chunk")]
    Rows { file: &'static str, found: u64, expected: u64 },
    #[error(
        "{file} has {found} wake-ups of a task that slept {sleep_ms} ms{}, at least {least} were to be \
         expected; the probe must run on the agents' own loop from `ready` to the last call's end",
        of_loop.as_ref().map(|agent| format!(" on the loop of {agent:?}")).unwrap_or_default()
    )]
    Samples {
        file: &'static str,
        /// The agent whose own loop it is.
        of_loop: Option<String>,
        found: usize,
        least: f64,
        sleep_ms: f64,
    },
    #[error("the idle control was asked for, but {reason}")]
    Idle { reason: String },
}
