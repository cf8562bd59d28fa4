//! The command line: arguments, settings, output, exit codes; one file per command.
//!
//! The only part that prints, reads the environment or chooses an exit code.

mod agent;
mod exec;
mod failure;
mod simulate;
mod status;
mod study;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
pub use failure::Failure;
pub use study::StudyArgs;

/// Exit codes of `runner`.
pub mod exit {
    pub const DONE: u8 = 0;
    pub const INTERNAL: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const RUNS_FAILED: u8 = 3;
    pub const INVALID_MANIFEST: u8 = 4;
    pub const PREFLIGHT_FAILED: u8 = 5;
    pub const VERIFICATION_FAILED: u8 = 6;
    pub const INTERRUPTED: u8 = 130;
}

/// How a command ended: an exit code, or a failure that carries one.
pub type CommandResult = Result<u8, Failure>;

#[derive(Parser)]
#[command(
    name = "runner",
    version,
    about = "A declarative experiment runner for LLM inference research"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // one line per command, in the order of a researcher's day
    Exec(exec::Args),
    Status(status::Args),
    Verify(verify::Args),
    Simulate(simulate::Args),
    /// Drive the agents of a run: the Rust runtime
    #[command(hide = true)]
    Agent(agent::Args),
}

/// Runs the command line and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result: CommandResult = match cli.command {
        Command::Exec(args) => exec::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Agent(args) => agent::run(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
