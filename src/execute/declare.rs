//! What is kept of a plan before its first run: its cells, every criterion and the planned repeats, each with the
//! number of runs that could have been looked at when it was chosen.

use std::collections::{BTreeMap, HashMap, HashSet};

use formats::clock;

use crate::cells::NamedLevel;
use crate::manifest::criterion::Criterion;
use crate::plan::Plan;
use crate::store::executed::{
    self, Declared, ExecutedPlan, PLAN_FORMAT, PlannedCell, PlannedRepeats,
};
use crate::store::journal::{self, What};
use crate::store::{Store, StoreError};

/// Keeps the plan in `plan.json`.
pub fn declare(plan: &Plan, store: &Store) -> Result<(), StoreError> {
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
    let data = Data::of(plan, store)?;
    let (hypotheses, repeats) = (data.criteria(plan, &now), data.repeats(plan, &now));
    let executed = ExecutedPlan {
        format: PLAN_FORMAT,
        study: study.name.clone(),
        profile: study.profile.clone(),
        digest: executed::digest(&cells, &hypotheses, &repeats),
        manifest: study.source.text.to_string(),
        cells,
        hypotheses,
        repeats,
        changed: BTreeMap::new(),
        executed: now,
    };
    executed::write(store.layout(), executed, |name, declared| data.existed(name, declared))
}

/// The cells with finished runs, by their experiments. A filter narrows what is run, not what can be known: data
/// of cells outside of it count.
struct Data {
    /// By experiment, each cell's finished runs and its levels.
    experiments: BTreeMap<String, Vec<(usize, Vec<NamedLevel>)>>,
    /// Experiments with finished runs in cells that were planned last and are no longer.
    left: HashSet<String>,
}

impl Data {
    fn of(plan: &Plan, store: &Store) -> Result<Self, StoreError> {
        let study = plan.study();
        let whole = plan.whole();
        let before = executed::read(store.layout())?.map_or_else(Vec::new, |plan| plan.cells);
        let now: HashSet<String> =
            (0..).take(whole.cells()).map(|cell| whole.id(cell).hex()).collect();
        let gone: Vec<PlannedCell> =
            before.into_iter().filter(|cell| !now.contains(&cell.id)).collect();
        let finished = finished(now.iter().chain(gone.iter().map(|cell| &cell.id)), store)?;
        let left = gone.into_iter().filter(|cell| finished.contains_key(&cell.id));
        let left = left.flat_map(|cell| cell.experiments).collect();
        let of = |index: usize| {
            whole
                .experiment_cells(index)
                .into_iter()
                .filter_map(|cell| {
                    let runs = *finished.get(&whole.id(cell).hex())?;
                    Some((runs, whole.row_levels(index, cell)))
                })
                .collect()
        };
        let experiments = study.experiments.iter().enumerate();
        Ok(Self {
            experiments: experiments.map(|(index, own)| (own.name.clone(), of(index))).collect(),
            left,
        })
    }

    fn runs(&self, experiment: &str, concerned: impl Fn(&[NamedLevel]) -> bool) -> usize {
        let cells = self.experiments.get(experiment).into_iter().flatten();
        cells.filter(|(_, levels)| concerned(levels)).map(|(runs, _)| runs).sum()
    }

    fn criteria(&self, plan: &Plan, now: &str) -> BTreeMap<String, Declared> {
        let mut declared = BTreeMap::new();
        for experiment in &plan.study().experiments {
            for hypothesis in &experiment.hypotheses {
                let before =
                    self.runs(&experiment.name, |levels| hypothesis.criterion.concerns(levels));
                let name = executed::name(&experiment.name, &hypothesis.name);
                declared.insert(name, Declared::new(now, &hypothesis.document, before));
            }
        }
        declared
    }

    fn repeats(&self, plan: &Plan, now: &str) -> BTreeMap<String, Vec<PlannedRepeats>> {
        let planned = |experiment: &crate::manifest::study::Experiment| PlannedRepeats {
            since: now.to_owned(),
            repeats: experiment.settings.repeats,
            looks: experiment.settings.looks.clone(),
            until: experiment.settings.until.clone(),
            runs_before: self.runs(&experiment.name, |_| true),
        };
        let experiments = plan.study().experiments.iter();
        experiments.map(|own| (own.name.clone(), vec![planned(own)])).collect()
    }

    /// Whether a criterion that was declared earlier could have been held against data. One of an experiment that
    /// is gone or has data in cells that are gone, and one that this version cannot read, is kept: nothing is
    /// known of its data.
    fn existed(&self, name: &str, declared: &Declared) -> bool {
        let Some((experiment, _)) = name.split_once('/') else { return true };
        let Some(cells) = self.experiments.get(experiment) else { return true };
        if self.left.contains(experiment) {
            return true;
        }
        let Some((criterion, ..)) = Criterion::stored(&declared.criterion) else { return true };
        let known: Vec<Vec<NamedLevel>> = cells.iter().map(|(_, levels)| levels.clone()).collect();
        let criterion = criterion.on_cells(&known);
        self.runs(experiment, |levels| criterion.concerns(levels)) > 0
    }
}

/// By cell (32 hex digits), how many of its runs were ever finished: those that are stored, and by the
/// journal's word those that were measured again later.
fn finished<'a>(
    cells: impl Iterator<Item = &'a String>,
    store: &Store,
) -> Result<HashMap<String, usize>, StoreError> {
    let mut runs: HashSet<(String, u32)> = HashSet::new();
    for id in cells {
        runs.extend(store.runs(id).keys().map(|repeat| (id.clone(), *repeat)));
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
