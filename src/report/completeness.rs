//! Whether the stored runs are those that the plan asks for, measured under one set of circumstances.

use serde::Serialize;

use super::data::{Cell, Data};
use crate::store::failed::CANCELLED;
use crate::store::record::RunRecord;

/// A cell with runs that do not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub cell: String,
    pub name: String,
    /// Repeats without a run, from 1.
    pub repeats: Vec<u32>,
    /// Attempts at these repeats that failed, those that the user abandoned not counted.
    pub failed_attempts: usize,
    /// Cause of the last of them.
    pub last_cause: Option<String>,
    /// What lies in the places of these runs and cannot be trusted, with the reason.
    pub damaged: Vec<String>,
}

/// A run that was measured under other circumstances than the newest of its cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// `<id8>/<repeat>`.
    pub run: String,
    pub name: String,
    pub differences: Vec<String>,
}

/// Cells of the plan with missing runs, those in whose place a fallback stands left out, in the order of the plan.
#[must_use]
pub fn missing(data: &Data) -> Vec<Missing> {
    data.cells
        .iter()
        .filter_map(|cell| {
            let repeats: Vec<u32> = (1..=cell.repeats)
                .filter(|repeat| {
                    !cell.runs.contains_key(repeat) && !cell.fell_back.contains(repeat)
                })
                .collect();
            if repeats.is_empty() {
                return None;
            }
            let mut failed = data.failed.iter().filter(|attempt| {
                attempt.cell.as_ref() == Some(&cell.id)
                    && repeats.contains(&attempt.repeat)
                    && attempt.cause != CANCELLED
            });
            Some(Missing {
                cell: cell.short().to_owned(),
                name: cell.name.clone(),
                failed_attempts: failed.clone().count(),
                last_cause: failed.next_back().map(|attempt| attempt.cause.clone()),
                damaged: repeats.iter().filter_map(|own| cell.damaged.get(own)).cloned().collect(),
                repeats,
            })
        })
        .collect()
}

/// Stale runs, in the order of the plan.
#[must_use]
pub fn stale(data: &Data) -> Vec<Stale> {
    data.cells
        .iter()
        .flat_map(|cell| {
            cell.stale.iter().map(|(repeat, differences)| Stale {
                run: format!("{}/{repeat}", cell.short()),
                name: cell.name.clone(),
                differences: differences.clone(),
            })
        })
        .collect()
}

/// The runs of a cell that belong together: those that are not stale. Statistics use only these.
pub fn fresh(cell: &Cell) -> impl Iterator<Item = &RunRecord> + Clone {
    cell.runs.values().filter(|run| !cell.stale.contains_key(&run.repeat))
}
