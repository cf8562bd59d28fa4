//! `runner export`: stored runs, calls or statistics by cell as one tidy table.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{CommandResult, Failure, StudyArgs, exit, report};
use crate::report::tidy::{self, Rows, Table};
use crate::store::seal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// One row per run, per call (warm-up included), or per cell and metric (statistics over runs)
    #[arg(long, value_enum, default_value = "runs")]
    pub table: What,
    #[arg(long, value_enum, default_value = "csv")]
    pub format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum What {
    Runs,
    Calls,
    Cells,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Csv,
    Json,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let (data, _) = report::load(&args.study, &plan)?;
    let rows = match args.table {
        What::Runs => Rows::Runs,
        What::Calls => Rows::Calls,
        What::Cells => Rows::Cells,
    };
    let text = text(&tidy::table(&data, rows), args.format)?;
    match &args.output {
        Some(path) => {
            let path =
                std::path::absolute(path).map_err(|error| Failure::error(exit::USAGE, error))?;
            seal::write_whole(&path, &text)
                .map_err(|error| Failure::error(exit::INTERNAL, error))?;
        }
        None => report::print(&text)?,
    }
    Ok(exit::DONE)
}

fn text(table: &Table, format: Format) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match format {
        Format::Csv => {
            table.write_csv(&mut text).map_err(|error| Failure::error(exit::INTERNAL, error))?;
        }
        Format::Json => {
            table.write_json(&mut text).map_err(|error| Failure::error(exit::INTERNAL, error))?;
        }
    }
    Ok(text)
}
