//! The control `aa`: a cell measured a second time under another label.
//!
//! Nothing differs between the two but the label, so what a study's tables call a difference there is the
//! study's own noise.

use std::collections::{HashMap, HashSet};

use crate::manifest::study::{Control, Experiment};
use crate::plan::{Cell, CellId, Plan, small};

use super::Made;

/// By cell, its replica.
#[derive(Debug, Clone, Default)]
pub(in crate::plan) struct Replicas(HashMap<u32, u32>);

impl Plan {
    pub(super) fn add_replicas(&mut self, known: &mut HashMap<CellId, u32>) {
        for index in 0..self.rows.len() {
            let experiment = &self.study.experiments[index];
            if !experiment.controls.contains(&Control::Aa) {
                continue;
            }
            let repeats = experiment.settings.repeats;
            for row in 0..self.rows[index].len() {
                let of = self.rows[index][row];
                let id = self.replica_id(index, row);
                let next = self.cells.len();
                let replica = *known.entry(id).or_insert_with(|| small(next));
                if replica == small(next) {
                    let (experiment, row) = (small(index), small(row));
                    let load = self.cells[of as usize].load;
                    let control = Some(Made::Replica { of });
                    self.cells.push(Cell { id, experiment, row, repeats, load, control });
                }
                let merged = &mut self.cells[replica as usize];
                merged.repeats = merged.repeats.max(repeats);
                self.replicas.0.insert(of, replica);
            }
        }
    }

    fn replica_id(&self, index: usize, row: usize) -> CellId {
        let (experiment, mut resolved) = self.resolved_row(index, row);
        resolved.is_replica = true;
        self.id_of(experiment, &resolved)
    }

    /// The cell that a replica is of; any other cell is itself.
    #[must_use]
    pub fn original(&self, cell: u32) -> u32 {
        match self.cells[cell as usize].control {
            Some(Made::Replica { of }) => of,
            Some(Made::Solo(_)) | None => cell,
        }
    }

    pub(in crate::plan) fn is_replica(&self, cell: u32) -> bool {
        self.original(cell) != cell
    }

    /// Whether `replica` is a factor of this study; an axis of that name is the author's own.
    pub(in crate::plan) fn has_replicas(&self) -> bool {
        let taken = |own: &Experiment| {
            own.axes.contains_key("replica") || own.fixed.contains_key("replica")
        };
        !self.replicas.0.is_empty() && !self.study.experiments.iter().any(taken)
    }

    /// The cells of an experiment that has the control `aa`, each once in the order of its matrix, with
    /// their replicas.
    #[must_use]
    pub fn experiment_replicas(&self, experiment: usize) -> Vec<(u32, u32)> {
        let wanted = self.study.experiments[experiment].controls.contains(&Control::Aa);
        let mut seen = HashSet::new();
        self.rows[experiment]
            .iter()
            .filter(|_| wanted)
            .filter_map(|cell| Some((*cell, *self.replicas.0.get(cell)?)))
            .filter(|(cell, _)| seen.insert(*cell))
            .collect()
    }
}
