//! Flamegraphs of stored runs: where they lie, and the functions that took the time.

use serde::Serialize;

use super::completeness::fresh;
use super::data::Cell;
use crate::os::files;
use crate::probe::flamegraph::{SVG_FILE, TOP_FILE};
use crate::probe::stacks::TopFunction;
use crate::store::Store;

/// Functions that a report lists per run; the run's table has more.
const LISTED: usize = 10;

/// The flamegraph probe of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flamegraph {
    /// `<id8>/<repeat>`.
    pub run: String,
    pub cell_name: String,
    /// `ok`, or `unavailable: ` and why.
    pub outcome: String,
    /// Path of the picture from the folder of the report, if there is one.
    pub svg: Option<String>,
    /// The functions with the most self time, the largest first.
    pub top: Vec<TopFunction>,
}

/// Those of every run with the probe, in the order of the plan.
pub(super) fn flamegraphs(cells: &[Cell], store: &Store) -> Vec<Flamegraph> {
    let runs = cells.iter().flat_map(|cell| fresh(cell).map(move |run| (cell, run)));
    runs.filter_map(|(cell, run)| {
        let outcome = run.probes.get("flamegraph")?.clone();
        let folder = store.folder(&cell.id, run.repeat);
        let has = |file: &str| run.files.contains_key(file);
        let svg = folder
            .filter(|_| has(SVG_FILE))
            .map(|folder| format!("../{}/{SVG_FILE}", store.layout().relative(folder)));
        let top = folder.filter(|_| has(TOP_FILE)).and_then(|folder| {
            let mut reader = csv::Reader::from_reader(files::open(&folder.join(TOP_FILE)).ok()?);
            reader.deserialize().take(LISTED).collect::<Result<Vec<_>, _>>().ok()
        });
        Some(Flamegraph {
            run: format!("{}/{}", cell.short(), run.repeat),
            cell_name: cell.name.clone(),
            outcome,
            svg,
            top: top.unwrap_or_default(),
        })
    })
    .collect()
}
