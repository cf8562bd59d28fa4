//! Replacing the record of a sealed run by one with other metrics. Nothing of what was measured changes,
//! and the record that is replaced is kept.

use std::path::Path;

use super::journal::{Journal, What};
use super::record::{RUN_FILE, Recomputation, RunRecord};
use super::{Layout, StoreError, layout, seal};
use crate::os::{disk, files};

/// Seals `record`, whose metrics were computed again, in place of the one in a run's folder, and adds
/// `by` to it. `by` names what is there by its digest; where it is kept is filled in.
///
/// Killed at any point, one of the two is there, whole, and verification knows both.
pub fn reseal(
    layout: &Layout,
    journal: &mut Journal,
    folder: &Path,
    mut record: RunRecord,
    mut by: Recomputation,
) -> Result<RunRecord, StoreError> {
    let path = folder.join(RUN_FILE);
    let old = files::read(&path).map_err(StoreError::io("read", &path))?;
    if formats::digest::of_bytes(&old) != by.before {
        let reason = "it was replaced by somebody else just now".to_owned();
        return Err(StoreError::Malformed { path, reason });
    }
    let kept = layout.superseded_record(folder, &by.before);
    if let Some(parent) = kept.parent() {
        disk::create_folders(parent).map_err(StoreError::io("create", parent))?;
    }
    seal::write_whole(&kept, &old)?;
    by.kept = layout.below(&kept);
    let (before, kept) = (by.before.clone(), by.kept.clone());
    record.recomputed.push(by);
    let text = seal::text(&record, &path)?;
    journal.write(What::Recomputed {
        cell: record.cell.clone(),
        repeat: record.repeat,
        before,
        sha256: formats::digest::of_bytes(&text),
        kept,
    })?;
    // Beside the run's folder: what a crash leaves of it is no file of the run.
    let mut partial = layout::partial_folder(folder.parent().unwrap_or(folder), record.repeat);
    partial.set_extension("record");
    seal::write_through(&partial, &path, &text)?;
    Ok(record)
}
