//! What a report is made of: the study's plan and the stored runs, brought together.
//!
//! Plain data, so that selection and rendering know neither the manifest nor the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::fallbacks::FallbackTaken;
use super::flamegraphs::Flamegraph;
use super::imports::Imports;
use super::outliers::OutlierTable;
use super::recommendations::Recommended;
use super::verdicts::Judged;
pub use crate::cells::NamedLevel;
use crate::metrics::{self, DeclaredMetric, MetricInfo};
use crate::store::failed::CallOutcome;
use crate::store::record::RunRecord;
use crate::verdict::Checked;

/// A study with all that is stored of it.
#[derive(Debug, Clone)]
pub struct Data {
    pub study: StudyFacts,
    /// In the order of the manifest.
    pub experiments: Vec<Experiment>,
    /// Every cell once, in the order of the plan.
    pub cells: Vec<Cell>,
    /// Of the runs with that probe, in the order of the plan.
    pub flamegraphs: Vec<Flamegraph>,
    /// In the order of their ends.
    pub failed: Vec<FailedAttempt>,
    /// In the order of their decisions.
    pub fallbacks: Vec<FallbackTaken>,
    /// The runs that stand in the place of others, by their cells; without those of planned cells.
    pub stand_ins: Vec<StandIn>,
    pub outliers: OutlierTable,
    /// Of the experiments in the plan, in the order of the manifest.
    pub hypotheses: Vec<Judged>,
    /// Published numbers, in the order of the manifest.
    pub claims: Vec<Checked>,
    pub recommendations: Vec<Recommended>,
    /// Metrics that the study declares.
    pub declared: Vec<DeclaredMetric>,
    /// What was read from earlier results; `None`: nothing.
    pub imports: Option<Imports>,
}

impl Data {
    /// Every metric, those of the catalogue first.
    pub fn metrics(&self) -> impl Iterator<Item = MetricInfo<'_>> {
        metrics::all(&self.declared)
    }
}

/// The study itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StudyFacts {
    pub name: String,
    pub title: Option<String>,
    pub profile: Option<String>,
    /// Folder under the results folder.
    pub results_name: String,
    /// Path of the manifest, as given.
    pub manifest: String,
    /// SHA-256 of the manifest's bytes, hex.
    pub manifest_digest: String,
    /// The filters of the plan, as given; empty: the whole study.
    pub filters: Vec<String>,
    pub warnings: Vec<String>,
    /// What each endpoint is, in the order of the manifest.
    pub endpoints: Vec<NamedText>,
}

/// A name with a text for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NamedText {
    pub name: String,
    pub text: String,
}

impl NamedText {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// An experiment and the cells that belong to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Experiment {
    pub name: String,
    pub title: Option<String>,
    pub repeats: u32,
    /// Axis and its levels, readable.
    pub axes: Vec<Axis>,
    /// Which agents work at the same time on which endpoints, by scenario.
    pub scenarios: Vec<NamedText>,
    /// Settings in words (`timeout` → `120 s`).
    pub settings: Vec<NamedText>,
    /// Axes that tell cells apart, and that comparisons do not look at.
    pub labels: Vec<String>,
    /// Its runs are read from earlier results.
    pub imported: bool,
    /// Level of the baseline by axis.
    pub baseline: Vec<NamedText>,
    /// Its runs are ordered in blocks: every cell once before any cell's next repeat.
    pub interleaved: bool,
    /// Why a drift of the machine may be in its differences, a sentence; `None` where its cells are mixed in
    /// time.
    pub drift: Option<String>,
    /// Names of the other experiments whose cells are ordered in the same blocks.
    pub common_blocks: Vec<String>,
    pub controls: Vec<String>,
    pub probes: Vec<String>,
    /// In the order of the matrix.
    #[serde(skip)]
    pub cells: Vec<ExperimentCell>,
    /// Its solo controls that are not among its own cells: indices into [`Data::cells`].
    #[serde(skip)]
    pub solos: Vec<usize>,
    /// Its cells that are measured a second time, each with its replica: indices into [`Data::cells`].
    #[serde(skip)]
    pub replicas: Vec<(usize, usize)>,
}

/// One axis of an experiment's matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Axis {
    pub name: String,
    pub levels: Vec<String>,
    /// It has more than one level.
    pub varies: bool,
    /// At least two of its levels are numbers.
    pub numeric: bool,
}

/// A cell under an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentCell {
    /// Index into [`Data::cells`].
    pub cell: usize,
    /// In the order of the experiment's axes.
    pub levels: Vec<NamedLevel>,
    /// Levels of further rows of the matrix that came out as the same cell.
    pub merged: Vec<Vec<NamedLevel>>,
}

/// A cell and its runs.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says another thing of a cell")]
pub struct Cell {
    /// 32 hex digits.
    pub id: String,
    /// Readable name.
    pub name: String,
    /// Runs asked for: repeats 1 to this. Further stored runs are hidden, unless they were made
    /// because of outliers.
    pub repeats: u32,
    /// It is in no experiment's matrix and only there to interpret others.
    pub control: bool,
    pub factors: Vec<NamedLevel>,
    /// Its scenario with the agents in words; `None` where there are no agents.
    pub scenario: Option<NamedText>,
    /// An endpoint of it is the paced one.
    pub simulated: bool,
    /// Its runs are read from earlier results.
    pub imported: bool,
    pub throttled: bool,
    /// Stored runs by repeat, the planned ones only; with the metrics against their solo runs.
    pub runs: BTreeMap<u32, RunRecord>,
    /// Their folders.
    pub folders: BTreeMap<u32, RunFolder>,
    /// Of these, by repeat, how the stale ones differ from the newest.
    pub stale: BTreeMap<u32, Vec<String>>,
    /// Repeats that failed and in whose place a fallback stands.
    pub fell_back: BTreeSet<u32>,
    /// By repeat, where a run lies that cannot be trusted and counts as missing, and why.
    pub damaged: BTreeMap<u32, String>,
    /// Of the runs, those of which the journal does not say that they were sealed.
    pub unsealed: BTreeSet<u32>,
}

/// Runs of a cell in no experiment's matrix that were made in place of others.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// Its runs are those that stand in.
    pub cell: Cell,
    /// Names of the experiments of the cell that was asked for.
    pub experiments: Vec<String>,
    /// `solo` or `aa` where a control was asked for.
    pub control: Option<&'static str>,
    /// By repeat, the run that was asked for: its cell's 32 hex digits, `/` and its repeat.
    pub asked: BTreeMap<u32, String>,
}

/// Where a run lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    pub path: PathBuf,
    /// From the folder of the report, with `/`.
    pub link: String,
}

impl Cell {
    /// Repeats asked for, and runs that were made beyond them because of outliers.
    #[must_use]
    pub fn planned(&self) -> u32 {
        let further = self.runs.keys().filter(|repeat| **repeat > self.repeats).count();
        self.repeats + u32::try_from(further).unwrap_or(u32::MAX)
    }

    /// 8 hex digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }
}

/// An attempt that gave no run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedAttempt {
    /// 32 hex digits; `None` for what a crash left behind.
    pub cell: Option<String>,
    pub cell_name: String,
    pub repeat: u32,
    pub attempt: Option<u32>,
    pub cause: String,
    pub message: String,
    /// What was asked for, in words; `None` where it is not known.
    pub configuration: Option<String>,
    /// What the server answered, in its own words.
    pub server_error: Option<String>,
    /// Most in use on the GPUs during the attempt, as its probe saw it; `None`: unknown.
    pub gpu_memory_peak_mb: Option<f64>,
    /// What servers and GPUs held right after it, in words; `None`: unknown.
    pub memory: Option<String>,
    /// How its calls ended, as far as the agent left a readable record.
    pub calls: Vec<CallOutcome>,
    /// RFC 3339, UTC.
    pub finished: String,
    /// Folder of what is kept of it, relative to the study's results.
    pub kept: String,
}
