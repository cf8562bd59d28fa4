//! Runs that were sealed under an earlier id of a cell, found under the one that it has today.
//!
//! Whoever reads the runs of a plan opens its store here, so that plan, status, report, export, verdicts and
//! exec find the same ones. What is stored is never changed: a record keeps the id that it was sealed under.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::failed::{self, Failure};
use super::fallback::{self, Decision};
use super::{Store, StoreError, Unsealed};
use crate::plan::{CellId, Formers, Plan};

impl Store {
    /// The runs of a plan's study, as [`Store::open`] reads them, each under today's id of its cell and with
    /// today's names of its endpoints in its evidence.
    pub fn of(plan: &Plan, results: &Path) -> Result<Self, StoreError> {
        let mut store = Self::open(results, &plan.study().results_name())?.adopted(plan);
        for (name, was) in &plan.study().renamed_endpoints {
            for run in store.cells.values_mut().flat_map(|cell| cell.runs.values_mut()) {
                let endpoints = &mut run.evidence.endpoints;
                if let Some(met) = endpoints.remove(was) {
                    endpoints.entry(name.clone()).or_insert(met);
                }
            }
        }
        Ok(store)
    }

    /// As [`Store::of`], as [`Store::open_as_found`] reads them: as they were sealed.
    pub fn of_as_found(plan: &Plan, results: &Path) -> Result<Self, StoreError> {
        Ok(Self::open_as_found(results, &plan.study().results_name())?.adopted(plan))
    }

    fn adopted(mut self, plan: &Plan) -> Self {
        let planned = ids(plan);
        let unknown: HashSet<CellId> = self.unknown_to(&planned).collect();
        // Of a folder that cannot be trusted its name alone is known, and not of which version it is.
        let damaged: Vec<String> = self
            .damaged
            .iter()
            .filter_map(|own| own.cell_digits())
            .filter(|digits| !planned.iter().any(|id| id.hex().starts_with(digits)))
            .map(str::to_owned)
            .collect();
        let is_stored = |id: &CellId| {
            unknown.contains(id) || {
                let id = id.hex();
                damaged.iter().any(|digits| id.starts_with(digits.as_str()))
            }
        };
        if !unknown.is_empty() || !damaged.is_empty() {
            let version_1 = self.has_version_1() || !damaged.is_empty();
            self.adopt(&plan.formers(is_stored, version_1));
        }
        self
    }

    /// The id that a cell with this former id has today; any other is its own.
    #[must_use]
    pub fn today<'a>(&'a self, id: &'a str) -> &'a str {
        self.today.get(id).map_or(id, String::as_str)
    }

    /// Every decision of fallbacks, in order, with today's ids.
    pub fn decisions(&self) -> Result<Vec<Decision>, StoreError> {
        fallback::decisions(self.layout(), &|id| self.today(&id).to_owned())
    }

    /// Every attempt that failed, with today's ids, and the folder of what is kept of it.
    #[must_use]
    pub fn failures(&self) -> Vec<(PathBuf, Failure)> {
        let mut failures = failed::all(self.layout());
        for (_, failure) in &mut failures {
            failure.cell = failure.cell.take().map(|id| self.today(&id).to_owned());
        }
        failures
    }

    fn has_version_1(&self) -> bool {
        self.cells.values().flat_map(|cell| cell.runs.values()).any(|run| run.identity_version < 2)
    }

    /// Ids that no cell of the plan has.
    pub(super) fn unknown(&self, plan: &Plan) -> Vec<CellId> {
        self.unknown_to(&ids(plan)).collect()
    }

    fn unknown_to(&self, planned: &HashSet<CellId>) -> impl Iterator<Item = CellId> {
        let stored = self.cells.keys().filter_map(|id| CellId::of_hex(id));
        stored.filter(|id| !planned.contains(id))
    }

    /// Each run goes where its own record says. Runs of a repeat that is there under today's id as well stay
    /// where they are; of two former ids the later version comes first, and then the first by its digits.
    fn adopt(&mut self, formers: &Formers) {
        for former in formers.ids() {
            // What lies in a folder that cannot be trusted says nothing of its servers.
            if let Some(id) = formers.current(former, []) {
                self.former.entry(id.hex()).or_default().push(former.hex());
            }
        }
        let mut ids: Vec<(Reverse<u32>, CellId)> = formers
            .ids()
            .filter_map(|former| {
                let runs = &self.cells.get(&former.hex())?.runs;
                Some((Reverse(runs.values().map(|run| run.identity_version).max()?), *former))
            })
            .collect();
        ids.sort_unstable();
        for (_, id) in ids {
            let former = id.hex();
            let Some(mut old) = self.cells.remove(&former) else { continue };
            let current: BTreeMap<u32, Option<String>> = old
                .runs
                .iter()
                .map(|(repeat, run)| {
                    let met = run.evidence.endpoints.keys().map(String::as_str);
                    (*repeat, formers.current(&id, met).map(|id| id.hex()))
                })
                .collect();
            let mut all = current.values();
            if let Some(Some(first)) = all.next()
                && all.all(|other| other.as_ref() == Some(first))
            {
                self.today.insert(former.clone(), first.clone());
            }
            for (repeat, current) in current {
                let Some(current) = current else { continue };
                let own = self.cells.entry(current.clone()).or_default();
                if own.runs.contains_key(&repeat) {
                    continue;
                }
                own.runs.extend(old.runs.remove_entry(&repeat));
                own.folders.extend(old.folders.remove_entry(&repeat));
                let moved = |own: &&mut Unsealed| own.cell == former && own.repeat == repeat;
                for own in self.unsealed.iter_mut().filter(moved) {
                    own.current.clone_from(&current);
                }
            }
            if !old.runs.is_empty() {
                self.cells.insert(former, old);
            }
        }
        self.cells.retain(|_, cell| !cell.runs.is_empty());
    }
}

/// Of every cell of the whole manifest.
fn ids(plan: &Plan) -> HashSet<CellId> {
    let whole = plan.whole();
    (0..).take(whole.cells()).map(|cell| whole.id(cell)).collect()
}
