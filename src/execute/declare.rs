//! What is kept of a plan before its first run: its cells, every criterion and the planned repeats, each with the
//! number of runs that could have been looked at when it was chosen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use formats::clock;

use crate::plan::Plan;
use crate::store::executed::{
    self, Declared, ExecutedPlan, PLAN_FORMAT, PlannedCell, PlannedRepeats, Subject,
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
    let (hypotheses, repeats) = (data.criteria(&now), data.repeats(&now));
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
    executed::write(store.layout(), executed, |declared| data.existed(declared))
}

/// What is known of finished runs. A filter narrows what is run, not what can be known: data of cells outside of it
/// count.
struct Data<'a> {
    whole: &'a Plan,
    /// By cell (32 hex digits).
    finished: HashMap<String, usize>,
    /// The plan that was executed before.
    before: Option<ExecutedPlan>,
}

impl<'a> Data<'a> {
    fn of(plan: &'a Plan, store: &Store) -> Result<Self, StoreError> {
        let (whole, before) = (plan.whole(), executed::read(store.layout())?);
        let mut cells: BTreeSet<String> =
            (0..).take(whole.cells()).map(|cell| whole.id(cell).hex()).collect();
        if let Some(before) = &before {
            cells.extend(before.cells.iter().map(|cell| cell.id.clone()));
        }
        Ok(Self { whole, finished: finished(cells, store)?, before })
    }

    fn runs<'i>(&self, cells: impl IntoIterator<Item = &'i String>) -> usize {
        cells.into_iter().filter_map(|id| self.finished.get(id)).sum()
    }

    fn criteria(&self, now: &str) -> BTreeMap<String, Declared> {
        let mut declared = BTreeMap::new();
        for (index, experiment) in self.whole.study().experiments.iter().enumerate() {
            for hypothesis in &experiment.hypotheses {
                let name = executed::name(&experiment.name, &hypothesis.name);
                let subject = Subject::of(self.whole, index, hypothesis);
                let today = Declared::new(now, &hypothesis.document, self.runs(&subject.cells));
                let earlier = self.before.iter().flat_map(|plan| plan.declared(&name));
                let earlier = earlier.filter(|own| own.digest == today.digest);
                let left: BTreeSet<&String> = earlier
                    .filter_map(|own| own.subject.as_ref())
                    .flat_map(|own| &own.cells)
                    .filter(|id| !subject.cells.contains(id))
                    .collect();
                let runs_elsewhere = self.runs(left);
                let subject = Some(subject);
                declared.insert(name, Declared { subject, runs_elsewhere, ..today });
            }
        }
        declared
    }

    fn repeats(&self, now: &str) -> BTreeMap<String, Vec<PlannedRepeats>> {
        let experiments = self.whole.study().experiments.iter().enumerate();
        experiments
            .map(|(index, own)| {
                let cells = self.whole.experiment_cells(index).into_iter();
                let cells: Vec<String> = cells.map(|cell| self.whole.id(cell).hex()).collect();
                // runs without a plan, or with one of an earlier version: nobody knows what was planned
                let unknown = self.before.as_ref().is_none_or(|plan| plan.repeats.is_empty());
                let planned = PlannedRepeats {
                    since: now.to_owned(),
                    runs_before: Some(self.runs(&cells)).filter(|runs| !unknown || *runs == 0),
                    ..PlannedRepeats::of(&own.settings)
                };
                (own.name.clone(), vec![planned])
            })
            .collect()
    }

    /// Whether a criterion that was declared earlier could have been held against data. Of one that an earlier
    /// version wrote it is not known of which, and it is kept.
    fn existed(&self, declared: &Declared) -> bool {
        declared.subject.as_ref().is_none_or(|subject| self.runs(&subject.cells) > 0)
    }
}

/// By cell (32 hex digits), how many of its runs were ever finished: those that are stored, and by the
/// journal's word those that were measured again later.
fn finished(cells: BTreeSet<String>, store: &Store) -> Result<HashMap<String, usize>, StoreError> {
    let mut runs: HashSet<(String, u32)> = HashSet::new();
    for id in cells {
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
