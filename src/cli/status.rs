//! `runner status`: what is done, what failed, what is missing, and who works on it.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{CommandResult, Failure, StudyArgs, count as count_of, exit, output, seals};
use crate::manifest::study::Control;
use crate::metrics::outliers::{self, Outlier};
use crate::plan::Plan;
use crate::report::Settled;
use crate::store::{self, Holder, Store, failed, holder};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    study: String,
    /// The exec that is at work, if one is.
    holder: Option<Holder>,
    /// In the order of the manifest; a cell of two experiments counts under both.
    experiments: Vec<Row>,
    /// Agents alone that are in no experiment and only there to interpret others.
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<Row>,
    /// Cells of experiments that are measured a second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<Row>,
    /// Over distinct runs.
    total: Row,
    /// Of the done ones, those that were read from earlier results and not measured by this program.
    imported: usize,
    /// Of the done ones, those that are stored under version 1 of identity.
    identity_1: usize,
    /// Runs far from the others of their cell, as the manifest's rule flags them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outliers: Vec<Flagged>,
    /// Run folders whose records cannot be trusted; their runs count as missing.
    damaged: Vec<String>,
    /// Runs of which the journal does not say that they were sealed; they count as done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsealed: Vec<String>,
}

/// An outlier with its run.
#[derive(Serialize)]
struct Flagged {
    /// `<id8>/<repeat>`.
    run: String,
    name: String,
    #[serde(flatten)]
    outlier: Outlier,
}

fn flagged(plan: &Plan, store: &Store) -> Vec<Flagged> {
    let rule = &plan.study().outliers;
    let cells = (0..).take(plan.cells()).filter(|_| !rule.metrics.is_empty());
    cells
        .flat_map(|cell| {
            let id = plan.id(cell);
            let counting = store::counting(store.runs(&id.hex()), plan.repeats(cell));
            let stale = store::against_newest(&counting);
            let fresh = counting.values().filter(|run| !stale.contains_key(&run.repeat));
            let outliers = outliers::flagged(&fresh, rule).into_iter();
            let named = outliers.map(move |outlier| Flagged {
                run: format!("{}/{}", id.short(), outlier.repeat),
                name: plan.name(cell),
                outlier,
            });
            named.collect::<Vec<_>>()
        })
        .collect()
}

/// Counts of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    done: u32,
    /// Not done, and at least one attempt failed.
    failed: u32,
    /// Not done, never failed.
    missing: u32,
    /// Not done, and a fallback stands in its place.
    fell_back: u32,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let store = Store::of(&plan, &args.study.results)
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let status = status(&plan, &store);
    let text = if args.json { output::json(&status)? } else { table(&status) };
    output::print(&text)?;
    Ok(exit::DONE)
}

fn status(plan: &Plan, store: &Store) -> Status {
    let mut failures: HashMap<(String, u32), u32> = HashMap::new();
    for (_, failure) in store.failures() {
        if let Some(cell) = failure.cell.filter(|_| failure.cause != failed::CANCELLED) {
            *failures.entry((cell, failure.repeat)).or_default() += 1;
        }
    }
    let settled = crate::report::settled(plan, store);
    let row = |name: &str, cells: &mut dyn Iterator<Item = u32>| {
        let mut row = Row { name: name.to_owned(), ..Row::default() };
        for cell in cells {
            count(plan, store, &failures, &settled, cell, &mut row);
        }
        row
    };
    let study = plan.study();
    let experiments = study.experiments.iter().enumerate().map(|(index, experiment)| {
        row(&experiment.name, &mut plan.experiment_cells(index).into_iter())
    });
    let controls = |name: &str, control: Control| {
        let cells = (0..).take(plan.cells());
        let mut cells = cells.filter(|cell| plan.control_of(*cell) == Some(control)).peekable();
        cells.peek().is_some().then(|| row(name, &mut cells))
    };
    let replicas = controls("replicas for A/A", Control::Aa);
    let controls = controls("solo controls", Control::Solo);
    Status {
        study: study.results_name(),
        holder: holder(store.layout()),
        experiments: experiments.collect(),
        controls,
        replicas,
        total: row("total", &mut (0..).take(plan.cells())),
        imported: (0..)
            .take(plan.cells())
            .map(|cell| {
                let id = plan.id(cell).hex();
                let runs = store.runs(&id).range(..=plan.repeats(cell));
                runs.filter(|(_, run)| run.imported.is_some()).count()
            })
            .sum(),
        identity_1: (0..)
            .take(plan.cells())
            .map(|cell| {
                let runs = store.runs(&plan.id(cell).hex());
                store::version_1(runs.range(..=plan.repeats(cell)))
            })
            .sum(),
        outliers: flagged(plan, store),
        damaged: seals::damaged(store),
        unsealed: seals::unsealed(store),
    }
}

fn count(
    plan: &Plan,
    store: &Store,
    failures: &HashMap<(String, u32), u32>,
    settled: &Settled,
    cell: u32,
    row: &mut Row,
) {
    let id = plan.id(cell).hex();
    let runs = store.runs(&id);
    let repeats = 1..=plan.repeats(cell);
    let absent: Vec<u32> = repeats.clone().filter(|repeat| !runs.contains_key(repeat)).collect();
    let absences = u32::try_from(absent.len()).unwrap_or(u32::MAX);
    row.done += plan.repeats(cell) - absences;
    if absent.is_empty() {
        return;
    }
    for repeat in absent {
        if settled.get(&cell).is_some_and(|repeats| repeats.contains_key(&repeat)) {
            row.fell_back += 1;
        } else if failures.contains_key(&(id.clone(), repeat)) {
            row.failed += 1;
        } else {
            row.missing += 1;
        }
    }
}

fn table(status: &Status) -> String {
    let rows = status.experiments.iter().chain(&status.controls).chain(&status.replicas);
    let rows = rows.chain([&status.total]);
    let width = rows.clone().map(|row| row.name.chars().count()).max().unwrap_or(0).max(10);
    let mut text = format!("{}\n", status.study);
    let _ =
        writeln!(text, "{:width$}  {:>6}  {:>6}  {:>7}", "experiment", "done", "failed", "missing");
    for row in rows {
        let Row { name, done, failed, missing, fell_back } = row;
        let _ = write!(text, "{name:width$}  {done:>6}  {failed:>6}  {missing:>7}");
        if *fell_back > 0 {
            let _ = write!(text, "  ({fell_back} fell back)");
        }
        text.push('\n');
    }
    if status.imported > 0 {
        let _ = writeln!(
            text,
            "IMPORTED: {} of {} runs were read from earlier results, not measured by this program",
            status.imported, status.total.done
        );
    }
    if !status.outliers.is_empty() {
        let _ = writeln!(
            text,
            "{} outlier(s); they stay, exec --rerun-outliers adds runs",
            status.outliers.len()
        );
    }
    for Flagged { run, name, outlier } in &status.outliers {
        let Outlier { metric, value, median, mad, distance, n, flagged_of_clean, .. } = outlier;
        let distance = distance.map_or("MAD is 0".to_owned(), |d| format!("{d:.1} MADs off"));
        let _ = writeln!(
            text,
            "outlier: {name} {run}: {metric} {value:.4}, median {median:.4}, MAD {mad:.4}, {distance} \
             (the rule flags {:.0} % of clean normal runs at n = {n})",
            100.0 * flagged_of_clean
        );
    }
    if status.identity_1 > 0 {
        let _ = writeln!(text, "{} of identity 1", count_of(status.identity_1 as u64, "run"));
    }
    for damaged in &status.damaged {
        let _ = writeln!(text, "damaged: {damaged}");
    }
    for unsealed in &status.unsealed {
        let _ = writeln!(text, "unsealed: {unsealed}");
    }
    let _ = match &status.holder {
        Some(holder) => writeln!(text, "exec is at work: {holder}"),
        None => writeln!(text, "no exec is at work"),
    };
    text
}
