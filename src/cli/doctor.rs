//! `runner doctor`: what this machine can do, and what would disturb a measurement on it now.

use std::fmt::Write as _;
use std::path::PathBuf;

use console::style;

use super::study::python;
use super::{CommandResult, exit, output};
use crate::preflight::doctor::{self, Line, State};
use crate::shown;

/// Show what this machine can do, and what would disturb a measurement on it now
///
/// Looks only, and changes nothing. Exits with 0 whatever it finds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Folder of the results, for the disk that they go to
    #[arg(long, default_value = "results", env = "RUNNER_RESULTS")]
    results: PathBuf,
}

pub fn run(args: &Args) -> CommandResult {
    let lines = doctor::examine(&args.results, &python());
    let text = if args.json { output::json(&lines)? } else { table(&lines) };
    output::print_styled(&text)?;
    Ok(exit::DONE)
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let state = match line.state {
            State::Ok => style("ok         ").green(),
            State::Warning => style("warning    ").yellow(),
            State::Unavailable => style("unavailable").dim(),
        };
        let _ = writeln!(text, "{:width$}  {state}  {}", line.name, shown::line(&line.found));
        if let Some(advice) = &line.advice {
            let _ = writeln!(text, "{:width$}               → {}", "", shown::line(advice));
        }
    }
    text
}
