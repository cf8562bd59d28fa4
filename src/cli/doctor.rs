//! `runner doctor`: what this machine can do, and what would disturb a measurement on it now.

use std::fmt::Write as _;
use std::path::PathBuf;

use console::style;

use super::study::python;
use super::{CommandResult, Failure, exit, report};
use crate::preflight::doctor::{self, Line, State};

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
    let text = if args.json {
        let json = serde_json::to_string_pretty(&lines);
        json.map_err(|error| Failure::error(exit::INTERNAL, error))? + "\n"
    } else {
        table(&lines)
    };
    report::print(text.as_bytes())?;
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
        // Words of servers may be in it: what could steer a terminal is taken out.
        let harmless = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        };
        let _ = writeln!(text, "{:width$}  {state}  {}", line.name, harmless(&line.found));
        if let Some(advice) = &line.advice {
            let _ = writeln!(text, "{:width$}               → {}", "", harmless(advice));
        }
    }
    text
}
