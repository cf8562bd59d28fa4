//! The control `solo`: each agent of a scenario alone, with the same work.
//!
//! A control is nothing but the cell whose scenario is that one agent, so it has an identity like any
//! other: experiments share it, and an experiment that has that very scenario needs no further cell.

use std::collections::HashMap;

use super::Made;
use crate::manifest::study::{Control, ExperimentKind};
use crate::plan::{Cell, CellId, Plan, loading, small, spec};

/// By cell, the controls of its agents in the order of their names.
#[derive(Debug, Clone, Default)]
pub(in crate::plan) struct Solos(HashMap<u32, Vec<u32>>);

impl Plan {
    pub(super) fn add_solos(&mut self, known: &mut HashMap<CellId, u32>) {
        for index in 0..self.rows.len() {
            let experiment = &self.study.experiments[index];
            let wanted = experiment.controls.contains(&Control::Solo)
                && matches!(experiment.kind, ExperimentKind::Scenario);
            if !wanted {
                continue;
            }
            let repeats = experiment.settings.repeats;
            for row in 0..self.rows[index].len() {
                let cell = self.rows[index][row];
                let controls: Vec<u32> = self
                    .solo_ids(index, row)
                    .into_iter()
                    .zip(0..)
                    .map(|((id, load), place)| {
                        let next = self.cells.len();
                        let control = *known.entry(id).or_insert_with(|| small(next));
                        if control == small(next) {
                            let (experiment, row) = (small(index), small(row));
                            let control = Some(Made::Solo(place));
                            self.cells.push(Cell { id, experiment, row, repeats, load, control });
                        }
                        let merged = &mut self.cells[control as usize];
                        merged.repeats = merged.repeats.max(repeats);
                        control
                    })
                    .collect();
                if !controls.is_empty() {
                    self.solos.0.insert(cell, controls);
                }
            }
        }
    }

    /// Identities and loads of a row's agents alone, in the order of their names; none if it is alone anyway.
    fn solo_ids(&self, index: usize, row: usize) -> Vec<(CellId, u64)> {
        let (_, resolved) = self.resolved_row(index, row);
        let streams: u64 = resolved.agents.iter().map(|agent| u64::from(agent.count)).sum();
        if streams < 2 {
            return Vec::new();
        }
        (0..resolved.agents.len())
            .map(|place| {
                let (experiment, mut alone) = self.resolved_row(index, row);
                alone.keep_alone(place);
                (self.id_of(experiment, &alone), loading::key(&alone))
            })
            .collect()
    }

    /// The agent that a solo control is about.
    pub(in crate::plan) fn solo_agent(&self, cell: u32) -> Option<&str> {
        match self.cells[cell as usize].control? {
            Made::Replica { .. } => None,
            Made::Solo(_) => {
                let (_, resolved) = self.resolved(cell);
                resolved.agents.first().map(|agent| agent.agent.agent.as_str())
            }
        }
    }

    /// For each stream of a cell (`collector`, `collector-2`, …) the cell of its agent alone; empty
    /// when no experiment wants the control, or a single stream has nobody to contend with.
    #[must_use]
    pub fn solo_cells(&self, cell: u32) -> Vec<(String, u32)> {
        // A cell that is measured again has the same agents.
        let Some(controls) = self.solos.0.get(&self.original(cell)) else { return Vec::new() };
        let (_, mut resolved) = self.resolved(cell);
        resolved.sort_agents();
        let names = spec::stream_names(&resolved.agents);
        names.into_iter().filter_map(|(name, place)| Some((name, *controls.get(place)?))).collect()
    }

    /// The solo controls that an experiment's cells need, each once, in the order of its matrix. Some may
    /// be cells of an experiment themselves.
    #[must_use]
    pub fn experiment_solos(&self, experiment: usize) -> Vec<u32> {
        let wanted = self.study.experiments[experiment].controls.contains(&Control::Solo);
        let mut seen = std::collections::HashSet::new();
        self.rows[experiment]
            .iter()
            .filter(|_| wanted)
            .filter_map(|cell| self.solos.0.get(cell))
            .flatten()
            .copied()
            .filter(|control| seen.insert(*control))
            .collect()
    }
}
