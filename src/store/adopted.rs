//! Runs that were sealed under an earlier id of a cell, found under the one that it has today.
//!
//! Whoever reads the runs of a plan opens its store here, so that plan, status, report, export, verdicts and
//! exec find the same ones. What is stored is never changed: a record keeps the id that it was sealed under.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::failed::{self, Failure};
use super::fallback::{self, Decision};
use super::{Store, StoreError, Unsealed};
use crate::plan::{CellId, Plan};

impl Store {
    /// The runs of a plan's study, as [`Store::open`] reads them, each under today's id of its cell.
    pub fn of(plan: &Plan, results: &Path) -> Result<Self, StoreError> {
        Ok(Self::open(results, &plan.study().results_name())?.adopted(plan))
    }

    /// As [`Store::of`], as [`Store::open_as_found`] reads them.
    pub fn of_as_found(plan: &Plan, results: &Path) -> Result<Self, StoreError> {
        Ok(Self::open_as_found(results, &plan.study().results_name())?.adopted(plan))
    }

    fn adopted(mut self, plan: &Plan) -> Self {
        let planned = ids(plan);
        let unknown: HashSet<CellId> = self.unknown(plan).into_iter().collect();
        let known: HashSet<String> = planned.iter().map(CellId::hex).collect();
        // Of a folder that cannot be trusted its name alone is known, and not of which version it is.
        let damaged: Vec<String> = self
            .damaged
            .iter()
            .filter_map(|own| own.cell_digits())
            .filter(|digits| !known.iter().any(|id| id.starts_with(digits)))
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
            self.adopt(plan.today(is_stored, version_1));
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
        let planned = ids(plan);
        let stored = self.cells.keys().filter_map(|id| CellId::of_hex(id));
        stored.filter(|id| !planned.contains(id)).collect()
    }

    /// Runs of a repeat that is there under today's id as well stay where they are.
    fn adopt(&mut self, today: HashMap<CellId, CellId>) {
        self.today = today.into_iter().map(|(old, new)| (old.hex(), new.hex())).collect();
        for (former, id) in &self.today {
            self.former.entry(id.clone()).or_default().push(former.clone());
            let Some(mut old) = self.cells.remove(former) else { continue };
            let own = self.cells.entry(id.clone()).or_default();
            let free: Vec<u32> =
                old.runs.keys().copied().filter(|repeat| !own.runs.contains_key(repeat)).collect();
            for repeat in free {
                let moved = |own: &&mut Unsealed| own.cell == *former && own.repeat == repeat;
                for own in self.unsealed.iter_mut().filter(moved) {
                    own.current.clone_from(id);
                }
                own.runs.extend(old.runs.remove_entry(&repeat));
                own.folders.extend(old.folders.remove_entry(&repeat));
            }
            if !old.runs.is_empty() {
                self.cells.insert(former.clone(), old);
            }
        }
    }
}

/// Of every cell of the whole manifest.
fn ids(plan: &Plan) -> HashSet<CellId> {
    let whole = plan.whole();
    (0..).take(whole.cells()).map(|cell| whole.id(cell)).collect()
}
