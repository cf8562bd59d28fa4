//! What can go wrong with a results folder.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::Holder;

/// A results folder that cannot be read or written as it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is in use by another exec: {holder}", folder.display())]
    Locked { folder: PathBuf, holder: Holder },
    #[error(
        "{} has format {found}, this version of runner reads up to {known}: use a newer runner",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: u64, known: u32 },
    #[error("{} cannot be read: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("`{name}` cannot be used as a folder name: {reason}")]
    UnsafeName { name: String, reason: &'static str },
    #[error(
        "{} is a link, and what is written there would land elsewhere: put the folder itself in its place; to \
         keep results on another disk, link the study's folder as a whole", path.display()
    )]
    Linked { path: PathBuf },
    #[error(
        "{} is gone, or another lies in its place: results were removed or replaced while they were in use; put \
         them back, or run exec again", path.display()
    )]
    Gone { path: PathBuf },
    #[error("{} exists already; a sealed run is never overwritten", path.display())]
    Occupied { path: PathBuf },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
