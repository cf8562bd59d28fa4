//! `runner compare`: two sets of results against each other.

mod text;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{CommandResult, Failure, exit, output, seals};
use crate::report::sets::{self, By, Options, ResultSet, SetsError};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The results that are compared with, e.g. results/tr117
    pub a: PathBuf,
    /// The results that are compared, e.g. another machine's or another day's
    pub b: PathBuf,
    /// Which cells are the same: those that ask for the same, or those of the same name
    #[arg(long, value_enum, default_value = "id")]
    pub by: Key,
    /// Only this metric (repeatable); otherwise the main ones that both sides know
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,
    /// Only these cells: experiment=NAME, cell=ID, cell~text, factor=value, factor~text or an id,
    /// joined by commas (and); repeated flags are alternatives (or)
    #[arg(long = "filter", value_name = "EXPR")]
    pub filters: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Key {
    Id,
    Name,
}

pub fn run(args: &Args) -> CommandResult {
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let options = Options {
        by: match args.by {
            Key::Id => By::Id,
            Key::Name => By::Name,
        },
        metrics: args.metrics.clone(),
        filters: args.filters.clone(),
    };
    let comparison = sets::compare(&a, &b, &options).map_err(failure)?;
    let text =
        if args.json { output::json(&comparison)? } else { text::text(&comparison, width()) };
    output::print(&text)?;
    Ok(exit::DONE)
}

/// What is stored in a folder; runs that are not what was sealed are named and left out.
fn open(folder: &Path) -> Result<ResultSet, Failure> {
    let store = ResultSet::store(folder).map_err(failure)?;
    seals::warn(&store);
    ResultSet::of(folder, &store).map_err(failure)
}

/// Columns of the terminal; `COLUMNS` where there is none; otherwise as wide as it gets.
fn width() -> usize {
    let terminal = console::Term::stdout();
    if terminal.is_term()
        && let Some((_, columns)) = terminal.size_checked()
    {
        return usize::from(columns);
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(usize::MAX)
}

fn failure(error: SetsError) -> Failure {
    let code = if error.is_usage() { exit::USAGE } else { exit::INTERNAL };
    let help = match &error {
        SetsError::Filter(error) => error.help.clone(),
        _ => None,
    };
    Failure::new(code, error, help.as_deref())
}
