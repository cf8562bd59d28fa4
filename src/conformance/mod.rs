//! Whether a program is a runtime: what its author would otherwise find out run by run.
//!
//! Starts the program against the paced endpoint, whose sends are logged, and compares what it says
//! and leaves with the protocol. Judges only what the protocol asks for, not how fast it is done.

mod cases;
mod failures;
mod probes;
mod process;
mod tokenize;
mod whole_run;
mod workflow;

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use simulator::SimulatorError;

/// One requirement of the protocol and how the program met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub requirement: &'static str,
    pub passed: bool,
    /// The ability is optional, and the program says that it lacks it: it has not passed, and nothing
    /// is wrong with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_supported: bool,
    /// What was seen instead, and what to do; absent when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The check itself could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    #[error("cannot start {program:?}: {source}")]
    Start { program: String, source: io::Error },
    #[error("no command to check")]
    NoCommand,
    #[error("cannot use the temporary folder {path}: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the program's standard output cannot be read")]
    NoOutput,
    #[error("cannot wait for the program's end: {0}")]
    Wait(io::Error),
    #[error("cannot start the paced endpoint: {0}")]
    Simulator(#[from] SimulatorError),
    #[error("cannot ask the paced endpoint: {0}")]
    Reference(io::Error),
}

/// The answer to one requirement: nothing, or a hint.
type Verdict = Result<(), String>;

/// Verdicts in the order of the protocol.
#[derive(Debug, Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn add(&mut self, requirement: &'static str, verdict: Verdict) {
        let hint = verdict.err();
        let passed = hint.is_none();
        self.0.push(Check { requirement, passed, not_supported: false, hint });
    }

    fn add_unsupported(&mut self, requirement: &'static str, hint: String) {
        let hint = Some(hint);
        self.0.push(Check { requirement, passed: false, not_supported: true, hint });
    }
}

/// Checks the runtime that `command` (a program and its arguments) starts; takes some seconds.
pub fn check(command: &[String]) -> Result<Vec<Check>, ConformanceError> {
    let mut findings = Findings::default();
    whole_run::check(command, &mut findings)?;
    probes::check(command, &mut findings)?;
    failures::check(command, &mut findings)?;
    workflow::check(command, &mut findings)?;
    tokenize::check(command, &mut findings)?;
    Ok(findings.0)
}

/// A verdict that holds or gives the hint.
fn expect(holds: bool, hint: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(hint()) }
}
