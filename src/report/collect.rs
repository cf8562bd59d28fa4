//! The plan and the store → [`Data`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::data::{
    Axis, Cell, Data, Experiment, ExperimentCell, FailedAttempt, NamedLevel, NamedText, RunFolder,
    StudyFacts,
};
use super::{
    controls, fallbacks, flamegraphs, imports, order, outliers, recommendations, setup, verdicts,
};
use crate::manifest::factor;
use crate::manifest::study::{self, Endpoint};
use crate::metrics::{self, price};
use crate::plan::{CellSpec, CellWork, Plan};
use crate::store::failed::GpuMemory;
use crate::store::record::{RunRecord, ServerMemory};
use crate::store::{Damaged, Store, StoreError, against_newest, counting, executed};

/// How many repeats each hypothesis of a plan needs, from what is stored of it.
#[must_use]
pub fn power(plan: &Plan, store: &Store) -> Vec<verdicts::PlannedHypothesis> {
    verdicts::planned(plan.whole(), &whole(plan.whole(), store))
}

/// Brings together what was planned and what is stored of it. `manifest_digest` is the SHA-256 of
/// the manifest's bytes, hex; `filters` are those of the plan, as given.
///
/// Where the plan that was executed cannot be read, nobody can tell which hypotheses were declared before their
/// data: they count as declared after them, and a warning says so.
pub fn collect(
    plan: &Plan,
    store: &Store,
    manifest_digest: &str,
    filters: &[String],
) -> Result<Data, StoreError> {
    let (executed, unreadable) = executed::read_if_sound(store.layout())?;
    let study = plan.study();
    let (fallbacks, settled) = fallbacks::collect(plan, store);
    let cells = measured(plan, store, &settled);
    let outliers = outliers::collect(&cells, &study.outliers);
    let experiments = study
        .experiments
        .iter()
        .zip(plan.common_blocks())
        .enumerate()
        .map(|(index, (own, common))| {
            let name = |other: usize| study.experiments[other].name.clone();
            let common_blocks = common.into_iter().map(name).collect();
            Experiment { common_blocks, ..experiment(plan, &cells, index, own) }
        })
        .filter(|experiment| filters.is_empty() || !experiment.cells.is_empty())
        .collect();
    let failed = attempts(store, &cells);
    let mut stand_ins = fallbacks::stand_ins(plan, store, &settled);
    set_price(stand_ins.iter_mut().map(|own| &mut own.cell), study.price);
    let flamegraphs = flamegraphs::flamegraphs(&cells, store);
    let (hypotheses, claims) = if std::ptr::eq(plan, plan.whole()) {
        verdicts::judge(plan, &cells, &failed, executed.as_ref())
    } else {
        let whole = whole(plan.whole(), store);
        let failed = attempts(store, &whole);
        verdicts::judge(plan, &whole, &failed, executed.as_ref())
    };
    let mut data = Data {
        imports: None,
        study: StudyFacts {
            name: study.name.clone(),
            title: study.title.clone(),
            profile: study.profile.clone(),
            results_name: study.results_name(),
            manifest: study.path.to_string_lossy().into_owned(),
            manifest_digest: manifest_digest.to_owned(),
            filters: filters.to_vec(),
            warnings: study
                .warnings
                .iter()
                .cloned()
                .chain(unreadable.as_deref().map(no_plan))
                .collect(),
            endpoints: study
                .endpoints
                .iter()
                .map(|(name, endpoint)| NamedText::new(name, setup::endpoint(endpoint)))
                .collect(),
        },
        experiments,
        cells,
        flamegraphs,
        failed,
        fallbacks,
        stand_ins,
        outliers,
        declared: metrics::declared(study),
        hypotheses,
        claims,
        recommendations: Vec::new(),
    };
    data.recommendations = recommendations::recommended(&study.recommendations, &data);
    data.imports = imports::imports(plan, &data);
    Ok(data)
}

/// The cells of a plan without filters, as verdicts need them.
fn whole(plan: &Plan, store: &Store) -> Vec<Cell> {
    measured(plan, store, &fallbacks::settled(plan, store))
}

/// Every cell of a plan with its runs, and with the repeats that are settled by what stands in for them.
fn measured(plan: &Plan, store: &Store, settled: &fallbacks::Settled) -> Vec<Cell> {
    let indices = 0..u32::try_from(plan.cells()).unwrap_or(u32::MAX);
    let mut cells: Vec<Cell> = indices.map(|index| cell(plan, store, index)).collect();
    controls::join(plan, &mut cells);
    set_price(cells.iter_mut(), plan.study().price);
    for (cell, repeats) in settled {
        cells[*cell as usize].fell_back = repeats.keys().copied().collect();
    }
    cells
}

/// What runs cost, where the study has a price.
fn set_price<'c>(cells: impl Iterator<Item = &'c mut Cell>, price: study::Price) {
    for run in cells.flat_map(|cell| cell.runs.values_mut()) {
        let priced = price::at_price(&run.metrics, price);
        run.metrics.extend(priced);
    }
}

fn cell(plan: &Plan, store: &Store, index: u32) -> Cell {
    let spec = plan.spec(index);
    let id = plan.id(index).hex();
    let repeats = plan.repeats(index);
    let factors = plan.factors(index);
    let mut runs = counting(store.runs(&id), repeats);
    pick(plan, store, index, &mut runs);
    let control = plan.is_control(index);
    let damaged = damaged(store, &id, repeats);
    let cell = assemble(store, id, plan.name(index), &spec, factors, runs);
    Cell { repeats, control, damaged, ..cell }
}

/// By repeat, what lies in the place of a run without being one that can be trusted.
fn damaged(store: &Store, id: &str, repeats: u32) -> BTreeMap<u32, String> {
    if store.damaged().is_empty() {
        return BTreeMap::new();
    }
    let at = |repeat| store.damaged_at(id, repeat).map(move |(_, own)| (repeat, own));
    let reason = |(repeat, own): (u32, &Damaged)| {
        (repeat, format!("{}: {}", store.layout().below(&own.folder), own.reason))
    };
    (1..=repeats).flat_map(at).map(reason).collect()
}

/// A cell with its runs.
pub(super) fn assemble(
    store: &Store,
    id: String,
    name: String,
    spec: &CellSpec,
    factors: Vec<NamedLevel>,
    runs: BTreeMap<u32, RunRecord>,
) -> Cell {
    Cell {
        name,
        repeats: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        control: false,
        factors,
        scenario: setup::scenario(spec),
        simulated: spec.agents().iter().any(|own| matches!(own.endpoint, Endpoint::Paced(_))),
        imported: matches!(spec.work, CellWork::Import(_)),
        throttled: spec.scenario().is_some_and(|scenario| scenario.throttle.is_some()),
        stale: against_newest(&runs),
        folders: runs
            .keys()
            .filter_map(|repeat| Some((*repeat, run_folder(store, store.folder(&id, *repeat)?))))
            .collect(),
        unsealed: store
            .unsealed()
            .iter()
            .filter(|own| own.current == id && runs.contains_key(&own.repeat))
            .map(|own| own.repeat)
            .collect(),
        runs,
        fell_back: BTreeSet::new(),
        damaged: BTreeMap::new(),
        id,
    }
}

fn run_folder(store: &Store, path: &Path) -> RunFolder {
    let below = path.strip_prefix(store.layout().root()).unwrap_or(path);
    RunFolder { path: path.to_owned(), link: format!("../{}", with_slashes(below)) }
}

fn with_slashes(path: &Path) -> String {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// Declared metrics as the manifest defines them today: from the sealed files, so that one that was
/// declared or corrected later is known of earlier runs, and no figure stands under a definition that
/// it was not made by.
fn pick(plan: &Plan, store: &Store, index: u32, runs: &mut BTreeMap<u32, RunRecord>) {
    let picks = plan.picks(index);
    if picks.is_empty() {
        return;
    }
    let id = plan.id(index).hex();
    for (repeat, run) in runs {
        let Some(folder) = store.folder(&id, *repeat) else { continue };
        run.metrics.extend(metrics::picked::known(folder, &picks));
    }
}

fn experiment(
    plan: &Plan,
    cells: &[Cell],
    index: usize,
    experiment: &study::Experiment,
) -> Experiment {
    let own = experiment_cells(plan, index);
    let axes = axes(&own);
    let solos = plan.experiment_solos(index).into_iter().map(|cell| cell as usize);
    let replicas: Vec<(usize, usize)> = plan
        .experiment_replicas(index)
        .into_iter()
        .map(|(cell, replica)| (cell as usize, replica as usize))
        .collect();
    let compared = own.iter().map(|own| own.cell).chain(replicas.iter().map(|(_, own)| *own));
    let settings = &experiment.settings;
    let happened =
        order::happened(settings.order, settings.repeats, compared.map(|cell| &cells[cell]));
    Experiment {
        replicas,
        common_blocks: Vec::new(),
        solos: solos.filter(|solo| own.iter().all(|own| own.cell != *solo)).collect(),
        name: experiment.name.clone(),
        title: experiment.title.clone(),
        repeats: experiment.settings.repeats,
        axes,
        scenarios: distinct(own.iter().filter_map(|own| cells[own.cell].scenario.as_ref())),
        settings: setup::settings(experiment, &happened),
        drift: happened.drift.filter(|_| !experiment.kind.is_import()),
        labels: experiment.labels.clone(),
        imported: experiment.kind.is_import(),
        baseline: experiment
            .baseline
            .iter()
            .map(|(name, level)| NamedText::new(name, factor::show(name, level)))
            .collect(),
        interleaved: experiment.settings.order == study::Order::Interleaved,
        controls: experiment.controls.iter().map(|control| control.name().to_owned()).collect(),
        probes: setup::probes(&experiment.probes),
        cells: own,
    }
}

/// In the order of the matrix, each cell once.
fn experiment_cells(plan: &Plan, experiment: usize) -> Vec<ExperimentCell> {
    let mut cells: indexmap::IndexMap<u32, ExperimentCell> = indexmap::IndexMap::new();
    for (cell, levels) in plan.experiment_rows(experiment) {
        let levels: Vec<NamedLevel> =
            levels.into_iter().map(|(name, level)| NamedLevel::new(name, level)).collect();
        match cells.entry(cell) {
            indexmap::map::Entry::Occupied(mut first) => first.get_mut().merged.push(levels),
            indexmap::map::Entry::Vacant(free) => {
                free.insert(ExperimentCell { cell: cell as usize, levels, merged: Vec::new() });
            }
        }
    }
    cells.into_values().collect()
}

fn distinct<'a>(texts: impl Iterator<Item = &'a NamedText>) -> Vec<NamedText> {
    texts.cloned().collect::<indexmap::IndexSet<_>>().into_iter().collect()
}

/// The axes with those levels that cells have after excludes, includes and overrides.
fn axes(cells: &[ExperimentCell]) -> Vec<Axis> {
    let mut found: indexmap::IndexMap<&str, Vec<&NamedLevel>> = indexmap::IndexMap::new();
    for level in cells.iter().flat_map(|cell| &cell.levels) {
        let levels = found.entry(&level.name).or_default();
        if levels.iter().all(|known| known.text != level.text) {
            levels.push(level);
        }
    }
    found
        .into_iter()
        .map(|(name, levels)| Axis {
            name: name.to_owned(),
            varies: levels.len() > 1,
            numeric: levels.iter().filter(|level| level.number.is_some()).count() > 1,
            levels: levels.into_iter().map(|level| level.text.clone()).collect(),
        })
        .collect()
}

/// What servers and GPUs held, in words; `None`: nobody told.
fn memory(servers: &BTreeMap<String, ServerMemory>, gpus: Option<&[GpuMemory]>) -> Option<String> {
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let servers = servers.iter().filter_map(|(endpoint, held)| {
        let models: Vec<String> = held
            .loaded
            .as_ref()?
            .iter()
            .map(|model| match model.vram_bytes {
                Some(vram) => format!("{} ({} VRAM)", model.name, gb(vram)),
                None => format!("{} (VRAM unknown)", model.name),
            })
            .collect();
        let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
        Some(format!("{endpoint} holds {models}"))
    });
    let gpus = gpus.into_iter().flatten().filter_map(|gpu| {
        let (used, total) = (gpu.used_mb? / 1e3, gpu.total_mb? / 1e3);
        Some(format!("GPU {}: {used:.1} of {total:.1} GB used", gpu.index))
    });
    let words: Vec<String> = servers.chain(gpus).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Failed attempts of the plan's cells, and those of which a crash left no cell.
fn attempts(store: &Store, cells: &[Cell]) -> Vec<FailedAttempt> {
    let known: std::collections::BTreeSet<&str> =
        cells.iter().map(|cell| cell.id.as_str()).collect();
    store
        .failures()
        .into_iter()
        .filter(|(_, failure)| failure.cell.as_deref().is_none_or(|cell| known.contains(cell)))
        .map(|(folder, failure)| FailedAttempt {
            cell: failure.cell,
            cell_name: failure.cell_name,
            repeat: failure.repeat,
            attempt: failure.attempt,
            cause: failure.cause,
            message: failure.message,
            configuration: failure.identity.as_ref().map(fallbacks::configuration),
            server_error: failure.server_error,
            gpu_memory_peak_mb: failure.gpu_memory_peak_mb,
            memory: memory(&failure.servers, failure.gpus.as_deref()),
            calls: failure.calls,
            finished: failure.finished,
            kept: folder
                .strip_prefix(store.layout().root())
                .map_or_else(|_| with_slashes(&folder), with_slashes),
        })
        .collect()
}

fn no_plan(reason: &str) -> String {
    format!(
        "plan.json of the results cannot be read ({reason}): when the hypotheses were declared is not known, so they \
         count as declared after the data, and criteria that were withdrawn are not seen. Put it back as it was; \
         otherwise the next `runner exec` with runs to make keeps it aside and writes it anew"
    )
}
