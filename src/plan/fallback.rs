//! What is measured instead of a cell whose run failed: the cell with some of its levels changed.
//!
//! It is a cell like any other, with an identity of its own, but in no experiment's matrix: nothing
//! that is measured of it counts for the cell that was asked for.

use indexmap::IndexMap;

use super::identity::Servers;
use super::resolve::Resolved;
use super::{CellId, CellSpec, Plan, identity, spec};
use crate::cells::NamedLevel;
use crate::manifest::factor;
use crate::manifest::study::{Experiment, Level, RetryOn};

/// A cell that stands in for another.
#[derive(Debug, Clone)]
pub struct FallbackCell {
    pub id: CellId,
    pub name: String,
    pub spec: CellSpec,
    /// Factors that differ from the cell that was asked for, with their readable levels.
    pub changes: Vec<(String, String)>,
}

impl Plan {
    /// How many steps there are after a failure of this cell.
    #[must_use]
    pub fn fallback_steps(&self, cell: u32) -> usize {
        self.study.experiments[self.home(cell).0].fallback.steps.len()
    }

    /// Whether a run of this cell that failed for this reason has fallbacks.
    #[must_use]
    pub fn falls_back(&self, cell: u32, cause: RetryOn) -> bool {
        let fallback = &self.study.experiments[self.home(cell).0].fallback;
        !fallback.steps.is_empty() && fallback.on.0.contains(&cause)
    }

    /// The cell of this step, from 1. `None`: there is no such step, or it changes nothing.
    #[must_use]
    pub fn fallback(&self, cell: u32, step: usize) -> Option<FallbackCell> {
        let (experiment, changed, resolved) = self.resolved_step(cell, step)?;
        let document = self.document_of(experiment, &resolved, Servers::TODAY);
        let id = identity::id(&document);
        if id == self.id(cell) {
            return None;
        }
        // What was written as JSON a line ago is JSON.
        let identity = serde_json::from_slice(&document).unwrap_or_default();
        let mut spec = spec::spec(&self.study, experiment, &resolved, identity);
        spec.levels = self.levels_with(cell, changed, &spec);
        Some(FallbackCell {
            id,
            name: self.name_with(cell, changed),
            spec,
            changes: shown(changed),
        })
    }
}

/// A step of a cell's fallbacks: its experiment, the levels that it changes, the cell with them.
pub(super) type Step<'p> = (&'p Experiment, &'p IndexMap<String, Level>, Resolved<'p>);

impl Plan {
    /// The cell with the levels of this step, from 1.
    pub(super) fn resolved_step(&self, cell: u32, step: usize) -> Option<Step<'_>> {
        let (index, row) = self.home(cell);
        let changed = self.study.experiments[index].fallback.steps.get(step.checked_sub(1)?)?;
        let (experiment, mut resolved) = self.resolved_row_with(index, row, changed);
        if let Some(made) = self.cells[cell as usize].control {
            made.apply(&mut resolved);
        }
        Some((experiment, changed, resolved))
    }

    /// The id of the cell of this step, from 1.
    #[must_use]
    pub fn fallback_id(&self, cell: u32, step: usize) -> Option<CellId> {
        let (experiment, _, resolved) = self.resolved_step(cell, step)?;
        Some(self.id_of(experiment, &resolved))
    }

    /// All factors of the cell of this step, as [`Plan::factors`] has them.
    #[must_use]
    pub fn fallback_factors(&self, cell: u32, step: usize) -> Vec<NamedLevel> {
        let steps = &self.study.experiments[self.home(cell).0].fallback.steps;
        let changed = step.checked_sub(1).and_then(|step| steps.get(step));
        let (Some(changed), Some(fallback)) = (changed, self.fallback(cell, step)) else {
            return Vec::new();
        };
        self.factors_with(cell, changed, &fallback.spec)
    }
}

fn shown(changed: &IndexMap<String, Level>) -> Vec<(String, String)> {
    changed.iter().map(|(name, level)| (name.clone(), factor::show(name, level))).collect()
}
