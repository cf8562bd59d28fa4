//! The metrics of a run as a function of what is sealed with it: the files in its folder and what its
//! record says of the work and of the process.
//!
//! The executor computes them here before a run is sealed, and whoever computes them again later does it
//! here too, so both cannot differ. What needs other runs (solo controls, prices) is computed where tables
//! are made.

use std::path::Path;

use formats::protocol::{RECORD_FILE, Window};

use super::{Conditions, MetricsError, RunMetrics, of_calls, of_command, picked, read_record};
use super::{imported, machine, run, tokenize};
use crate::manifest::command::Pick;
use crate::plan::identity::IMPORT;
use crate::store::facts::{FACTS_FILE, Facts};
use crate::store::record::{MachineTime, Metrics, ProcessUsage, RunRecord};

/// What kind of work a run did, with what its files must be read by.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// Agents made calls.
    Scenario(Conditions<'a>),
    /// A tokenizer encoded a text.
    Tokenize,
    /// Nothing ran: it was read from earlier results.
    Import,
    /// A command ran. Records of earlier versions do not say when; then what needs it is not computed.
    Command { window: Option<Window>, picks: &'a [Pick] },
}

/// What the executor saw of a run from outside, which is sealed in its record.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub process: &'a ProcessUsage,
    /// `None` where the system does not tell it.
    pub machine: Option<&'a MachineTime>,
}

impl<'a> Seen<'a> {
    /// What a sealed record says.
    #[must_use]
    pub fn of(record: &'a RunRecord) -> Self {
        Self { process: &record.process, machine: record.machine.as_ref() }
    }
}

/// A kind of work that a later version recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this version does not know runs of the kind `{kind}`: use a newer runner")]
pub struct UnknownWork {
    pub kind: String,
}

impl<'a> Work<'a> {
    /// What a sealed run did, by its record. `picks` are the metrics declared for its files.
    pub fn of(record: &'a RunRecord, picks: &'a [Pick]) -> Result<Self, UnknownWork> {
        let asked = &record.identity;
        match asked.get("kind").map(|kind| kind.as_str().unwrap_or_default()) {
            None => Ok(Self::Scenario(Conditions {
                throttled: asked.get("throttle").is_some(),
                held_back: Conditions::holds_back(|name| asked["variant"].get(name).is_some()),
                cold: asked.get("cold").and_then(serde_json::Value::as_bool) == Some(true),
                serving: &record.serving,
            })),
            Some("tokenize") => Ok(Self::Tokenize),
            Some(IMPORT) => Ok(Self::Import),
            Some("command") => {
                let window = record.command.as_ref().and_then(|command| command.window);
                Ok(Self::Command { window, picks })
            }
            Some(kind) => Err(UnknownWork { kind: kind.to_owned() }),
        }
    }

    /// Computes everything from the artifacts in a run's folder and what the executor saw. A declared metric
    /// that cannot be picked is unknown.
    pub fn metrics(&self, folder: &Path, seen: Seen<'_>) -> Result<RunMetrics, MetricsError> {
        let of_run = |mut run: Metrics| {
            run.extend(machine::metrics(seen.machine));
            RunMetrics { calls: Vec::new(), agents: Vec::new(), run, calibration: None }
        };
        match self {
            Self::Scenario(conditions) => {
                let record = read_record(&folder.join(RECORD_FILE))?;
                of_calls(&record, folder, seen, *conditions)
            }
            Self::Tokenize => {
                let path = folder.join(RECORD_FILE);
                let record = read_record(&path)?.tokenize.ok_or_else(|| {
                    MetricsError::new(&path, &"it holds no record of a tokenizer's work")
                })?;
                tokenize::from_folder(folder, &record, seen.process).map(of_run)
            }
            Self::Import => {
                let facts = Facts::read(folder)
                    .map_err(|error| MetricsError::new(&folder.join(FACTS_FILE), &error))?;
                Ok(imported::of_facts(&facts))
            }
            Self::Command { window, picks } => {
                command(folder, seen.process, *window, picks).map(of_run)
            }
        }
    }
}

fn command(
    folder: &Path,
    process: &ProcessUsage,
    window: Option<Window>,
    picks: &[Pick],
) -> Result<Metrics, MetricsError> {
    let mut metrics = run::named([("cpu_s", process.cpu_s), ("peak_rss_mb", process.peak_rss_mb)]);
    if let Some(window) = window {
        let wall = super::ms(window.end_ns.saturating_sub(window.start_ns));
        metrics.insert("process_wall_ms".to_owned(), Some(wall));
        metrics.extend(of_command(folder, window, process)?);
    }
    metrics.extend(picked::known(folder, picks));
    Ok(metrics)
}
