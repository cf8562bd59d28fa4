//! What was decided after runs failed, read back from the journal.

use std::collections::BTreeMap;

use super::journal::{self, What};
use super::{Layout, StoreError};

/// The decision to measure another cell in place of a run that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// RFC 3339, UTC.
    pub time: String,
    /// Of the run that was asked for: cell (32 hex digits) and repeat.
    pub cell: String,
    pub repeat: u32,
    /// From 1.
    pub step: usize,
    /// The cell that is measured instead, 32 hex digits.
    pub to: String,
    /// Why the attempt before failed.
    pub because: String,
    /// Of the run's decisions the last, and its fallbacks are not used up.
    pub stands: bool,
}

/// All decisions in their order; `today` gives the id by which a cell is known now.
pub(super) fn decisions(
    layout: &Layout,
    today: &dyn Fn(String) -> String,
) -> Result<Vec<Decision>, StoreError> {
    let mut decisions: Vec<Decision> = Vec::new();
    // Place of the run's last decision.
    let mut last: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for entry in journal::read(&layout.journal())? {
        match entry.what {
            What::FellBack { cell, repeat, step, to, because } => {
                let (cell, to) = (today(cell), today(to));
                let run = (cell.clone(), repeat);
                if let Some(before) = last.insert(run, decisions.len()) {
                    decisions[before].stands = false;
                }
                let (time, stands) = (entry.time, true);
                decisions.push(Decision { time, cell, repeat, step, to, because, stands });
            }
            What::FallbacksUsedUp { cell, repeat } => {
                if let Some(before) = last.remove(&(today(cell), repeat)) {
                    decisions[before].stands = false;
                }
            }
            _ => {}
        }
    }
    Ok(decisions)
}
