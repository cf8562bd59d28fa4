//! Everything a template finds by name, computed once and in a fixed order.

use std::collections::BTreeSet;

use serde::Serialize;

use super::answers::{self, Ending, Note};
use super::completeness::{self, Missing, Stale};
use super::controls::{self, IdleFloor};
use super::data::{Cell, Data, Experiment, FailedAttempt, NamedLevel, StudyFacts};
use super::deliverables::{self, Deliverable};
use super::fallbacks::FallbackTaken;
use super::flamegraphs::Flamegraph;
use super::imports::Imports;
use super::machine_load::{self, MachineLoad};
use super::outliers::OutlierTable;
use super::placement::{self, Placement};
use super::probes::{self, Probes};
use super::recommendations::Recommended;
use super::tokenizers::{self, Tokenizers};
use super::verdicts::Judged;
use super::witness::{self, PROFILER, Witness};
use crate::store::failed::CANCELLED;
use crate::store::record::{
    Calibration, ErrorSummary, MachineEvidence, Metrics, ModelEvidence, RELEASE, RUN_FILE,
    RunRecord,
};
use crate::verdict::Checked;

/// The names of a template.
#[derive(Debug, Serialize)]
pub struct Context<'a> {
    pub study: &'a StudyFacts,
    pub status: Status,
    pub experiments: Vec<ExperimentRow<'a>>,
    /// Every cell once.
    pub cells: Vec<CellView<'a>>,
    pub calibrations: Vec<CalibrationRow>,
    /// How much of what was measured was the client's own.
    pub witness: Witness<'a>,
    /// Loop lag of the idle control, by runtime.
    pub idle_floors: Vec<IdleFloor<'a>>,
    pub evidence: EvidenceTable<'a>,
    /// What other processes took of the machine; `None`: no run knows it.
    pub machine_load: Option<MachineLoad>,
    /// Where the models lay, of those whose servers tell.
    pub placements: Vec<Placement>,
    /// The probes outside the agent, as they speak of themselves.
    pub probes: Probes,
    pub flamegraphs: &'a [Flamegraph],
    pub deliverables: Vec<Deliverable>,
    /// `None`: the study has no tokenizer run.
    pub tokenizers: Option<Tokenizers<'a>>,
    pub failures: &'a [FailedAttempt],
    /// What was measured in place of runs that failed.
    pub fallbacks: &'a [FallbackTaken],
    pub outliers: &'a OutlierTable,
    /// Every hypothesis of the study with its verdict.
    pub hypotheses: &'a [Judged],
    /// Published numbers against stored runs.
    pub claims: &'a [Checked],
    pub recommendations: &'a [Recommended],
    /// What was read from earlier results; `None`: nothing.
    pub imports: Option<&'a Imports>,
}

/// How far the study is.
#[derive(Debug, Serialize)]
pub struct Status {
    pub complete: bool,
    /// Cells and runs of the plan.
    pub cells: usize,
    pub planned: u32,
    /// Stored runs of the plan, stale ones included.
    pub done: usize,
    /// Runs that failed and in whose place a fallback stands.
    pub fell_back: usize,
    pub simulated: bool,
    /// Stored runs that were read from earlier results.
    pub imported: usize,
    pub throttled: bool,
    pub first_started: Option<String>,
    pub last_finished: Option<String>,
    pub missing: Vec<Missing>,
    pub stale: Vec<Stale>,
    /// Stored runs of which the journal does not say that they were sealed.
    pub unsealed: usize,
}

/// An experiment with its cells and how their measured calls ended.
#[derive(Debug, Serialize)]
pub struct ExperimentRow<'a> {
    #[serde(flatten)]
    pub facts: &'a Experiment,
    pub cells: Vec<CellView<'a>>,
    /// Solo controls that it needs beyond its own cells.
    pub solos: Vec<CellView<'a>>,
    /// Its cells under another label, for the control `aa`.
    pub replicas: Vec<CellView<'a>>,
    pub done: usize,
    pub planned: u32,
    pub simulated: bool,
    /// How its calls ended.
    pub endings: Vec<Ending>,
    /// What is to be known of its measured calls beside that.
    pub notes: Vec<Note>,
    pub failed_attempts: usize,
    pub hypotheses: Vec<&'a Judged>,
}

/// A cell without its runs.
#[derive(Debug, Serialize)]
pub struct CellView<'a> {
    pub id: &'a str,
    pub short: &'a str,
    pub name: &'a str,
    /// On the experiment's axes; all factors where there is no experiment.
    pub levels: &'a [NamedLevel],
    pub factors: &'a [NamedLevel],
    pub done: usize,
    pub planned: u32,
    pub simulated: bool,
}

impl<'a> CellView<'a> {
    pub fn new(cell: &'a Cell, levels: &'a [NamedLevel]) -> Self {
        Self {
            id: &cell.id,
            short: cell.short(),
            name: &cell.name,
            levels,
            factors: &cell.factors,
            done: cell.runs.len(),
            planned: cell.planned(),
            simulated: cell.simulated,
        }
    }
}

/// A run as lists show it.
#[derive(Debug, Serialize)]
pub struct RunRow<'a> {
    /// `<id8>/<repeat>`.
    pub id: String,
    pub cell_name: &'a str,
    pub repeat: u32,
    pub attempt: u32,
    /// Version of the document that it was identified by.
    pub identity_version: u32,
    /// RFC 3339, UTC; `None`: unknown.
    pub started: Option<&'a str>,
    pub finished: Option<&'a str>,
    pub metrics: &'a Metrics,
    /// Its folder, from that of the report.
    pub folder: Option<&'a str>,
    /// Paths of its artifacts within the run's folder.
    pub files: Vec<&'a str>,
}

impl<'a> RunRow<'a> {
    pub fn new(cell: &'a Cell, run: &'a RunRecord) -> Self {
        Self {
            id: format!("{}/{}", cell.short(), run.repeat),
            cell_name: &cell.name,
            repeat: run.repeat,
            attempt: run.attempt,
            identity_version: run.identity_version,
            started: run.started.as_deref(),
            finished: run.finished.as_deref(),
            metrics: &run.metrics,
            folder: cell.folders.get(&run.repeat).map(|folder| folder.link.as_str()),
            files: run.files.keys().map(String::as_str).collect(),
        }
    }
}

/// A calibration and the number of runs that were made under it.
#[derive(Debug, Serialize)]
pub struct CalibrationRow {
    #[serde(flatten)]
    pub calibration: Calibration,
    pub runs: usize,
}

/// Circumstances of the runs, each once.
#[derive(Debug, Serialize)]
pub struct EvidenceTable<'a> {
    pub machines: Vec<&'a MachineEvidence>,
    /// Versions of `runner` with the digest of the executable.
    pub runners: Vec<Digested<'a>>,
    pub agents: Vec<Digested<'a>>,
    pub gits: Vec<Git<'a>>,
    pub servers: Vec<Server<'a>>,
    pub models: Vec<Model<'a>>,
    /// Runs whose metrics were computed again after they were measured, by what computed them last.
    pub recomputed: Vec<Recomputed<'a>>,
    /// Runs whose metrics stand on files that are not as they were measured.
    pub accepted: Vec<Accepted<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Recomputed<'a> {
    /// Of `runner`.
    pub version: &'a str,
    pub digest: Option<&'a str>,
    pub runs: usize,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Accepted<'a> {
    /// `<id8>/<repeat>`.
    pub run: String,
    pub cell_name: &'a str,
    /// Within the run's folder.
    pub files: BTreeSet<&'a str>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Digested<'a> {
    pub name: &'a str,
    pub version: Option<&'a str>,
    pub digest: Option<&'a str>,
    /// It was compiled without optimisation, which measures more slowly.
    pub debug: bool,
    /// What it is built on.
    pub details: Vec<(&'a str, &'a str)>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Git<'a> {
    pub commit: Option<&'a str>,
    pub dirty: bool,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Server<'a> {
    pub endpoint: &'a str,
    pub kind: &'a str,
    /// What answered, as it calls itself.
    pub software: Option<&'a str>,
    pub version: Option<&'a str>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Model<'a> {
    pub endpoint: &'a str,
    /// As it was asked for.
    pub name: &'a str,
    #[serde(flatten)]
    pub facts: &'a ModelEvidence,
}

impl<'a> Context<'a> {
    pub fn new(data: &'a Data) -> Self {
        Self {
            study: &data.study,
            status: status(data),
            experiments: data
                .experiments
                .iter()
                .map(|experiment| experiment_row(data, experiment))
                .collect(),
            cells: data.cells.iter().map(|cell| CellView::new(cell, &cell.factors)).collect(),
            calibrations: calibrations(data),
            witness: witness::witness(data),
            idle_floors: controls::idle_floors(data),
            evidence: evidence(data),
            machine_load: machine_load::machine_load(data),
            placements: placement::placements(data),
            probes: probes::probes(data),
            flamegraphs: &data.flamegraphs,
            deliverables: deliverables::deliverables(data),
            tokenizers: tokenizers::tokenizers(data),
            failures: &data.failed,
            fallbacks: &data.fallbacks,
            outliers: &data.outliers,
            hypotheses: &data.hypotheses,
            claims: &data.claims,
            recommendations: &data.recommendations,
            imports: data.imports.as_ref(),
        }
    }
}

fn status(data: &Data) -> Status {
    let runs = || data.cells.iter().flat_map(|cell| cell.runs.values());
    let missing = completeness::missing(data);
    let stale = completeness::stale(data);
    Status {
        complete: missing.is_empty() && stale.is_empty(),
        cells: data.cells.len(),
        planned: data.cells.iter().map(Cell::planned).sum(),
        done: runs().count(),
        fell_back: data.cells.iter().map(|cell| cell.fell_back.len()).sum(),
        simulated: data.cells.iter().any(|cell| cell.simulated),
        imported: runs().filter(|run| run.imported.is_some()).count(),
        throttled: data.cells.iter().any(|cell| cell.throttled),
        first_started: runs().filter_map(|run| run.started.clone()).min(),
        last_finished: runs().filter_map(|run| run.finished.clone()).max(),
        unsealed: data.cells.iter().map(|cell| cell.unsealed.len()).sum(),
        missing,
        stale,
    }
}

fn experiment_row<'a>(data: &'a Data, experiment: &'a Experiment) -> ExperimentRow<'a> {
    let own: Vec<&Cell> = experiment.cells.iter().map(|own| &data.cells[own.cell]).collect();
    let ids: BTreeSet<&str> = own.iter().map(|cell| cell.id.as_str()).collect();
    let of_this = |f: &&FailedAttempt| f.cell.as_deref().is_some_and(|id| ids.contains(id));
    let failed = || data.failed.iter().filter(|f| f.cause != CANCELLED).filter(of_this);
    ExperimentRow {
        facts: experiment,
        cells: experiment
            .cells
            .iter()
            .map(|own| CellView::new(&data.cells[own.cell], &own.levels))
            .collect(),
        solos: experiment
            .solos
            .iter()
            .map(|solo| CellView::new(&data.cells[*solo], &data.cells[*solo].factors))
            .collect(),
        replicas: experiment
            .replicas
            .iter()
            .map(|(_, own)| CellView::new(&data.cells[*own], &data.cells[*own].factors))
            .collect(),
        done: own.iter().map(|cell| cell.runs.len()).sum(),
        planned: own.iter().map(|cell| cell.planned()).sum(),
        simulated: own.iter().any(|cell| cell.simulated),
        endings: answers::endings(own.iter().copied(), failed()),
        notes: answers::notes(own.iter().copied()),
        failed_attempts: failed().count(),
        hypotheses: data
            .hypotheses
            .iter()
            .filter(|one| one.experiment == experiment.name)
            .collect(),
    }
}

pub(super) fn calibrations(data: &Data) -> Vec<CalibrationRow> {
    let mut rows: Vec<CalibrationRow> = Vec::new();
    for run in data.cells.iter().flat_map(|cell| cell.runs.values()) {
        let Some(mut calibration) = run.evidence.calibration.clone() else { continue };
        // A run that measures itself under the profiler says nothing of the others.
        if let Some(probe) = run.identity["probes"].get(PROFILER).filter(|_| calibration.own) {
            calibration.settings.insert(PROFILER.to_owned(), probe.clone());
        }
        match rows.iter_mut().find(|row| is_of(&row.calibration, &calibration)) {
            Some(row) => {
                row.runs += 1;
                row.calibration = worst(&row.calibration, &calibration);
            }
            None => rows.push(CalibrationRow { calibration, runs: 1 }),
        }
    }
    rows
}

/// Whether two stand in one row: they are the same, or of runs of one kind that measured themselves.
fn is_of(row: &Calibration, other: &Calibration) -> bool {
    let kind = |own: &Calibration| {
        (own.runtime.clone(), own.settings.clone(), own.apis.clone(), own.streams)
    };
    let rates = (row.rate_tok_s / other.rate_tok_s).ln().abs();
    row == other || (row.own && other.own && kind(row) == kind(other) && rates < 0.1)
}

/// The larger of each error; the values that they were measured from together.
fn worst(one: &Calibration, other: &Calibration) -> Calibration {
    if !one.own {
        return one.clone();
    }
    let larger = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
    let error = |a: ErrorSummary, b: ErrorSummary| ErrorSummary {
        mean: larger(a.mean, b.mean),
        p50: a.p50.max(b.p50),
        p99: larger(a.p99, b.p99),
        max: a.max.max(b.max),
    };
    Calibration {
        calls: one.calls.zip(other.calls).map(|(one, other)| one + other),
        samples: one.samples + other.samples,
        ttft_error_ms: error(one.ttft_error_ms, other.ttft_error_ms),
        gap_error_ms: error(one.gap_error_ms, other.gap_error_ms),
        ..one.clone()
    }
}

fn evidence(data: &Data) -> EvidenceTable<'_> {
    let mut table = EvidenceTable {
        machines: Vec::new(),
        runners: Vec::new(),
        agents: Vec::new(),
        gits: Vec::new(),
        servers: Vec::new(),
        models: Vec::new(),
        recomputed: recomputed(data),
        accepted: accepted(data),
    };
    for run in data.cells.iter().flat_map(|cell| cell.runs.values()) {
        let evidence = &run.evidence;
        once(&mut table.machines, &evidence.machine);
        let runner = Digested {
            name: "runner",
            version: Some(&evidence.runner.version),
            digest: evidence.runner.digest.as_deref(),
            debug: false,
            details: Vec::new(),
        };
        once(&mut table.runners, runner);
        let info = evidence.agent.info.as_ref();
        let agent = Digested {
            name: &evidence.agent.runtime,
            version: info.map(|info| info.version.as_str()),
            digest: evidence.agent.digest.as_deref(),
            debug: evidence.agent.profile.as_deref().is_some_and(|profile| profile != RELEASE),
            details: info
                .map(|info| info.details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect())
                .unwrap_or_default(),
        };
        once(&mut table.agents, agent);
        let git = evidence.study_git.as_ref();
        let git = Git {
            commit: git.map(|git| git.commit.as_str()),
            dirty: git.is_some_and(|git| git.dirty),
        };
        once(&mut table.gits, git);
        for (name, endpoint) in &evidence.endpoints {
            let server = Server {
                endpoint: name,
                kind: &endpoint.kind,
                software: endpoint.server.as_deref(),
                version: endpoint.version.as_deref(),
            };
            once(&mut table.servers, server);
            for (model, facts) in &endpoint.models {
                once(&mut table.models, Model { endpoint: name, name: model, facts });
            }
        }
    }
    table
}

fn recomputed(data: &Data) -> Vec<Recomputed<'_>> {
    let mut found: Vec<Recomputed> = Vec::new();
    for run in data.cells.iter().flat_map(|cell| cell.runs.values()) {
        let Some(by) = run.recomputed.last() else { continue };
        let (version, digest) = (by.runner.version.as_str(), by.runner.digest.as_deref());
        match found.iter_mut().find(|known| (known.version, known.digest) == (version, digest)) {
            Some(known) => known.runs += 1,
            None => found.push(Recomputed { version, digest, runs: 1 }),
        }
    }
    found
}

fn accepted(data: &Data) -> Vec<Accepted<'_>> {
    let mut found = Vec::new();
    for cell in &data.cells {
        for run in cell.runs.values() {
            // What was edited in a record stays in those that followed from it.
            let edited = run.recomputed.iter().flat_map(|by| by.accepted.keys());
            let edited = edited.filter(|file| *file == RUN_FILE);
            let files = run.recomputed.last().into_iter().flat_map(|by| by.accepted.keys());
            let files: BTreeSet<&str> = files.chain(edited).map(String::as_str).collect();
            if !files.is_empty() {
                let run = format!("{}/{}", cell.short(), run.repeat);
                found.push(Accepted { run, cell_name: &cell.name, files });
            }
        }
    }
    found
}

fn once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
