//! `runner gc`: stored runs that no cell of the manifest asks for any more.

use std::fmt::Write as _;

use serde::Serialize;

use super::{CommandResult, Failure, StudyArgs, count, exit, output};
use crate::store::gc::{LeftBehind, LeftRun};
use crate::store::journal::Journal;
use crate::store::{Layout, Lock, Store};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Remove them; nothing brings them back
    #[arg(long)]
    delete: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    study: &'a str,
    deleted: bool,
    #[serde(flatten)]
    left: &'a LeftBehind,
}

pub fn run(args: &Args) -> CommandResult {
    if !args.study.filters.is_empty() {
        let message =
            "`runner gc` looks at the whole manifest: what a filter leaves out is asked for";
        return Err(Failure::new(exit::USAGE, message, Some("leave --filter away")));
    }
    let plan = args.study.plan()?;
    let failure = |error| Failure::error(exit::INTERNAL, error);
    let study = plan.study().results_name();
    let layout = Layout::new(&args.study.results, &study).map_err(failure)?;
    let deletes = args.delete && layout.runs().is_dir();
    // Before the store is read: another process may make runs meanwhile.
    let lock = deletes.then(|| Lock::acquire(&layout)).transpose().map_err(failure)?;
    let store = Store::of(&plan, &args.study.results).map_err(failure)?;
    let left = store.left_behind(&plan);
    if deletes && (!left.runs.is_empty() || layout.collected().exists()) {
        let mut journal = Journal::open(&layout).map_err(failure)?;
        let mut removed = LeftBehind::default();
        let mut on_removed = |run: &LeftRun| removed.runs.push(run.clone());
        if let Err(error) = store.collect(&left.runs, &mut journal, &mut on_removed) {
            // Nothing brings them back: whoever asked for it has to know which are gone.
            if !removed.runs.is_empty() {
                output::print(&printed(&study, &removed, args)?)?;
            }
            return Err(failure(error));
        }
    }
    drop(lock);
    output::print(&printed(&study, &left, args)?)?;
    Ok(exit::DONE)
}

fn printed(study: &str, left: &LeftBehind, args: &Args) -> Result<String, Failure> {
    if !args.json {
        return Ok(list(study, left, args.delete));
    }
    let printed = Printed { study, deleted: args.delete, left };
    output::json(&printed)
}

fn list(study: &str, left: &LeftBehind, deleted: bool) -> String {
    let mut text = String::new();
    for LeftRun { run, finished, bytes, .. } in &left.runs {
        let finished = finished.as_deref().unwrap_or("unknown when");
        let _ = writeln!(text, "{run}  {finished}  {:.1} MB", *bytes as f64 / 1e6);
    }
    let bytes: u64 = left.runs.iter().map(|run| run.bytes).sum();
    let runs = count(left.runs.len() as u64, "stored run");
    let megabytes = bytes as f64 / 1e6;
    let _ = match (left.runs.len(), deleted) {
        (0, _) if left.identity_1 > 0 => writeln!(text, "{study}: nothing to remove"),
        (0, _) => writeln!(text, "{study}: every stored run is asked for"),
        (_, true) => writeln!(text, "{study}: {runs} removed, {megabytes:.1} MB"),
        (_, false) => writeln!(
            text,
            "{study}: {runs} that no cell of the manifest asks for, {megabytes:.1} MB; --delete removes \
             them"
        ),
    };
    if left.identity_1 > 0 {
        let kept = count(left.identity_1 as u64, "run");
        let _ = writeln!(text, "{kept} of identity 1 that cannot be told to be of one cell: kept");
    }
    text
}
