//! What is kept of a plan before its first run: its cells, and every criterion with the number of runs
//! that could have been looked at when it was chosen.

use std::collections::{BTreeMap, HashMap, HashSet};

use formats::clock;

use crate::cells::NamedLevel;
use crate::plan::Plan;
use crate::store::executed::{self, Declared, ExecutedPlan, PLAN_FORMAT, PlannedCell};
use crate::store::journal::{self, What};
use crate::store::{Store, StoreError};

/// The plan as it is kept in `plan.json`.
pub fn executed_plan(plan: &Plan, store: &Store) -> Result<ExecutedPlan, StoreError> {
    let study = plan.study();
    let mut cells: Vec<PlannedCell> = (0..)
        .take(plan.cells())
        .map(|cell| PlannedCell {
            id: plan.id(cell).hex(),
            name: plan.name(cell),
            repeats: plan.repeats(cell),
            experiments: Vec::new(),
        })
        .collect();
    for (index, experiment) in study.experiments.iter().enumerate() {
        for cell in plan.experiment_cells(index).into_iter().chain(plan.experiment_controls(index))
        {
            let experiments = &mut cells[cell as usize].experiments;
            if experiments.last() != Some(&experiment.name) {
                experiments.push(experiment.name.clone());
            }
        }
    }
    let now = clock::utc_now();
    Ok(ExecutedPlan {
        format: PLAN_FORMAT,
        study: study.name.clone(),
        profile: study.profile.clone(),
        digest: executed::cells_digest(&cells),
        manifest: study.source.text.to_string(),
        cells,
        hypotheses: declarations(plan, store, &now)?,
        changed: BTreeMap::new(),
        executed: now,
    })
}

/// Every criterion of the study. A filter narrows what is run, not what can be known: data of cells
/// outside of it count.
fn declarations(
    plan: &Plan,
    store: &Store,
    now: &str,
) -> Result<BTreeMap<String, Declared>, StoreError> {
    let study = plan.study();
    let mut declared = BTreeMap::new();
    if study.experiments.iter().all(|experiment| experiment.hypotheses.is_empty()) {
        return Ok(declared);
    }
    let whole = plan.whole();
    let finished = finished(whole, store)?;
    for (index, experiment) in study.experiments.iter().enumerate() {
        let with_data: Vec<(usize, Vec<NamedLevel>)> = whole
            .experiment_cells(index)
            .into_iter()
            .filter_map(|cell| {
                let runs = *finished.get(&whole.id(cell).hex())?;
                Some((runs, whole.row_levels(index, cell)))
            })
            .collect();
        for hypothesis in &experiment.hypotheses {
            let concerned = with_data.iter().filter(|(_, at)| hypothesis.criterion.concerns(at));
            let before = concerned.map(|(runs, _)| runs).sum();
            let name = executed::name(&experiment.name, &hypothesis.name);
            declared.insert(name, Declared::new(now, &hypothesis.document, before));
        }
    }
    Ok(declared)
}

/// By cell (32 hex digits), how many of its runs were ever finished: those that are stored, and by the
/// journal's word those that were measured again later.
fn finished(plan: &Plan, store: &Store) -> Result<HashMap<String, usize>, StoreError> {
    let mut runs: HashSet<(String, u32)> = HashSet::new();
    for id in (0..).take(plan.cells()).map(|cell| plan.id(cell).hex()) {
        runs.extend(store.runs(&id).keys().map(|repeat| (id.clone(), *repeat)));
    }
    for entry in journal::read(&store.layout().journal())? {
        if let What::Finished { cell, repeat, .. } = entry.what {
            runs.insert((store.today(&cell).to_owned(), repeat));
        }
    }
    let mut counts = HashMap::new();
    for (cell, _) in runs {
        *counts.entry(cell).or_default() += 1;
    }
    Ok(counts)
}
