//! `runner exec`: a plan → sealed runs.

use std::io::{IsTerminal as _, Write};

use super::study::python;
use super::{CommandResult, Failure, StudyArgs, exit, finding, report};
use crate::execute::{self, Cancel, ExecError, Limits, Settings, Stale, Summary};
use crate::preflight::{Finding, Severity};
use crate::progress::Progress;
use crate::store::StoreError;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Start although something stands against it: cells of servers and models that were not found are
    /// tried, those for which no request can be made (no key, no Python) are recorded as failed at once
    #[arg(long)]
    skip_preflight: bool,
    #[command(flatten)]
    again: AgainArgs,
    /// Render the report afterwards and print where it is; partial if runs are missing or stale
    #[arg(long)]
    report: bool,
    /// One JSON object per event on standard output
    #[arg(long, conflicts_with = "report")]
    json: bool,
}

/// Which finished runs are measured again.
#[derive(Debug, Clone, clap::Args)]
struct AgainArgs {
    /// Measure runs again whose circumstances changed (model, server, agent code, machine); the old
    /// ones are kept under superseded/
    #[arg(long, conflicts_with = "accept_stale")]
    rerun_stale: bool,
    /// Count such runs as done without listing them
    #[arg(long)]
    accept_stale: bool,
    /// Measure once more for every outlier that the manifest's rule flags; the outliers stay
    #[arg(long)]
    rerun_outliers: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    if args.report {
        // A report that cannot be rendered is better known before the runs than after them.
        report::template(None, plan.study())?;
    }
    if args.again.rerun_outliers && plan.study().outliers.metrics.is_empty() {
        let message = "the manifest does not say which metrics' outliers are meant";
        let help = "write `outliers = { metrics = [\"aggregate_tokens_per_s\"] }` under [defaults]";
        return Err(Failure::new(exit::USAGE, message, Some(help)));
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::error(exit::INTERNAL, ExecError::Program(error)))?;
    let settings = Settings {
        results: args.study.results.clone(),
        skip_preflight: args.skip_preflight,
        stale: match (args.again.rerun_stale, args.again.accept_stale) {
            (true, _) => Stale::Rerun,
            (false, true) => Stale::Accept,
            (false, false) => Stale::List,
        },
        rerun_outliers: args.again.rerun_outliers,
        limits: Limits::default(),
        program,
        python: python(),
    };
    let cancel = Cancel::default();
    let asked = cancel.clone();
    ctrlc::set_handler(move || asked.ask())
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;

    let mut progress: Progress<Box<dyn Write>> = if args.json {
        Progress::json(Box::new(std::io::stdout()))
    } else if std::io::stderr().is_terminal() {
        Progress::bars()
    } else {
        Progress::lines(Box::new(std::io::stderr()))
    };
    let summary = execute::execute(&plan, &settings, &cancel, &mut |event| progress.hear(&event))
        .map_err(failure)?;
    drop(progress);
    // Who interrupts wants to be let go.
    if args.report && !summary.interrupted {
        report::run(&report::Args {
            study: args.study.clone(),
            template: None,
            output: report::Output::default(),
            partial: !summary.is_complete() || summary.stale > 0,
        })?;
    }
    Ok(code(&summary))
}

fn code(summary: &Summary) -> u8 {
    if summary.interrupted {
        exit::INTERRUPTED
    } else if summary.is_complete() {
        exit::DONE
    } else {
        exit::RUNS_FAILED
    }
}

fn failure(error: ExecError) -> Failure {
    match &error {
        ExecError::Preflight(findings) => {
            let list: Vec<String> = findings.iter().map(finding::line).collect();
            let message = format!("{error}:\n{}", list.join("\n"));
            let blocking = findings.iter().filter(|finding| finding.severity == Severity::Blocking);
            let tried = blocking.clone().filter(|finding| finding.can_be_tried).count();
            let help = match (tried, blocking.count() - tried) {
                (_, 0) => "--skip-preflight tries all cells all the same",
                (0, _) => "--skip-preflight makes the other cells, and records these as failed",
                _ => {
                    "--skip-preflight tries what requests can be made for, and records the rest as failed"
                }
            };
            let skippable = !findings.iter().any(Finding::is_absolute);
            Failure::new(exit::PREFLIGHT_FAILED, message, skippable.then_some(help))
        }
        ExecError::Store(StoreError::Locked { .. }) => {
            let help = "wait for it, or end it; `runner status` shows how far it is";
            Failure::new(exit::INTERNAL, &error, Some(help))
        }
        _ => Failure::error(exit::INTERNAL, error),
    }
}
