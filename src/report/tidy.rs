//! Tidy tables for other programs: one row per run, per call, per cell and metric, per comparison, per
//! verdict.
//!
//! The columns depend on the plan and the catalogue only, not on what happens to be known. A cell is named by
//! the 32 hex digits of its id and a run by `<cell>/<repeat>` in every table, so that they can be joined.

mod comparisons;
mod instruments;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use formats::protocol::{Outcome, Stage};
use serde_json::Value;

use super::cell_table;
use super::data::{Cell, Data, FailedAttempt, NamedLevel};
use crate::manifest::factor;
use crate::manifest::written::Scalar;
use crate::metrics::OF_AGENTS;
use crate::store::failed::CallOutcome;
use crate::store::record::{Metrics, RunRecord};

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One per sealed run.
    Runs,
    /// One per call, warm-up included: of sealed runs and of failed attempts.
    Calls,
    /// One per agent of a sealed run.
    Agents,
    /// One per cell and metric that a run of it knows: the statistics that reports show.
    Cells,
    /// One per cell and metric against its baseline, in a ranking, in per cent of a level, and of a replica
    /// against its cell; and one per pair of tokenizers.
    Comparisons,
    /// One per experiment and metric: in how many configurations it is better than at the baseline.
    Success,
    /// One per hypothesis and part of one.
    Verdicts,
    /// One per published number.
    Claims,
    /// One per run and metric that the manifest's rule flags.
    Outliers,
    /// One per figure that an instrument has of itself.
    Instruments,
}

impl Rows {
    pub const ALL: [Self; 10] = [
        Self::Runs,
        Self::Calls,
        Self::Agents,
        Self::Cells,
        Self::Comparisons,
        Self::Success,
        Self::Verdicts,
        Self::Claims,
        Self::Outliers,
        Self::Instruments,
    ];

    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Calls => "calls",
            Self::Agents => "agents",
            Self::Cells => "cells",
            Self::Comparisons => "comparisons",
            Self::Success => "success",
            Self::Verdicts => "verdicts",
            Self::Claims => "claims",
            Self::Outliers => "outliers",
            Self::Instruments => "instruments",
        }
    }
}

/// Columns and rows; an unknown value is `null`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// Before the factors. `warmup` and `stale` are 0 or 1; `control` is `solo` or `aa` for the runs that an
/// experiment needs only to interpret its own, else empty.
/// `fallback_of` names the run in whose place one was made whose cell is in no
/// experiment's matrix, else empty.
/// `imported` is 1 for runs that were read from earlier results, with the `campaign` that they are of and the file
/// that is their `origin`.
const LEADING: [&str; 15] = [
    "experiment",
    "cell",
    "repeat",
    "run",
    "agent",
    "call",
    "stage",
    "outcome",
    "warmup",
    "stale",
    "control",
    "fallback_of",
    "imported",
    "campaign",
    "origin",
];

/// After [`LEADING`] in [`Rows::Calls`]. `sealed` is 1 for the calls of sealed runs and 0 for those of attempts
/// that failed, which have no metrics; `notes` are parted by `; `.
const OF_CALLS: [&str; 6] = ["attempt", "sealed", "http_status", "finish_reason", "error", "notes"];

/// A table of all stored runs of the plan; a cell in several experiments is listed under each, and so is a
/// control.
#[must_use]
pub fn table(data: &Data, which: Rows) -> Table {
    match which {
        Rows::Runs => runs(data, Of::Run),
        Rows::Calls => runs(data, Of::Call),
        Rows::Agents => without(runs(data, Of::Agent), &["call", "stage", "warmup"]),
        Rows::Cells => statistics(data),
        Rows::Comparisons => comparisons::comparisons(data),
        Rows::Success => comparisons::successes(data),
        Rows::Verdicts => verdicts::verdicts(data),
        Rows::Claims => verdicts::claims(data),
        Rows::Outliers => verdicts::outliers(data),
        Rows::Instruments => instruments::instruments(data),
    }
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Run,
    Call,
    Agent,
}

/// A table without these columns.
fn without(table: Table, columns: &[&str]) -> Table {
    fn keep<T>(row: Vec<T>, kept: &[bool]) -> Vec<T> {
        row.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(own, _)| own).collect()
    }
    let kept: Vec<bool> =
        table.columns.iter().map(|name| !columns.contains(&name.as_str())).collect();
    Table {
        columns: keep(table.columns, &kept),
        rows: table.rows.into_iter().map(|row| keep(row, &kept)).collect(),
    }
}

/// One row per run, or per call or agent of each.
fn runs(data: &Data, of: Of) -> Table {
    let by_call = of == Of::Call;
    let mut factors: Vec<&str> = Vec::new();
    let cells = || data.cells.iter().chain(data.stand_ins.iter().map(|own| &own.cell));
    let recorded = |cell| levels_beside(cell).map(|(name, _)| name);
    let names = cells().flat_map(|cell| cell.factors.iter().map(|own| own.name.as_str()));
    for name in names.chain(cells().flat_map(recorded)) {
        if !factors.contains(&name) {
            factors.push(name);
        }
    }
    let of_agents: BTreeSet<&str> = cells()
        .flat_map(|cell| cell.runs.values())
        .flat_map(|run| &run.agents)
        .flat_map(|own| own.metrics.keys().map(String::as_str))
        .chain(OF_AGENTS)
        .collect();
    let metrics: Vec<&str> = data
        .metrics()
        .filter(|info| match of {
            Of::Run => true,
            Of::Call => info.scope.of_calls(),
            Of::Agent => of_agents.contains(info.name),
        })
        .map(|info| info.name)
        .collect();
    let leading: Vec<&str> =
        LEADING.iter().chain(OF_CALLS.iter().filter(|_| by_call)).copied().collect();
    // the axes of a command are named by its author
    let factor_column = |name: &&str| {
        let taken = leading.contains(name) || metrics.contains(name);
        if taken { format!("factor_{name}") } else { (*name).to_owned() }
    };
    let columns = leading
        .iter()
        .map(|name| (*name).to_owned())
        .chain(factors.iter().map(factor_column))
        .chain(metrics.iter().map(|name| (*name).to_owned()))
        .collect();

    let mut rows = Vec::new();
    for experiment in &data.experiments {
        let own = experiment.cells.iter().map(|own| (own.cell, None));
        let solos = experiment.solos.iter().map(|cell| (*cell, Some("solo")));
        let replicas = experiment.replicas.iter().map(|(_, replica)| (*replica, Some("aa")));
        for (cell, control) in own.chain(solos).chain(replicas) {
            let (cell, asked) = (&data.cells[cell], None);
            let experiment = experiment.name.as_str();
            let shared = Shared { experiment, cell, control, asked, factors: &factors };
            shared.rows(of, &metrics, &mut rows);
            if by_call {
                let tried = data.failed.iter();
                let own = tried.filter(|tried| tried.cell.as_ref() == Some(&cell.id));
                rows.extend(own.flat_map(|tried| shared.failed(tried, &metrics)));
            }
        }
        let stand_ins = data.stand_ins.iter();
        for own in stand_ins.filter(|own| own.experiments.contains(&experiment.name)) {
            let (cell, asked) = (&own.cell, Some(&own.asked));
            let experiment = experiment.name.as_str();
            let control = own.control;
            let shared = Shared { experiment, cell, control, asked, factors: &factors };
            shared.rows(of, &metrics, &mut rows);
        }
    }
    Table { columns, rows }
}

/// Columns of [`Rows::Cells`]. `below_error` is 0 or 1.
const STATISTICS: [&str; 21] = [
    "experiment",
    "cell",
    "name",
    "metric",
    "unit",
    "n",
    "planned",
    "mean",
    "sd",
    "median",
    "ci_low",
    "ci_high",
    "below_error",
    "mad",
    "cv_percent",
    "min",
    "max",
    "p5",
    "p25",
    "p75",
    "p95",
];

fn statistics(data: &Data) -> Table {
    let mut rows = Vec::new();
    for table in cell_table::tables(data) {
        for row in table.rows.iter().filter(|row| row.n > 0) {
            rows.push(vec![
                table.experiment.as_str().into(),
                row.id.as_str().into(),
                row.name.as_str().into(),
                table.metric.as_str().into(),
                table.unit.as_str().into(),
                row.n.into(),
                row.planned.into(),
                number(row.mean),
                number(row.sd),
                number(row.median),
                number(row.ci.map(|ci| ci[0])),
                number(row.ci.map(|ci| ci[1])),
                u8::from(row.below_error).into(),
                number(row.mad),
                number(row.cv_percent),
                number(row.min),
                number(row.max),
                number(row.p5),
                number(row.p25),
                number(row.p75),
                number(row.p95),
            ]);
        }
    }
    Table { columns: STATISTICS.map(str::to_owned).into(), rows }
}

/// What the rows of one cell share.
struct Shared<'a> {
    experiment: &'a str,
    cell: &'a Cell,
    control: Option<&'a str>,
    /// By repeat, the run that was asked for.
    asked: Option<&'a BTreeMap<u32, String>>,
    factors: &'a [&'a str],
}

impl Shared<'_> {
    fn rows(&self, of: Of, metrics: &[&str], rows: &mut Vec<Vec<Value>>) {
        for run in self.cell.runs.values() {
            match of {
                Of::Run => rows.push(self.run(run, metrics)),
                Of::Call => self.calls(run, metrics, rows),
                Of::Agent => self.agents(run, metrics, rows),
            }
        }
    }

    fn agents(&self, run: &RunRecord, metrics: &[&str], rows: &mut Vec<Vec<Value>>) {
        for agent in &run.agents {
            let own_calls =
                run.calls.iter().filter(|call| !call.warmup && call.agent == agent.agent);
            let outcome = own_calls.map(|call| call.outcome).max().map(Outcome::name);
            let name = agent.agent.as_str();
            let own = vec![name.into(), Value::Null, Value::Null, outcome.into(), Value::Null];
            rows.push(self.row(run.repeat, Some(run), own, Vec::new(), &agent.metrics, metrics));
        }
    }

    fn run(&self, run: &RunRecord, metrics: &[&str]) -> Vec<Value> {
        let measured = run.calls.iter().filter(|call| !call.warmup);
        // What kept a run from being sealed is no outcome of it: the worst left is `length`.
        let outcome = measured.map(|call| call.outcome).max().map(Outcome::name);
        let own = vec![Value::Null, Value::Null, Value::Null, outcome.into(), Value::Null];
        self.row(run.repeat, Some(run), own, Vec::new(), &run.metrics, metrics)
    }

    fn calls(&self, run: &RunRecord, metrics: &[&str], rows: &mut Vec<Vec<Value>>) {
        for call in &run.calls {
            let own = vec![
                call.agent.as_str().into(),
                call.call.into(),
                call.stage.map(Stage::name).into(),
                call.outcome.name().into(),
                u8::from(call.warmup).into(),
            ];
            let notes = Some(call.notes.join("; ")).filter(|notes| !notes.is_empty());
            let of_call = vec![
                run.attempt.into(),
                1.into(),
                call.http_status.into(),
                call.finish_reason.clone().into(),
                call.error.clone().into(),
                notes.into(),
            ];
            rows.push(self.row(run.repeat, Some(run), own, of_call, &call.metrics, metrics));
        }
    }

    /// The calls of an attempt that gave no run.
    fn failed(&self, tried: &FailedAttempt, metrics: &[&str]) -> Vec<Vec<Value>> {
        let of = |call: &CallOutcome| {
            let own = vec![
                call.agent.as_str().into(),
                call.call.into(),
                Value::Null,
                call.outcome.name().into(),
                u8::from(call.warmup).into(),
            ];
            let of_call = vec![
                tried.attempt.into(),
                0.into(),
                call.http_status.into(),
                call.finish_reason.clone().into(),
                call.error.clone().into(),
                Value::Null,
            ];
            self.row(tried.repeat, None, own, of_call, &Metrics::new(), metrics)
        };
        tried.calls.iter().map(of).collect()
    }

    fn row(
        &self,
        repeat: u32,
        run: Option<&RunRecord>,
        own: Vec<Value>,
        of_call: Vec<Value>,
        known: &Metrics,
        metrics: &[&str],
    ) -> Vec<Value> {
        let stale = u8::from(self.cell.stale.contains_key(&repeat));
        let asked = self.asked.and_then(|asked| asked.get(&repeat)).map(String::as_str);
        let mut levels: BTreeMap<&str, Value> =
            self.cell.factors.iter().map(|factor| (factor.name.as_str(), level(factor))).collect();
        for (name, text) in run.iter().flat_map(|run| beside(run)) {
            levels.entry(name).or_insert_with(|| read_level(name, text));
        }
        let id = self.cell.id.as_str();
        let imported = run.and_then(|run| run.imported.as_ref());
        let origin = imported.and_then(|own| own.origin.first()).map(|own| match &own.place {
            Some(place) => format!("{}#{place}", own.path),
            None => own.path.clone(),
        });
        let of_import: [Value; 3] = [
            u8::from(imported.is_some()).into(),
            imported.map(|own| own.campaign.clone()).into(),
            origin.into(),
        ];
        [self.experiment.into(), id.into(), repeat.into(), self::run(id, repeat).into()]
            .into_iter()
            .chain(own)
            .chain([stale.into(), self.control.into(), asked.into()])
            .chain(of_import)
            .chain(of_call)
            .chain(self.factors.iter().map(|name| levels.get(name).cloned().into()))
            .chain(metrics.iter().map(|name| number(known.get(*name).copied().flatten())))
            .collect()
    }
}

/// Levels of imported runs that are no axes.
fn levels_beside(cell: &Cell) -> impl Iterator<Item = (&str, &str)> {
    cell.runs.values().flat_map(beside)
}

fn beside(run: &RunRecord) -> impl Iterator<Item = (&str, &str)> {
    let recorded = run.imported.iter().flat_map(|own| &own.recorded);
    recorded.map(|(name, text)| (name.as_str(), text.as_str()))
}

/// As [`level`], of one that is kept as text.
fn read_level(name: &str, text: &str) -> Value {
    match factor::scalar(name, text) {
        Scalar::Integer(number) => number.into(),
        Scalar::Float(own) => number(Some(own)),
        _ => text.into(),
    }
}

/// In the factor's base unit (tokens per second, bytes, …) where it is a number; a default is a word.
fn level(factor: &NamedLevel) -> Value {
    match factor.number {
        Some(value) => number(Some(value)),
        None => factor.text.as_str().into(),
    }
}

/// A run in all tables.
fn run(cell: &str, repeat: u32) -> String {
    format!("{cell}/{repeat}")
}

fn words(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|name| (*name).to_owned()).collect()
}

fn interval(ends: Option<[f64; 2]>) -> [Value; 2] {
    [number(ends.map(|ends| ends[0])), number(ends.map(|ends| ends[1]))]
}

/// Whole numbers without a fraction; unknown is null, an interval without an end ends at `inf`.
fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.is_infinite() => value.to_string().into(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => (value as i64).into(),
        value => value.into(),
    }
}

impl Table {
    /// As CSV with a header; unknown is empty, numbers have the fewest digits that read back the
    /// same. `for_spreadsheet`: text that such a program would run as a formula has an apostrophe before it.
    pub fn write_csv(&self, to: impl Write, for_spreadsheet: bool) -> Result<(), csv::Error> {
        let text = |text: &str| {
            let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            if for_spreadsheet && is_formula { format!("'{text}") } else { text.to_owned() }
        };
        let mut writer = csv::Writer::from_writer(to);
        writer.write_record(self.columns.iter().map(|name| text(name)))?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|value| match value {
                Value::Null => String::new(),
                Value::String(own) => text(own),
                // Rust writes the shortest form that reads back the same, whole numbers without `.0`
                number => number.as_f64().map_or_else(String::new, |number| number.to_string()),
            }))?;
        }
        writer.flush()?;
        Ok(())
    }

    /// As a JSON array of objects; unknown is null.
    pub fn write_json(&self, mut to: impl Write) -> std::io::Result<()> {
        to.write_all(b"[")?;
        for (index, row) in self.rows.iter().enumerate() {
            to.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            let object: indexmap::IndexMap<&String, &Value> =
                self.columns.iter().zip(row).collect();
            serde_json::to_writer(&mut to, &object)?;
        }
        to.write_all(b"\n]\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text_there_and_data_elsewhere() {
        let rows =
            vec![vec!["=cmd|' /C calc'!A0".into(), "@SUM(1)".into(), (-1.5).into(), "a=b".into()]];
        let table = Table { columns: words(&["+a", "b", "c", "d"]), rows };
        let csv = |for_spreadsheet| {
            let mut text = Vec::new();
            table.write_csv(&mut text, for_spreadsheet).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(csv(false), "+a,b,c,d\n=cmd|' /C calc'!A0,@SUM(1),-1.5,a=b\n");
        assert_eq!(csv(true), "'+a,b,c,d\n'=cmd|' /C calc'!A0,'@SUM(1),-1.5,a=b\n");
    }
}
