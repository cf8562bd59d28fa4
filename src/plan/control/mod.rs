//! Controls: cells that are in no experiment's matrix, measured in the same blocks to interpret others.
//!
//! - `solo`: each agent of a scenario alone, with the same work ([`solo`]).
//! - `aa`: the cell itself a second time under another label ([`replica`]).
//!
//! The third, `idle`, is no cell: it is a part of every run that asks for it.

mod replica;
mod solo;

use std::collections::HashMap;

pub(super) use replica::Replicas;
pub(super) use solo::Solos;

use super::resolve::Resolved;
use super::{CellId, Plan};
use crate::manifest::study::Control;

/// What makes a control of the cell that stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Made {
    /// Only this agent of the scenario, once: its place in the order of their names.
    Solo(u32),
    /// Nothing but the label.
    Replica { of: u32 },
}

impl Made {
    /// Turns a row's cell into its control.
    pub fn apply(self, resolved: &mut Resolved<'_>) {
        match self {
            Self::Solo(place) => resolved.keep_alone(place as usize),
            Self::Replica { .. } => resolved.is_replica = true,
        }
    }
}

impl Plan {
    /// Adds the controls of every experiment that wants them. The cells of matrices are there by now, so
    /// that a control that is one of them is known as what it is there.
    pub(super) fn add_controls(&mut self, known: &mut HashMap<CellId, u32>) {
        self.add_solos(known);
        self.add_replicas(known);
    }

    /// Whether a cell is in no experiment's matrix: it is there to interpret others.
    #[must_use]
    pub fn is_control(&self, cell: u32) -> bool {
        self.cells[cell as usize].control.is_some()
    }

    /// Which control a cell is, if it is in no experiment's matrix.
    #[must_use]
    pub fn control_of(&self, cell: u32) -> Option<Control> {
        match self.cells[cell as usize].control? {
            Made::Solo(_) => Some(Control::Solo),
            Made::Replica { .. } => Some(Control::Aa),
        }
    }

    /// The controls that an experiment's cells need, each once, in the order of its matrix. Some may
    /// be cells of an experiment themselves.
    #[must_use]
    pub fn experiment_controls(&self, experiment: usize) -> Vec<u32> {
        let replicas = self.experiment_replicas(experiment);
        let replicas = replicas.into_iter().map(|(_, replica)| replica);
        self.experiment_solos(experiment).into_iter().chain(replicas).collect()
    }
}
