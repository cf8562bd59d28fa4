//! `runner recompute`: metrics of stored runs again from their raw artifacts, by this version's formulas.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{CommandResult, Failure, StudyArgs, count, exit, output};
use crate::manifest::command::Pick;
use crate::plan::Plan;
use crate::provenance;
use crate::recompute::{self, Change, End, Mode, RunResult, Target};
use crate::store::journal::Journal;
use crate::store::verify::Wrong;
use crate::store::{Layout, Lock, Store};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Write nothing; exit with 6 if a stored metric does not follow from its raw artifacts. Metrics that nobody
    /// counted when a run was stored are named and contradict nothing
    #[arg(long)]
    check: bool,
    /// Compute also from files that are not as they were measured; the record and the report say so, and
    /// `verify` goes on naming them
    #[arg(long, conflicts_with = "check")]
    accept_changed: bool,
    /// As JSON, with the calls' metrics
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Printed<'a> {
    study: &'a str,
    /// Version of the formulas.
    runner: &'static str,
    runs: usize,
    /// Those of which there is something to say.
    results: Vec<&'a RunResult>,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let failure = |error| Failure::error(exit::INTERNAL, error);
    let study = plan.study().results_name();
    let layout = Layout::new(&args.study.results, &study).map_err(failure)?;
    if !layout.runs().is_dir() {
        let message = format!("there are no runs in {}", layout.root().display());
        return Err(Failure::new(exit::INTERNAL, message, Some("see `runner plan`, --results")));
    }
    // Before the store is read: what another process writes meanwhile would be lost.
    let lock = if args.check { None } else { Some(Lock::acquire(&layout).map_err(failure)?) };
    // Records that are not those that were sealed are refused below, unless they are accepted.
    let store = Store::of_as_found(&plan, &args.study.results).map_err(failure)?;
    let targets = targets(&plan, &store, !args.study.filters.is_empty());
    let results = if args.check {
        recompute::recompute(&store, &targets, Mode::Check, provenance::runner)
    } else {
        let mut journal = Journal::open(&layout).map_err(failure)?;
        let accept_changed = args.accept_changed;
        let mode = Mode::Write { journal: &mut journal, accept_changed };
        recompute::recompute(&store, &targets, mode, provenance::runner)
    };
    drop(lock);
    let mut results = results.map_err(failure)?;
    results.extend(store.damaged().iter().map(|damaged| RunResult {
        run: layout.below(&damaged.folder),
        end: End::Failed { reason: damaged.reason.clone() },
        changes: Vec::new(),
        touched: Vec::new(),
    }));
    output::print(&printed(&study, &results, args.json)?)?;
    let is_well = |end: &End| matches!(end, End::AsStored | End::New | End::Recomputed);
    let well = results.iter().all(|result| is_well(&result.end));
    Ok(if well { exit::DONE } else { exit::VERIFICATION_FAILED })
}

/// Every stored run; with a filter those of the plan. Metrics of commands are declared by the plan.
fn targets(plan: &Plan, store: &Store, only_planned: bool) -> Vec<Target> {
    let picks: HashMap<String, Vec<Pick>> =
        (0..).take(plan.cells()).map(|cell| (plan.id(cell).hex(), plan.picks(cell))).collect();
    let mut targets = Vec::new();
    for cell in store.cells() {
        let own = picks.get(cell);
        if own.is_none() && only_planned {
            continue;
        }
        targets.extend(store.runs(cell).keys().map(|repeat| Target {
            cell: cell.to_owned(),
            repeat: *repeat,
            picks: own.cloned().unwrap_or_default(),
        }));
    }
    targets
}

fn printed(study: &str, results: &[RunResult], json: bool) -> Result<String, Failure> {
    if json {
        let worth = |result: &&RunResult| result.end != End::AsStored || !result.touched.is_empty();
        let printed = Printed {
            study,
            runner: env!("CARGO_PKG_VERSION"),
            runs: results.len(),
            results: results.iter().filter(worth).collect(),
        };
        return output::json(&printed);
    }
    let mut text = String::new();
    for result in results {
        list(&mut text, result);
    }
    let ended =
        |wanted: &dyn Fn(&End) -> bool| results.iter().filter(|result| wanted(&result.end)).count();
    let parts = [
        (ended(&|end| *end == End::AsStored), "as stored"),
        (ended(&|end| *end == End::New), "with new metrics"),
        (ended(&|end| *end == End::Differs), "differ"),
        (ended(&|end| *end == End::Recomputed), "recomputed"),
        (ended(&|end| *end == End::Refused), "refused"),
        (ended(&|end| matches!(end, End::Failed { .. })), "unreadable"),
    ];
    let _ = write!(text, "{study}: {}", count(results.len() as u64, "run"));
    for (number, what) in parts.iter().filter(|(number, _)| *number > 0) {
        let _ = write!(text, ", {number} {what}");
    }
    text.push('\n');
    news(&mut text, results);
    if ended(&|end| *end == End::Refused) > 0 {
        text += "what was refused was not as measured: `runner verify` names the files, \
                 --accept-changed computes from them all the same\n";
    }
    Ok(text)
}

fn list(text: &mut String, result: &RunResult) {
    let RunResult { run, end, changes, touched } = result;
    let word = match end {
        // What is new is told of together: a program that counts more does so of all runs.
        End::AsStored | End::New if touched.is_empty() => return,
        End::AsStored => "as stored".to_owned(),
        End::New => "nothing differs".to_owned(),
        End::Differs => "differs".to_owned(),
        End::Recomputed => "recomputed".to_owned(),
        End::Refused => "refused".to_owned(),
        End::Failed { reason } => format!("unreadable: {reason}"),
    };
    let _ = writeln!(text, "{run}: {word}");
    for wrong in touched {
        let _ = match wrong {
            Wrong::Changed { file } => writeln!(text, "  {file} is not as it was measured"),
            Wrong::Missing { file } => writeln!(text, "  {file} is missing"),
            Wrong::Added { file } => writeln!(text, "  {file} was not there when it was sealed"),
            Wrong::Accepted { file, on } => {
                writeln!(text, "  {file} is not as it was measured, accepted on {on}")
            }
            Wrong::Restored { file } => writeln!(text, "  {file} is as it was measured again"),
            Wrong::Unsealed { .. } => {
                writeln!(text, "  the journal does not say that it was sealed")
            }
            Wrong::Record { .. } | Wrong::Misplaced { .. } | Wrong::Gone => Ok(()),
        };
    }
    if *end == End::New {
        return;
    }
    for change in changes.iter().filter(|change| change.call.is_none()) {
        let Change { metric, before, after, .. } = change;
        let _ =
            writeln!(text, "  {metric}: {} → {}", shown(before.as_ref()), shown(after.as_ref()));
    }
    let of_calls = changes.iter().filter(|change| change.call.is_some()).count();
    if of_calls > 0 {
        let _ = writeln!(
            text,
            "  and {} of calls (--json lists them)",
            count(of_calls as u64, "figure")
        );
    }
}

/// Metrics that nobody counted when runs were stored, where nothing contradicts these.
fn news(text: &mut String, results: &[RunResult]) {
    let mut runs: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    for result in results.iter().filter(|result| result.end == End::New) {
        for Change { metric, call, .. } in &result.changes {
            runs.entry((metric, call.is_some())).or_default().insert(&result.run);
        }
    }
    if runs.is_empty() {
        return;
    }
    *text += "new, since nobody counted it when it was stored; `runner recompute` writes it:\n";
    for ((metric, of_calls), runs) in runs {
        let what = if of_calls { " of calls" } else { "" };
        let _ = writeln!(text, "  {metric}{what} in {}", count(runs.len() as u64, "run"));
    }
}

/// The fewest digits that read back the same.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "not there".to_owned(),
        Some(Value::Null) => "unknown".to_owned(),
        Some(Value::Number(number)) => number.as_f64().map_or_else(String::new, |n| n.to_string()),
        Some(value) => value.to_string(),
    }
}
