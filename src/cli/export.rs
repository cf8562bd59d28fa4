//! `runner export`: stored runs, calls, statistics, comparisons and verdicts as tidy tables.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{CommandResult, Failure, StudyArgs, exit, output, report};
use crate::report::tidy::{self, Rows, Table};
use crate::store::seal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// One row per run, per call (warm-up included), per agent, per cell and metric (statistics over runs), per
    /// comparison of cells, per metric (success against the baseline), per hypothesis, per published
    /// number, per outlier, or per figure of an instrument
    #[arg(long, value_enum, default_value = "runs")]
    pub table: What,
    #[arg(long, value_enum, default_value = "csv")]
    pub format: Format,
    /// With CSV: put an apostrophe before text that a spreadsheet would run as a formula
    #[arg(long)]
    pub spreadsheet: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write every table into this folder, as `<table>.csv` or `<table>.json`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["table", "output"])]
    pub all: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum What {
    Runs,
    Calls,
    Agents,
    Cells,
    Comparisons,
    Success,
    Verdicts,
    Claims,
    Outliers,
    Instruments,
}

impl What {
    fn rows(self) -> Rows {
        match self {
            What::Runs => Rows::Runs,
            What::Calls => Rows::Calls,
            What::Agents => Rows::Agents,
            What::Cells => Rows::Cells,
            What::Comparisons => Rows::Comparisons,
            What::Success => Rows::Success,
            What::Verdicts => Rows::Verdicts,
            What::Claims => Rows::Claims,
            What::Outliers => Rows::Outliers,
            What::Instruments => Rows::Instruments,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Csv,
    Json,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let (data, _) = report::load(&args.study, &plan)?;
    if let Some(folder) = &args.all {
        std::fs::create_dir_all(folder).map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            Failure::new(exit::USAGE, message, None)
        })?;
        for rows in Rows::ALL {
            let extension = match args.format {
                Format::Csv => "csv",
                Format::Json => "json",
            };
            let path = folder.join(rows.name()).with_extension(extension);
            write(&path, &text(&tidy::table(&data, rows), args)?)?;
        }
        return Ok(exit::DONE);
    }
    let text = text(&tidy::table(&data, args.table.rows()), args)?;
    match &args.output {
        Some(path) => write(path, &text)?,
        None => output::print_data(&text)?,
    }
    Ok(exit::DONE)
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let path = std::path::absolute(path).map_err(|error| Failure::error(exit::USAGE, error))?;
    seal::write_whole(&path, text).map_err(|error| Failure::error(exit::INTERNAL, error))
}

fn text(table: &Table, args: &Args) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match args.format {
        Format::Csv => {
            table
                .write_csv(&mut text, args.spreadsheet)
                .map_err(|error| Failure::error(exit::INTERNAL, error))?;
        }
        Format::Json => {
            table.write_json(&mut text).map_err(|error| Failure::error(exit::INTERNAL, error))?;
        }
    }
    Ok(text)
}
