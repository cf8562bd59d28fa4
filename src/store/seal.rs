//! Sealing: a prepared folder becomes a run, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::StoreError;
use super::digest;
use super::record::{FileDigest, RUN_FILE, RunRecord};
use crate::os::{disk, files};

/// Digests of all files below `folder` but `run.json`, by their paths with `/`.
pub fn digests(folder: &Path) -> Result<BTreeMap<String, FileDigest>, StoreError> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry.map_err(|error| StoreError::Io {
            action: "read",
            path: error.path().unwrap_or(folder).to_owned(),
            source: error.into(),
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        if entry.file_name().to_str().is_none() {
            let reason = format!(
                "the name `{}` is not UTF-8",
                entry.file_name().to_string_lossy().escape_debug()
            );
            return Err(StoreError::Malformed { path: folder.to_owned(), reason });
        }
        let name = relative(folder, entry.path());
        if !entry.file_type().is_file() {
            let reason = format!("{name:?} is neither a file nor a folder");
            return Err(StoreError::Malformed { path: folder.to_owned(), reason });
        }
        if name != RUN_FILE {
            let digest =
                digest::of_stored(entry.path()).map_err(StoreError::io("read", entry.path()))?;
            files.insert(name, digest);
        }
    }
    Ok(files)
}

/// The path below `folder`, with `/` on every system.
fn relative(folder: &Path, path: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Writes the record into `partial`, makes everything in it outlast a crash, and renames it to
/// `place`. Returns the digest of the record's file.
pub fn seal(partial: &Path, place: &Path, record: &mut RunRecord) -> Result<String, StoreError> {
    if place.symlink_metadata().is_ok() {
        return Err(StoreError::Occupied { path: place.to_owned() });
    }
    let sha256 = write_record(partial, record)?;
    let path = partial.join(RUN_FILE);
    let mut files: Vec<PathBuf> = record.files.keys().map(|name| partial.join(name)).collect();
    files.push(path);
    // At the same time: the file system then writes its journal once for many of them.
    files
        .par_iter()
        .try_for_each(|file| disk::sync_file(file).map_err(StoreError::io("sync", file)))?;
    for folder in folders(partial) {
        disk::sync_folder(&folder).map_err(StoreError::io("sync", &folder))?;
    }
    fs::rename(partial, place).map_err(StoreError::io("seal", partial))?;
    if let Some(parent) = place.parent() {
        disk::sync_folder(parent).map_err(StoreError::io("sync", parent))?;
    }
    Ok(sha256)
}

/// Writes the record into a prepared folder, with the digests of everything in it. Returns the digest of its file.
pub fn write_record(partial: &Path, record: &mut RunRecord) -> Result<String, StoreError> {
    record.files = digests(partial)?;
    let path = partial.join(RUN_FILE);
    let text = text(record, &path)?;
    files::write(&path, &text).map_err(StoreError::io("write", &path))?;
    Ok(formats::digest::of_bytes(&text))
}

/// A record as it stands in its file at `path`.
pub(super) fn text(record: &RunRecord, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut text = serde_json::to_vec_pretty(record).map_err(|error| StoreError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    text.push(b'\n');
    Ok(text)
}

fn folders(root: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(root)
        .contents_first(true)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// Writes a file beside its place and renames it there, so that it is never seen half written.
pub fn write_whole(path: &Path, text: &[u8]) -> Result<(), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    write_through(&path.with_file_name(name), path, text)
}

/// As [`write_whole`], by way of this file on the same disk.
pub(super) fn write_through(partial: &Path, path: &Path, text: &[u8]) -> Result<(), StoreError> {
    files::write(partial, text).map_err(StoreError::io("write", partial))?;
    disk::sync_file(partial).map_err(StoreError::io("sync", partial))?;
    fs::rename(partial, path).map_err(StoreError::io("write", path))?;
    if let Some(parent) = path.parent() {
        disk::sync_folder(parent).map_err(StoreError::io("sync", parent))?;
    }
    Ok(())
}
