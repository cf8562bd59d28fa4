//! How busy other processes kept the machine during the runs: what they took, and where it was much.

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, Data};
use super::select::value;
use crate::metrics::machine::BUSY_PERCENT;
use crate::stats::Sample;

/// Cells that are named.
const LISTED: usize = 3;

/// What other processes took of all cores' time, over the runs in which it is known.
#[derive(Debug, PartialEq, Serialize)]
pub struct MachineLoad {
    pub runs: usize,
    /// Runs in which it is not known: they were too short, or the system did not tell.
    pub unknown: usize,
    pub median_percent: f64,
    pub largest_percent: f64,
    /// What is worth a word.
    pub limit_percent: f64,
    /// Runs beyond it.
    pub busy: usize,
    /// Cells with such runs, the worst first and only the first ones.
    pub worst: Vec<BusyCell>,
    /// Such cells that are not among them.
    pub more: usize,
    /// Runs of whose own servers some are among the others, since their processes may not be seen.
    pub unseen_runs: usize,
    /// Of the endpoints of these servers.
    pub unseen: Vec<String>,
}

/// A cell with runs beyond the limit.
#[derive(Debug, PartialEq, Serialize)]
pub struct BusyCell {
    /// `<id8>`.
    pub cell: String,
    pub name: String,
    pub busy: usize,
    pub runs: usize,
    pub largest_percent: f64,
}

/// Of every run that is not stale; `None` where nothing is known.
pub(super) fn machine_load(data: &Data) -> Option<MachineLoad> {
    let percent = |run| value(run, "others_cpu_percent");
    let known = Sample::new(data.cells.iter().flat_map(fresh).filter_map(percent).collect());
    let known = known.ok()?;
    let is_busy = |percent: &f64| *percent > BUSY_PERCENT;
    let mut worst: Vec<BusyCell> = data.cells.iter().filter_map(busy_cell).collect();
    worst.sort_by(|a, b| b.largest_percent.total_cmp(&a.largest_percent));
    let more = worst.len().saturating_sub(LISTED);
    worst.truncate(LISTED);
    let unseen = || {
        let runs = data.cells.iter().flat_map(fresh).filter_map(|run| run.machine.as_ref());
        runs.map(|machine| &machine.servers_unseen).filter(|unseen| !unseen.is_empty())
    };
    let mut endpoints: Vec<String> = unseen().flatten().cloned().collect();
    endpoints.sort();
    endpoints.dedup();
    Some(MachineLoad {
        runs: known.n(),
        unknown: data.cells.iter().flat_map(fresh).count() - known.n(),
        median_percent: known.median(),
        largest_percent: known.max(),
        limit_percent: BUSY_PERCENT,
        busy: known.values().iter().filter(|percent| is_busy(percent)).count(),
        worst,
        more,
        unseen_runs: unseen().count(),
        unseen: endpoints,
    })
}

fn busy_cell(cell: &Cell) -> Option<BusyCell> {
    let known = fresh(cell).filter_map(|run| value(run, "others_cpu_percent"));
    let busy: Vec<f64> = known.filter(|percent| *percent > BUSY_PERCENT).collect();
    Some(BusyCell {
        cell: cell.short().to_owned(),
        name: cell.name.clone(),
        busy: busy.len(),
        runs: fresh(cell).count(),
        largest_percent: busy.into_iter().reduce(f64::max)?,
    })
}
