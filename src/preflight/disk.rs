//! Room for what will be stored.

use std::path::Path;

use super::{Facts, Finding, Needs, Subject};
use crate::os::disk;

/// Free disk space below which no run is started: artifacts of one run stay well under it, and what
/// is left lets failures be kept and reports be written.
pub const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// Free bytes if they are too few; unknown is taken for enough.
#[must_use]
pub fn free_below(folder: &Path) -> Option<u64> {
    disk::free_bytes(existing(folder)).filter(|free| *free < MIN_FREE_BYTES)
}

/// The nearest folder that exists.
pub(super) fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."))
}

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Option<Finding> {
    let free = facts.disk.free_bytes.filter(|free| *free < MIN_FREE_BYTES)?;
    let mib = 1024 * 1024;
    let message = format!(
        "the disk of {} has {} MiB left, at least {} MiB are needed",
        facts.disk.folder.display(),
        free / mib,
        MIN_FREE_BYTES / mib
    );
    let advice = "make room, or name a folder on another disk by --results";
    Some(Finding::blocking(Subject::Disk, message, advice).about(&needs.cells))
}
