//! `runner agent`: the Rust runtime as a process, and the check of other runtimes.

use std::io::{self, Read, Write};

use ::agent::Finish;
use tokio::sync::watch;

use super::{CommandResult, Failure, exit};
use crate::conformance::{self, Check, ConformanceError};

/// Exit code of a process that ended on SIGTERM.
const TERMINATED: u8 = 143;

/// Drive the agents of a run: reads a spec from standard input, writes events to standard output
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check whether COMMAND… is a runtime, requirement by requirement
    #[arg(long, num_args = 1.., value_name = "COMMAND", allow_hyphen_values = true)]
    conformance: Option<Vec<String>>,
    /// Write the check's findings as JSON
    #[arg(long, requires = "conformance")]
    json: bool,
}

pub fn run(args: &Args) -> CommandResult {
    match &args.conformance {
        None => serve(),
        Some(command) => check(command, args.json),
    }
}

fn serve() -> CommandResult {
    let internal = |error: io::Error| Failure::error(exit::INTERNAL, error);
    ::agent::os::end_with_parent().map_err(internal)?;
    let mut spec = String::new();
    io::stdin().read_to_string(&mut spec).map_err(|error| Failure::error(exit::USAGE, error))?;
    ::agent::prepare(&spec);
    // From here on there are threads: of the handler, then of the events.
    let (cancel, cancelled) = watch::channel(false);
    ctrlc::set_handler(move || {
        cancel.send_replace(true);
    })
    .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let environment = |name: &str| std::env::var(name).ok();
    match ::agent::run(&spec, io::stdout(), &environment, &cancelled) {
        Ok(Finish::Done) => Ok(exit::DONE),
        Ok(Finish::Cancelled) => Ok(TERMINATED),
        Err(error) if error.is_spec() => Err(Failure::error(exit::USAGE, error)),
        Err(error) => Err(Failure::error(exit::INTERNAL, error)),
    }
}

fn check(command: &[String], json: bool) -> CommandResult {
    let findings = conformance::check(command).map_err(|error| match error {
        ConformanceError::Start { .. } | ConformanceError::NoCommand => {
            Failure::error(exit::USAGE, error)
        }
        _ => Failure::error(exit::INTERNAL, error),
    })?;
    print(&findings, json).map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let fine = findings.iter().all(|check| check.passed || check.not_supported);
    Ok(if fine { exit::DONE } else { exit::RUNS_FAILED })
}

fn print(findings: &[Check], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, findings)?;
        return writeln!(out);
    }
    for Check { requirement, passed, not_supported, hint } in findings {
        let met = match (passed, not_supported) {
            (true, _) => "pass",
            (false, true) => "none",
            (false, false) => "FAIL",
        };
        writeln!(out, "{met}  {requirement}")?;
        if let Some(hint) = hint {
            writeln!(out, "      {hint}")?;
        }
    }
    let passed = findings.iter().filter(|check| check.passed).count();
    write!(out, "\n{passed} of {} requirements are met", findings.len())?;
    match findings.iter().filter(|check| check.not_supported).count() {
        0 => writeln!(out),
        lacking => writeln!(out, ", {lacking} belong to abilities that the runtime does not have"),
    }
}
