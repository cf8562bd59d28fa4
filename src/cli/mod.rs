//! The command line: arguments, settings, output, exit codes; one file per command.
//!
//! The only part that prints, reads the environment or chooses an exit code.

mod agent;
mod check;
mod check_claims;
mod compare;
mod completions;
mod doctor;
mod exec;
mod export;
mod failure;
mod finding;
mod gc;
mod import;
mod init;
mod output;
mod plan;
mod recompute;
mod report;
mod schema;
mod seals;
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

/// `1 cell`, `2 cells`.
fn count(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// In the order of a researcher's day.
#[derive(Subcommand)]
enum Command {
    /// Write a commented starter manifest
    Init(init::Args),
    /// Check manifests: all problems at once, each with its place
    Check(check::Args),
    /// Show the cells of a study, what is done and what is to do
    Plan(plan::Args),
    /// Make every planned run that does not exist yet
    Exec(exec::Args),
    /// Read earlier results, as the manifest declares them, into the store
    Import(import::Args),
    /// Show how far a study is; needs no lock and asks no server
    Status(status::Args),
    /// Render the report of a study from what is stored
    Report(report::Args),
    /// Compare two sets of results: two machines, two days, two versions
    Compare(compare::Args),
    /// Print one tidy row per run or call, as CSV or JSON
    Export(export::Args),
    /// Hash every stored file again and name what is changed, missing or added
    Verify(verify::Args),
    /// List stored runs that no cell of the manifest asks for any more; with --delete, remove them
    Gc(gc::Args),
    /// Compute the metrics of stored runs again from their raw artifacts, by this version's formulas
    Recompute(recompute::Args),
    /// Recompute the published numbers of a manifest from stored runs; a contradiction exits with 6
    CheckClaims(check_claims::Args),
    /// Serve the paced endpoint by hand
    Simulate(simulate::Args),
    /// Show what this machine can do, and what would disturb a measurement on it now
    Doctor(doctor::Args),
    /// Print the JSON Schemas of manifests and of the agent protocol, or the catalogue of metrics
    Schema(schema::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Drive the agents of a run: the Rust runtime
    #[command(hide = true)]
    Agent(agent::Args),
}

/// Runs the command line and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result: CommandResult = match &cli.command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Import(args) => import::run(args),
        Command::Status(args) => status::run(args),
        Command::Report(args) => report::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Export(args) => export::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Gc(args) => gc::run(args),
        Command::Recompute(args) => recompute::run(args),
        Command::CheckClaims(args) => check_claims::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Agent(args) => agent::run(args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::say_styled(&failure);
            ExitCode::from(failure.code)
        }
    }
}
