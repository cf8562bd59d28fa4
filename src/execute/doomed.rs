//! Runs that cannot be made, as preflight found: recorded as failed without being tried.

use std::path::Path;

use super::ExecError;
use super::session::Target;
use crate::os;
use crate::store::failed::{self, Failure};
use crate::store::journal::{Journal, What};
use crate::store::{Layout, StoreError, partial_folder};

/// Filed under this cause.
const CAUSE: &str = "preflight";

/// One run that is not tried.
#[derive(Clone, Copy)]
pub(super) struct Doomed<'a> {
    pub target: &'a Target<'a>,
    /// Its cell, 32 hex digits.
    pub cell: &'a str,
    /// Folder of the cell below `runs`.
    pub folder: &'a Path,
    pub reason: &'a str,
}

impl Doomed<'_> {
    /// Keeps the failure; returns where it lies.
    pub fn record(
        self,
        layout: &Layout,
        journal: &mut Journal,
    ) -> Result<std::path::PathBuf, ExecError> {
        let Target { name, repeat, cell, .. } = self.target;
        let folder = partial_folder(self.folder, *repeat);
        os::disk::create_folders(&folder).map_err(StoreError::io("create", &folder))?;
        let failure = Failure::new(name.clone(), *repeat, CAUSE, self.reason.to_owned());
        let failure = Failure {
            cell: Some(self.cell.to_owned()),
            attempt: Some(1),
            identity: Some(cell.identity.clone()),
            started: Some(failure.finished.clone()),
            ..failure
        };
        let kept = failed::keep(layout, &folder, &failure)?;
        journal.write(What::Failed {
            cell: self.cell.to_owned(),
            repeat: *repeat,
            attempt: 1,
            cause: failure.cause,
            kept: layout.relative(&kept),
        })?;
        Ok(kept)
    }
}
