//! `runner verify`: re-hash everything that was sealed, and name what the plan misses.

use std::fmt::Write as _;

use serde::Serialize;

use super::{CommandResult, Failure, StudyArgs, exit, output};
use crate::plan::Plan;
use crate::report;
use crate::store::verify::{self, Finding, Verification, Wrong};
use crate::store::{Layout, Store};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Result {
    study: String,
    #[serde(flatten)]
    verification: Verification,
    absent: Vec<Absent>,
}

/// Planned runs of a cell that do not exist, and in whose place no fallback stands.
#[derive(Serialize)]
struct Absent {
    cell: String,
    name: String,
    repeats: Vec<u32>,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let failure = |error| Failure::error(exit::INTERNAL, error);
    let study = plan.study().results_name();
    let layout = Layout::new(&args.study.results, &study).map_err(failure)?;
    let verification = verify::verify(&layout).map_err(failure)?;
    // A run that was changed is named as such, not as absent.
    let store = Store::of_as_found(&plan, &args.study.results).map_err(failure)?;
    let result = Result { study, verification, absent: absent(&plan, &store) };
    let text = if args.json { output::json(&result)? } else { list(&result) };
    output::print(&text)?;
    let sound = result.verification.findings.is_empty();
    let complete = result.absent.is_empty();
    Ok(if sound && complete { exit::DONE } else { exit::VERIFICATION_FAILED })
}

fn absent(plan: &Plan, store: &Store) -> Vec<Absent> {
    let settled = report::settled(plan, store);
    (0..)
        .take(plan.cells())
        .filter_map(|cell| {
            let id = plan.id(cell);
            let runs = store.runs(&id.hex());
            let fell_back = |repeat: &u32| {
                settled.get(&cell).is_some_and(|repeats| repeats.contains_key(repeat))
            };
            let repeats: Vec<u32> = (1..=plan.repeats(cell))
                .filter(|repeat| !runs.contains_key(repeat) && !fell_back(repeat))
                .collect();
            (!repeats.is_empty()).then(|| Absent { cell: id.hex(), name: plan.name(cell), repeats })
        })
        .collect()
}

fn list(result: &Result) -> String {
    let mut text = String::new();
    for Finding { run, what } in &result.verification.findings {
        let _ = match what {
            Wrong::Changed { file } => writeln!(text, "changed: {run}/{file}"),
            Wrong::Missing { file } => writeln!(text, "missing: {run}/{file}"),
            Wrong::Added { file } => writeln!(text, "added: {run}/{file}"),
            Wrong::Accepted { file, on } => {
                writeln!(
                    text,
                    "accepted: {run}/{file} is not as measured; metrics of {on} stand on it"
                )
            }
            Wrong::Restored { file } => writeln!(
                text,
                "restored: {run}/{file} is as measured, the metrics stand on another content; \
                 `runner recompute` computes them from it"
            ),
            Wrong::Record { reason } => writeln!(text, "unreadable: {run}: {reason}"),
            Wrong::Misplaced { reason } => writeln!(
                text,
                "misplaced: {run}: {reason}; it was copied or moved here, and is no run of this place"
            ),
            Wrong::Unsealed { begun: true } => writeln!(
                text,
                "unsealed: {run}: the journal lacks the line that it was sealed, as after a kill; the next \
                 `runner exec` adds it"
            ),
            Wrong::Unsealed { begun: false } => writeln!(
                text,
                "unsealed: {run}: the journal knows nothing of this run: it was made elsewhere"
            ),
            Wrong::Gone => writeln!(text, "gone: {run} was sealed by the journal's word"),
        };
    }
    for Absent { cell, name, repeats } in &result.absent {
        let repeats: Vec<String> = repeats.iter().map(u32::to_string).collect();
        let short = cell.get(..8).unwrap_or(cell);
        let _ = writeln!(text, "absent: {name} {short}, repeats {}", repeats.join(", "));
    }
    let Verification { runs, files, bytes, journal, findings } = &result.verification;
    if !journal && *runs > 0 {
        text += "no journal of every run: whether the records are those that were sealed cannot be told\n";
    }
    let megabytes = *bytes as f64 / 1e6;
    let _ = writeln!(
        text,
        "{}: {runs} runs, {files} files, {megabytes:.1} MB hashed, {} findings",
        result.study,
        findings.len()
    );
    text
}
