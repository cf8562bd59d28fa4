//! `runner plan`: what a manifest comes to, against what is stored. Writes nothing, asks no server
//! unless told to.

mod power;
mod text;
mod why;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::study::python;
use super::{CommandResult, Failure, StudyArgs, exit, output, seals};
use crate::execute::{forecast, until};
use crate::manifest::factor;
use crate::manifest::study::{Control, Experiment, Order};
use crate::plan::{Plan, RunKey};
use crate::preflight::{Finding, Severity};
use crate::store::record::EndpointEvidence;
use crate::store::{self, Store, StoreError};

/// Cells of an experiment that are listed without `--all`.
const LISTED: usize = 40;
const CELL_BY_CELL: &str = "sequential: cells are measured one after the other, so that a drift of the \
    machine cannot be told from a difference between them";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// List every cell, however many there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    question: QuestionArgs,
}

/// What is asked of a plan besides what it is.
#[derive(Debug, clap::Args)]
struct QuestionArgs {
    /// Ask the servers whether the runs that are left can be made
    #[arg(long)]
    preflight: bool,
    /// Say field by field how this cell differs from the nearest stored one (its id or a part of its
    /// name)
    #[arg(long, value_name = "CELL")]
    why: Option<String>,
    /// Say how many repeats each hypothesis needs to be decided if it holds by the smallest effect that
    /// matters: from stored runs, or those of a pilot with a few repeats
    #[arg(long, conflicts_with_all = ["why", "preflight", "all"])]
    power: bool,
}

/// A plan as it is shown.
#[derive(Debug, Serialize)]
struct Overview {
    study: String,
    cells: usize,
    runs: u64,
    done: u64,
    stale: usize,
    /// Of the done ones, those that are stored under version 1 of identity.
    #[serde(skip_serializing_if = "is_zero")]
    identity_1: usize,
    /// Stored runs that no cell of the whole manifest asks for any more.
    #[serde(skip_serializing_if = "is_zero")]
    left_behind: usize,
    /// Cells that are only there to interpret others; among [`Overview::cells`].
    controls: usize,
    /// Of these, the cells of others measured a second time.
    replicas: usize,
    experiments: Vec<ExperimentView>,
    /// How often a server will load another model, in the order of the runs that are left.
    reloads: usize,
    /// How often a model is loaded because a run is to find its server empty.
    cold_loads: usize,
    /// Seconds that the runs that are left will take, from stored runs; `null`: there are none.
    estimate_s: Option<f64>,
    warnings: Vec<String>,
    /// Run folders whose records cannot be trusted; their runs are to be made again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
    /// Runs of which the journal does not say that they were sealed; they count as done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsealed: Vec<String>,
    /// `null`: not asked for.
    preflight: Option<Vec<Finding>>,
    /// What the servers that answered preflight say of themselves, by their endpoints' names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    servers: BTreeMap<String, EndpointEvidence>,
}

#[derive(Debug, Serialize)]
struct ExperimentView {
    name: String,
    title: Option<String>,
    order: String,
    /// What this order means for the differences between its cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_note: Option<&'static str>,
    /// Other experiments whose cells are in the same blocks, because they share cells with it or a claim
    /// takes cells of both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    common_blocks: Vec<String>,
    /// Axis → levels, in the order of the manifest.
    factors: Vec<FactorView>,
    fixed: BTreeMap<String, String>,
    repeats: u32,
    /// How it goes on beyond those, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// How many cells there are; `cells` may hold the first of them only.
    cell_count: usize,
    cells: Vec<CellView>,
    /// Solo controls of its cells; experiments may share them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    controls: Vec<CellView>,
    control_count: usize,
    /// Its cells under another label, for the control `aa`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replicas: Vec<CellView>,
    replica_count: usize,
}

#[derive(Debug, Serialize)]
struct FactorView {
    name: String,
    levels: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CellView {
    id: String,
    name: String,
    levels: Vec<String>,
    done: u32,
    repeats: u32,
    /// Of the done ones, those that are stored under version 1 of identity.
    #[serde(skip_serializing_if = "is_zero")]
    identity_1: usize,
    /// Repeat → what differs from today's circumstances.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stale: BTreeMap<u32, Vec<String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let store = open(&args.study, &plan)?;
    if let Some(cell) = &args.question.why {
        seals::warn(&store);
        let text = why::explain(&plan, &store, cell, args.json)?;
        output::print(&text)?;
        return Ok(exit::DONE);
    }
    if args.question.power {
        let text = power::explain(&plan, &store, args.json)?;
        output::print(&text)?;
        return Ok(exit::DONE);
    }
    let listed = if args.all || args.json { usize::MAX } else { LISTED };
    let overview = overview(&plan, &store, listed, args.question.preflight);
    let text = if args.json { output::json(&overview)? } else { text::overview(&overview) };
    output::print(&text)?;
    let blocks = |finding: &Finding| finding.severity == Severity::Blocking;
    let doomed = overview.preflight.is_some_and(|findings| findings.iter().any(blocks));
    Ok(if doomed { exit::PREFLIGHT_FAILED } else { exit::DONE })
}

fn open(args: &StudyArgs, plan: &Plan) -> Result<Store, Failure> {
    Store::of(plan, &args.results)
        .map_err(|error: StoreError| Failure::error(exit::INTERNAL, error))
}

/// In which order its runs are made, in a word.
fn order_name(experiment: &Experiment) -> String {
    if experiment.kind.is_import() {
        return "imported".to_owned();
    }
    format!("{:?}", experiment.settings.order).to_lowercase()
}

/// Whether several cells are measured one after the other.
fn is_cell_by_cell(plan: &Plan, index: usize) -> bool {
    let experiment = &plan.study().experiments[index];
    let cells = plan.experiment_cells(index).len() + plan.experiment_replicas(index).len();
    experiment.settings.order == Order::Sequential && !experiment.kind.is_import() && cells > 1
}

/// At most `listed` cells of each experiment are looked at one by one.
fn overview(plan: &Plan, store: &Store, listed: usize, preflight: bool) -> Overview {
    let study = plan.study();
    let stale = forecast::stale(plan, store, &python());
    let ids: Vec<String> = (0..).take(plan.cells()).map(|cell| plan.id(cell).hex()).collect();
    let is_done = |run: &RunKey| store.runs(&ids[run.cell as usize]).contains_key(&run.repeat);
    let order = plan.order();
    let left: Vec<RunKey> = order.iter().copied().filter(|run| !is_done(run)).collect();
    let common = plan.common_blocks();
    let experiments = study.experiments.iter().enumerate().map(|(index, experiment)| {
        let view = |cell: u32, levels: Vec<String>| {
            let repeats = plan.repeats(cell);
            let stale = stale.range(RunKey { cell, repeat: 0 }..=RunKey { cell, repeat: u32::MAX });
            let done = store.runs(&ids[cell as usize]).range(..=repeats).count();
            CellView {
                id: plan.id(cell).short(),
                name: plan.name(cell),
                levels,
                done: u32::try_from(done).unwrap_or(u32::MAX),
                repeats,
                identity_1: store::version_1(store.runs(&ids[cell as usize]).range(..=repeats)),
                stale: stale.map(|(run, why)| (run.repeat, why.clone())).collect(),
            }
        };
        let cells = plan.experiment_rows(index).take(listed).map(|(cell, levels)| {
            view(cell, levels.iter().map(|(name, level)| factor::show(name, level)).collect())
        });
        let controls = plan.experiment_solos(index);
        let replicas = plan.experiment_replicas(index);
        ExperimentView {
            name: experiment.name.clone(),
            title: experiment.title.clone(),
            order: order_name(experiment),
            order_note: is_cell_by_cell(plan, index).then_some(CELL_BY_CELL),
            common_blocks: common[index]
                .iter()
                .map(|other| study.experiments[*other].name.clone())
                .collect(),
            factors: experiment
                .axes
                .iter()
                .map(|(name, levels)| FactorView {
                    name: name.clone(),
                    levels: levels.iter().map(|level| factor::show(name, level)).collect(),
                })
                .collect(),
            fixed: experiment
                .fixed
                .iter()
                .map(|(name, level)| (name.clone(), factor::show(name, level)))
                .collect(),
            repeats: experiment.settings.repeats,
            until: until::in_words(experiment),
            cell_count: plan.experiment_rows(index).len(),
            cells: cells.collect(),
            control_count: controls.len(),
            controls: controls
                .into_iter()
                .take(listed)
                .map(|cell| view(cell, Vec::new()))
                .collect(),
            replica_count: replicas.len(),
            replicas: replicas
                .into_iter()
                .take(listed)
                .map(|(_, replica)| view(replica, Vec::new()))
                .collect(),
        }
    });
    let experiments: Vec<ExperimentView> = experiments.collect();
    let loads = plan.loads(&left);
    let asked = preflight.then(|| forecast::preflight(plan, store, &python()));
    let (servers, preflight) =
        asked.map_or_else(Default::default, |asked| (asked.servers, Some(asked.findings)));
    Overview {
        study: study.results_name(),
        cells: plan.cells(),
        controls: (0..).take(plan.cells()).filter(|cell| plan.is_control(*cell)).count(),
        replicas: (0..)
            .take(plan.cells())
            .filter(|cell| plan.control_of(*cell) == Some(Control::Aa))
            .count(),
        runs: plan.runs(),
        done: (order.len() - left.len()) as u64,
        stale: stale.len(),
        identity_1: (0..)
            .zip(&ids)
            .map(|(cell, id)| store::version_1(store.runs(id).range(..=plan.repeats(cell))))
            .sum(),
        left_behind: store.left_behind(plan).runs.len(),
        experiments,
        reloads: loads.changes,
        cold_loads: loads.cold,
        estimate_s: estimate(store, &ids, &left).map(|time| time.as_secs_f64()),
        warnings: study.warnings.clone(),
        damaged: seals::damaged(store),
        unsealed: seals::unsealed(store),
        servers,
        preflight,
    }
}

/// Time for the runs that are left: each takes as long as its cell's stored runs took on average, or
/// where the cell has none, as all stored runs of the plan.
fn estimate(store: &Store, ids: &[String], left: &[RunKey]) -> Option<Duration> {
    let mean =
        |times: &[f64]| (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64);
    let times: Vec<Vec<f64>> = ids.iter().map(|id| seconds(store, id)).collect();
    let overall = mean(&times.concat())?;
    let seconds: f64 =
        left.iter().map(|run| mean(&times[run.cell as usize]).unwrap_or(overall)).sum();
    Duration::try_from_secs_f64(seconds).ok()
}

/// How long each stored run of a cell took, from its start to its seal.
fn seconds(store: &Store, cell: &str) -> Vec<f64> {
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    store
        .runs(cell)
        .values()
        .filter_map(|run| {
            let taken = parse(run.finished.as_deref()?)?.duration_since(parse(run.began())?);
            Some(taken.as_secs_f64())
        })
        .filter(|seconds| *seconds >= 0.0)
        .collect()
}
