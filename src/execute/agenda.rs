//! The plan against the store: what is done, what is to do, what is stale.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::ExecEvent;
use super::opening::Stale;
use super::surroundings::Surroundings;
use crate::metrics::outliers;
use crate::plan::{CellId, CellSpec, Plan, RunKey};
use crate::preflight::{FallbackStep, Needs, Room};
use crate::store::fallback::Decision;
use crate::store::{self, Store, StoredSize, staleness};

/// Runs of a plan by what is to happen with them.
#[derive(Debug)]
pub struct Agenda {
    /// Those that failed and whose fallback is there included.
    pub done: usize,
    /// Runs that failed and whose fallback was decided but not made.
    decided: HashMap<RunKey, Decision>,
    /// Runs that failed and whose fallback is there.
    settled: HashMap<RunKey, Decision>,
    /// In the plan's order.
    pub todo: Vec<RunKey>,
    /// By run to do, the outlier that it is made for.
    reruns: HashMap<RunKey, u32>,
    /// Cells with runs to do, in full.
    specs: HashMap<u32, CellSpec>,
    /// Of the study's runs.
    stored: Option<StoredSize>,
}

/// Finished runs whose evidence differs from today's, with the differences.
pub type StaleRuns = BTreeMap<RunKey, Vec<String>>;

impl Agenda {
    #[must_use]
    pub fn new(plan: &Plan, store: &Store) -> Self {
        let ids: Vec<String> = (0..).take(plan.cells()).map(|cell| plan.id(cell).hex()).collect();
        let order = plan.order();
        let planned = order.len();
        let mut decided = standing(plan, store);
        let mut missing: Vec<RunKey> = order
            .into_iter()
            .filter(|run| !store.runs(&ids[run.cell as usize]).contains_key(&run.repeat))
            .collect();
        let absent: HashSet<RunKey> = missing.iter().copied().collect();
        decided.retain(|run, _| absent.contains(run));
        let is_there = |_: &RunKey, decision: &mut Decision| {
            store.runs(&decision.to).contains_key(&decision.repeat)
        };
        let settled: HashMap<RunKey, Decision> = decided.extract_if(is_there).collect();
        missing.retain(|run| !settled.contains_key(run));
        let mut agenda = Self {
            done: planned - missing.len(),
            decided,
            settled,
            reruns: HashMap::new(),
            todo: Vec::new(),
            specs: HashMap::new(),
            stored: store.run_size(),
        };
        agenda.add(plan, missing);
        agenda
    }

    /// Adds runs to do.
    fn add(&mut self, plan: &Plan, runs: Vec<RunKey>) {
        for run in &runs {
            self.specs.entry(run.cell).or_insert_with(|| plan.spec(run.cell));
        }
        self.todo.extend(runs);
    }

    /// Moves stale runs from the done ones to those to do, and puts all into the plan's order.
    pub fn add_stale(&mut self, plan: &Plan, stale: &StaleRuns) {
        let before = self.todo.len();
        self.add(plan, stale.keys().copied().collect());
        self.done -= self.todo.len() - before;
        let wanted: HashSet<RunKey> = self.todo.drain(..).collect();
        self.todo = plan.order().into_iter().filter(|run| wanted.contains(run)).collect();
        let mut reruns: Vec<RunKey> = self.reruns.keys().copied().collect();
        reruns.sort_unstable();
        self.todo.extend(reruns);
    }

    /// What the cells need that are to be measured: where a fallback is decided, only that. And what
    /// the steps need that may have to be taken.
    #[must_use]
    pub fn needs(&self, plan: &Plan) -> Needs {
        let own = |cell: &u32| Some((plan.id(*cell), self.specs.get(cell)?.clone()));
        let open = self.todo.iter().filter(|run| !self.decided.contains_key(run));
        let open: BTreeSet<u32> = open.map(|run| run.cell).collect();
        let mut asked: HashMap<CellId, CellSpec> = open.iter().filter_map(own).collect();
        // By cell, the steps that are behind it.
        let mut steps: BTreeMap<u32, usize> = open.into_iter().map(|cell| (cell, 0)).collect();
        for (run, decision) in &self.decided {
            let fallback = plan.fallback(run.cell, decision.step);
            asked.extend(fallback.map(|fallback| (fallback.id, fallback.spec)));
            let behind = steps.entry(run.cell).or_insert(decision.step);
            *behind = decision.step.min(*behind);
        }
        let room = Room { runs: self.todo.len(), stored: self.stored };
        Needs { room, ..needs(plan, &asked, steps) }
    }

    /// Adds a run for every outlier that has none yet, under the next free repeats of its cell. A
    /// cell gets as many of them as it has repeats, so that there is an end.
    pub fn add_outliers(&mut self, plan: &Plan, store: &Store) {
        let rule = &plan.study().outliers;
        for cell in cells(plan) {
            let stored = store.runs(&plan.id(cell).hex());
            let counting = store::counting(stored, plan.repeats(cell));
            let stale = store::against_newest(&counting);
            let fresh = counting.values().filter(|run| !stale.contains_key(&run.repeat));
            let made: HashSet<u32> = counting.values().filter_map(|run| run.rerun_of).collect();
            let outliers = outliers::flagged(&fresh, rule);
            let wanted: BTreeSet<u32> = outliers
                .iter()
                .map(|outlier| outlier.repeat)
                .filter(|r| !made.contains(r))
                .collect();
            let room = (plan.repeats(cell) as usize).saturating_sub(made.len());
            let last = stored.keys().next_back().copied().unwrap_or(0).max(plan.repeats(cell));
            let runs: Vec<RunKey> = (last + 1..)
                .zip(wanted.into_iter().take(room))
                .map(|(repeat, outlier)| {
                    let run = RunKey { cell, repeat };
                    self.reruns.insert(run, outlier);
                    run
                })
                .collect();
            if !runs.is_empty() {
                self.add(plan, runs);
            }
        }
    }

    /// The outlier that a run is made for.
    #[must_use]
    pub fn rerun_of(&self, run: RunKey) -> Option<u32> {
        self.reruns.get(&run).copied()
    }

    /// What was decided after an earlier failure of the run, if that is still to be made.
    #[must_use]
    pub fn decided(&self, run: RunKey) -> Option<&Decision> {
        self.decided.get(&run)
    }

    /// The fallback that stands in for the run.
    #[must_use]
    pub fn settled(&self, run: RunKey) -> Option<&Decision> {
        self.settled.get(&run)
    }

    /// A cell with runs to do.
    #[must_use]
    pub fn spec(&self, cell: u32) -> Option<&CellSpec> {
        self.specs.get(&cell)
    }

    /// Says what should be known before.
    pub fn tell(policy: Stale, stale: &StaleRuns, store: &Store, emit: &mut dyn FnMut(ExecEvent)) {
        for damaged in store.damaged() {
            let folder = store.layout().relative(&damaged.folder);
            emit(ExecEvent::Note { message: format!("{folder} is damaged: {}", damaged.reason) });
        }
        if policy == Stale::List && !stale.is_empty() {
            emit(ExecEvent::Note { message: stale_note(stale) });
        }
    }
}

/// The decisions that stand and that the manifest would take again. Those of which it says something
/// else today are void, and so are all if the journal cannot be read: the runs are tried anew.
pub(super) fn standing(plan: &Plan, store: &Store) -> HashMap<RunKey, Decision> {
    let decisions = store.decisions().unwrap_or_default();
    let mut standing = HashMap::new();
    let open: Vec<Decision> = decisions.into_iter().filter(|decision| decision.stands).collect();
    if open.is_empty() {
        return standing;
    }
    let known: HashMap<String, u32> = cells(plan).map(|cell| (plan.id(cell).hex(), cell)).collect();
    for decision in open {
        let Some(cell) = known.get(&decision.cell).copied() else { continue };
        let today = plan.fallback(cell, decision.step);
        if today.is_some_and(|today| today.id.hex() == decision.to) {
            standing.insert(RunKey { cell, repeat: decision.repeat }, decision);
        }
    }
    standing
}

fn stale_note(stale: &StaleRuns) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in stale.values().flatten() {
        *reasons.entry(reason).or_default() += 1;
    }
    let reasons: Vec<String> =
        reasons.iter().map(|(reason, runs)| format!("{reason} ({runs} runs)")).collect();
    format!(
        "{} finished runs were measured under other circumstances: {}; --rerun-stale measures them \
         again, --accept-stale keeps them",
        stale.len(),
        reasons.join(", ")
    )
}

/// Finished runs of the plan that are stale today; one that a fallback stands for, if that is. Cells that cannot be made today are passed over.
#[must_use]
pub fn stale(plan: &Plan, store: &Store, surroundings: &mut Surroundings) -> StaleRuns {
    let mut stale = StaleRuns::new();
    for cell in cells(plan) {
        let runs = store.runs(&plan.id(cell).hex());
        if runs.is_empty() {
            continue;
        }
        let spec = plan.spec(cell);
        surroundings.meet_runtime(&spec, plan.study());
        let today = surroundings.evidence(&spec);
        for (&repeat, record) in runs.range(..=plan.repeats(cell)) {
            let differences = staleness(&record.evidence, &today);
            if !differences.is_empty() {
                stale.insert(RunKey { cell, repeat }, differences);
            }
        }
    }
    for (run, decision) in standing(plan, store) {
        let asked = store.runs(&decision.cell).contains_key(&run.repeat);
        let Some(record) = store.runs(&decision.to).get(&run.repeat).filter(|_| !asked) else {
            continue;
        };
        // One of the plan's own cells was looked at above.
        let fallback = plan.fallback(run.cell, decision.step);
        let Some(fallback) = fallback.filter(|fallback| plan.find(fallback.id).is_none()) else {
            continue;
        };
        surroundings.meet_runtime(&fallback.spec, plan.study());
        let differences = staleness(&record.evidence, &surroundings.evidence(&fallback.spec));
        if !differences.is_empty() {
            stale.insert(run, differences);
        }
    }
    stale
}

/// What all cells of the plan need, and the steps after their failures.
#[must_use]
pub fn all_needs(plan: &Plan) -> Needs {
    let specs = cells(plan).map(|cell| (plan.id(cell), plan.spec(cell))).collect();
    needs(plan, &specs, cells(plan).map(|cell| (cell, 0)))
}

/// What these cells need, and with them the steps of fallbacks beyond those that are behind a cell.
fn needs(
    plan: &Plan,
    asked: &HashMap<CellId, CellSpec>,
    behind: impl IntoIterator<Item = (u32, usize)>,
) -> Needs {
    let mut spare: HashMap<CellId, CellSpec> = HashMap::new();
    let mut fallbacks: BTreeMap<CellId, BTreeSet<FallbackStep>> = BTreeMap::new();
    for (cell, behind) in behind {
        let experiment = &plan.study().experiments[plan.home_experiment(cell)].name;
        for step in behind + 1..=plan.fallback_steps(cell) {
            let Some(fallback) = plan.fallback(cell, step) else { continue };
            if !asked.contains_key(&fallback.id) {
                let known = fallbacks.entry(fallback.id).or_default();
                known.insert(FallbackStep { step, experiment: experiment.clone() });
                spare.insert(fallback.id, fallback.spec);
            }
        }
    }
    Needs { fallbacks, ..Needs::of(asked.iter().chain(&spare).map(|(id, spec)| (*id, spec))) }
}

fn cells(plan: &Plan) -> impl Iterator<Item = u32> {
    // What is read from earlier results is no affair of execution.
    (0..).take(plan.cells()).filter(|cell| !plan.is_imported(*cell))
}
