//! Room for what will be stored.

use std::fmt::Write as _;
use std::path::Path;

use super::{Facts, Finding, Needs, Subject};
use crate::os::disk;
use crate::store::StoredSize;

/// Free disk space below which no run is started: artifacts of one run stay well under it, and what
/// is left lets failures be kept and reports be written.
pub const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// What a run of a study is taken for of which none is stored yet, bytes: what one of thousands of chunks
/// with the probes of a client leaves. A run of a few hundred tokens leaves a tenth of it.
pub const RUN_BYTES: u64 = 2 * 1024 * 1024;

/// What the runs that are left will take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    pub runs: usize,
    /// What the stored runs of the study take; `None`: there are none.
    pub stored: Option<StoredSize>,
}

impl Room {
    /// Bytes of one run.
    fn each(&self) -> u64 {
        self.stored.map_or(RUN_BYTES, |stored| stored.mean_bytes)
    }

    fn bytes(&self) -> u64 {
        self.each().saturating_mul(self.runs as u64)
    }

    /// In words.
    fn estimate(&self) -> String {
        let runs = if self.runs == 1 { "1 run".to_owned() } else { format!("{} runs", self.runs) };
        let source = match self.stored {
            Some(StoredSize { runs, .. }) => format!("the mean of {runs} stored"),
            None => "taken for runs of which none is stored yet".to_owned(),
        };
        let (all, each) = (shown(self.bytes()), shown(self.each()));
        format!("{runs} will take about {all} ({each} each, {source})")
    }
}

/// Free bytes if they are too few; unknown is taken for enough.
#[must_use]
pub fn free_below(folder: &Path) -> Option<u64> {
    disk::free_bytes(existing(folder)).filter(|free| *free < MIN_FREE_BYTES)
}

/// The nearest folder that exists.
pub(super) fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."))
}

/// Below the floor nothing could be kept; below the estimate the last runs may find the disk full, which
/// each of them looks at before it starts.
pub(super) fn findings(needs: &Needs, facts: &Facts) -> Option<Finding> {
    let free =
        facts.disk.free_bytes.filter(|free| *free < needs.room.bytes().max(MIN_FREE_BYTES))?;
    let mut message =
        format!("the disk of {} has {} left", facts.disk.folder.display(), shown(free));
    let is_full = free < MIN_FREE_BYTES;
    if is_full {
        let _ = write!(message, ", at least {} are needed", shown(MIN_FREE_BYTES));
    }
    if needs.room.runs > 0 {
        let _ = write!(message, ", and {}", needs.room.estimate());
    }
    let advice = "make room, or name a folder on another disk by --results";
    let finding = if is_full { Finding::blocking } else { Finding::warning };
    Some(finding(Subject::Disk, message, advice).about(&needs.cells))
}

/// Small amounts with a digit after the point.
fn shown(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64 / KIB;
    let mut unit = 0;
    while amount >= KIB && unit + 1 < units.len() {
        amount /= KIB;
        unit += 1;
    }
    let digits = usize::from(amount < 10.0 && amount.fract() > 0.05);
    format!("{amount:.digits$} {}", units[unit])
}
