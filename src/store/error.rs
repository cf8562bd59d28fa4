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
    #[error("{} exists already; a sealed run is never overwritten", path.display())]
    Occupied { path: PathBuf },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
