//! `runner agent`: the Rust runtime as a process, and the check of other runtimes.

use std::io::{self, Read};

use tokio::sync::watch;

use super::{CommandResult, Failure, exit};
use crate::agent::runtime::{self, Finish};
use crate::os;

/// Exit code of a process that ended on SIGTERM.
const TERMINATED: u8 = 143;

/// Reads a spec from standard input, writes events to standard output (see docs/agent-protocol.md).
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> CommandResult {
    serve()
}

fn serve() -> CommandResult {
    os::end_with_parent().map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let (cancel, cancelled) = watch::channel(false);
    ctrlc::set_handler(move || {
        cancel.send_replace(true);
    })
    .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let mut spec = String::new();
    io::stdin().read_to_string(&mut spec).map_err(|error| Failure::error(exit::USAGE, error))?;
    let environment = |name: &str| std::env::var(name).ok();
    match runtime::run(&spec, io::stdout(), &environment, &cancelled) {
        Ok(Finish::Done) => Ok(exit::DONE),
        Ok(Finish::Cancelled) => Ok(TERMINATED),
        Err(error) if error.is_spec() => Err(Failure::error(exit::USAGE, error)),
        Err(error) => Err(Failure::error(exit::INTERNAL, error)),
    }
}
