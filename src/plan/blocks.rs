//! Which experiments have their cells in common blocks.
//!
//! What is compared must be measured at the same time, or what changed of the machine in between is in the
//! difference. A cell that two experiments share is measured once; were each experiment ordered by itself,
//! it would lie in the blocks of the first, and the cells that the second compares with it would come later.

use super::{Plan, small};
use crate::cells::NamedLevel;
use crate::manifest::criterion::Cells;
use crate::manifest::study::{Claim, ClaimSide, Order};

/// Groups of experiments, joined step by step.
struct Groups {
    /// By experiment, one before it in its group, or itself.
    before: Vec<usize>,
}

impl Groups {
    fn new(experiments: usize) -> Self {
        Self { before: (0..experiments).collect() }
    }

    /// The first experiment of the group.
    fn first(&self, mut experiment: usize) -> usize {
        while self.before[experiment] != experiment {
            experiment = self.before[experiment];
        }
        experiment
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.before[one.max(other)] = one.min(other);
    }
}

/// Where cells are ordered.
pub(super) struct Blocks {
    groups: Groups,
    /// By cell, an interleaved experiment that has it, in its matrix or as a control.
    interleaved: Vec<Option<u32>>,
}

impl Blocks {
    /// Experiments of one group have the same.
    pub fn of_experiment(&self, experiment: usize) -> usize {
        self.groups.first(experiment)
    }

    /// The group in whose blocks the cell is; `None` where only experiments of other orders have it.
    pub fn of_cell(&self, cell: u32) -> Option<usize> {
        let experiment = self.interleaved.get(cell as usize).copied().flatten()?;
        Some(self.groups.first(experiment as usize))
    }
}

impl Plan {
    /// Joins interleaved experiments that share cells, controls included, or of whose cells a claim takes
    /// some together. The cells of one criterion are those of one experiment.
    pub(super) fn blocks(&self) -> Blocks {
        let mut groups = Groups::new(self.rows.len());
        let mut interleaved: Vec<Option<u32>> = vec![None; self.cells.len()];
        for experiment in (0..self.rows.len()).filter(|own| self.is_interleaved(*own)) {
            let controls = self.experiment_controls(experiment);
            for cell in self.rows[experiment].iter().chain(&controls) {
                match interleaved[*cell as usize] {
                    Some(other) => groups.join(other as usize, experiment),
                    None => interleaved[*cell as usize] = Some(small(experiment)),
                }
            }
        }
        for claim in &self.study.claims {
            let concerned = (0..self.rows.len())
                .filter(|own| self.is_interleaved(*own) && self.concerns(claim, *own));
            let concerned: Vec<usize> = concerned.collect();
            for pair in concerned.windows(2) {
                groups.join(pair[0], pair[1]);
            }
        }
        Blocks { groups, interleaved }
    }

    /// For each experiment, in the order of the manifest, the others whose cells are in the same blocks.
    #[must_use]
    pub fn common_blocks(&self) -> Vec<Vec<usize>> {
        let blocks = self.blocks();
        let experiments = 0..self.rows.len();
        // A filter may leave nothing of an experiment.
        let known = |own: &usize| !self.rows[*own].is_empty();
        experiments
            .clone()
            .map(|own| {
                let group = blocks.of_experiment(own);
                let same = |other: &usize| *other != own && blocks.of_experiment(*other) == group;
                experiments.clone().filter(same).filter(known).collect()
            })
            .collect()
    }

    fn is_interleaved(&self, experiment: usize) -> bool {
        self.study.experiments[experiment].settings.order == Order::Interleaved
    }

    /// Whether a claim takes cells of this experiment.
    fn concerns(&self, claim: &Claim, experiment: usize) -> bool {
        let own = &self.study.experiments[experiment];
        let other_profile =
            claim.profile.is_some() && claim.profile.as_ref() != self.study.profile.as_ref();
        if other_profile {
            return false;
        }
        let sides = std::iter::once(&claim.side).chain(claim.against.iter().map(|(own, _)| own));
        let about =
            |side: &&ClaimSide| side.experiment.as_ref().is_none_or(|name| *name == own.name);
        let sides: Vec<&Cells> = sides.filter(about).map(|side| &side.cells).collect();
        (0..self.rows[experiment].len()).any(|row| {
            let level = |axis: &str| {
                let level = self.matrices[experiment].levels(row).find(|(name, _)| *name == axis);
                level.map(|(_, level)| level).or_else(|| own.fixed.get(axis))
            };
            sides.iter().any(|cells| {
                let wanted = cells.0.keys();
                let levels: Vec<NamedLevel> =
                    wanted.filter_map(|axis| Some(NamedLevel::new(axis, level(axis)?))).collect();
                cells.select(&levels)
            })
        })
    }
}
