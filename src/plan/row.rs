//! A row of an experiment's matrix, as filters look at it.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::Plan;
use crate::cells::NamedLevel;
use crate::cells::filter::Described;
use crate::manifest::study::Level;

/// What is not on an axis is resolved when it is asked for: a matrix may have a million rows.
pub(super) struct Row<'p> {
    plan: &'p Plan,
    experiment: usize,
    place: usize,
    cell: u32,
    levels: OnceCell<Vec<NamedLevel>>,
}

impl<'p> Row<'p> {
    pub fn new(plan: &'p Plan, experiment: usize, place: usize) -> Self {
        let cell = plan.rows[experiment][place];
        Self { plan, experiment, place, cell, levels: OnceCell::new() }
    }

    /// The level that the matrix or the experiment gives a factor.
    fn written(&self, factor: &str) -> Option<&'p Level> {
        let mut varied = self.plan.matrices[self.experiment].levels(self.place);
        let axis = varied.find(|(name, _)| *name == factor).map(|(_, level)| level);
        axis.or_else(|| self.plan.study.experiments[self.experiment].fixed.get(factor))
    }
}

impl Described for Row<'_> {
    fn id(&self) -> Cow<'_, str> {
        self.plan.id(self.cell).hex().into()
    }

    fn name(&self) -> Cow<'_, str> {
        self.plan.name(self.cell).into()
    }

    fn experiments(&self) -> Vec<&str> {
        vec![&self.plan.study.experiments[self.experiment].name]
    }

    fn level(&self, factor: &str) -> Option<Cow<'_, NamedLevel>> {
        // What a default comes to may stand elsewhere in the manifest.
        if let Some(level) = self.written(factor).filter(|level| **level != Level::Default) {
            return Some(Cow::Owned(NamedLevel::new(factor, level)));
        }
        let levels = self.levels.get_or_init(|| self.plan.spec(self.cell).levels);
        NamedLevel::among(levels, factor)
    }

    fn is_default(&self, factor: &str) -> bool {
        self.written(factor) == Some(&Level::Default)
    }
}
