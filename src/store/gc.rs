//! Stored runs that no cell of the manifest asks for any more, and their removal: the only place where a
//! run is deleted.
//!
//! Kept in any case: what a cell of the whole manifest has or stands in for, under today's id or a former
//! one, with repeats beyond those that are asked for; and every run of version 1, of which it may not be
//! known which cell it is of.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::index;
use super::journal::{Journal, What};
use super::record::RunRecord;
use super::{Store, StoreError};
use crate::os::disk;
use crate::plan::{CellId, Plan};

/// What edits of a manifest left behind.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct LeftBehind {
    /// Sorted by folder.
    pub runs: Vec<LeftRun>,
    /// Runs of version 1 that are of no cell, or that could be of several: they stay.
    pub identity_1: usize,
}

/// A run that no cell asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftRun {
    /// Its folder, relative to the study's, with `/`.
    pub run: String,
    /// 32 hex digits.
    pub cell: String,
    pub cell_name: String,
    pub repeat: u32,
    /// RFC 3339, UTC.
    pub finished: Option<String>,
    pub bytes: u64,
}

impl Store {
    /// What no cell of the plan's whole manifest asks for, whatever the plan's filters are. The store must
    /// have been opened by [`Store::of`].
    #[must_use]
    pub fn left_behind(&self, plan: &Plan) -> LeftBehind {
        let mut left = LeftBehind::default();
        // A former id of a cell stays where this repeat was measured again.
        let unknown = self.unknown(plan).into_iter().map(|id| id.hex());
        let mut unknown: HashSet<String> =
            unknown.filter(|id| !self.today.contains_key(id)).collect();
        if !unknown.is_empty() {
            for stand_in in stand_ins(plan.whole()) {
                unknown.remove(&stand_in.hex());
            }
        }
        for id in &unknown {
            for (repeat, run) in self.runs(id) {
                if run.identity_version < 2 {
                    left.identity_1 += 1;
                } else if let Some(folder) = self.folder(id, *repeat) {
                    left.runs.push(left_run(self.layout().below(folder), folder, run));
                }
            }
        }
        left.runs.sort_by(|a, b| a.run.cmp(&b.run));
        left
    }

    /// Removes these runs, each after a line in the journal, and tells of each that is gone: an error may come
    /// after some. Whoever calls it holds the lock.
    pub fn collect(
        &self,
        runs: &[LeftRun],
        journal: &mut Journal,
        on_removed: &mut dyn FnMut(&LeftRun),
    ) -> Result<(), StoreError> {
        let place = self.layout().collected();
        remove(&place)?;
        for run in runs {
            let Some(folder) = self.folder(&run.cell, run.repeat) else { continue };
            let (cell, repeat) = (run.cell.clone(), run.repeat);
            journal.write(What::Collected { cell, repeat })?;
            // One rename takes it away whole; a kill leaves no half of a run.
            disk::create_folders(&place).map_err(StoreError::io("create", &place))?;
            let aside = place.join(format!("{}-{}", run.cell, run.repeat));
            fs::rename(folder, &aside).map_err(StoreError::io("move", folder))?;
            on_removed(run);
            if let Some(parent) = folder.parent() {
                disk::sync_folder(parent).map_err(StoreError::io("sync", parent))?;
                remove_empty(parent, &self.layout().runs());
            }
            remove(&aside)?;
        }
        remove(&place)
    }
}

/// Ids of all cells that may be measured in place of one of the plan.
fn stand_ins(plan: &Plan) -> impl Iterator<Item = CellId> {
    (0..).take(plan.cells()).flat_map(move |cell| {
        let steps = 1..=plan.fallback_steps(cell);
        steps.filter_map(move |step| plan.fallback_id(cell, step))
    })
}

fn left_run(below: String, folder: &Path, run: &RunRecord) -> LeftRun {
    LeftRun {
        run: below,
        cell: run.cell.clone(),
        cell_name: run.cell_name.clone(),
        repeat: run.repeat,
        finished: run.finished.clone(),
        bytes: index::bytes(folder, run),
    }
}

/// A folder with all that is in it, if it is there.
fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// The folders below `runs` that have no run any more; the summary of a cell is made by every report.
fn remove_empty(cell: &Path, runs: &Path) {
    let names = fs::read_dir(cell).into_iter().flatten().flatten().map(|entry| entry.file_name());
    if names.into_iter().all(|name| name == "summary.md") {
        let _ = fs::remove_file(cell.join("summary.md"));
        for folder in cell.ancestors().take_while(|folder| *folder != runs) {
            // Fails where another cell lies below.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}
