//! The files that a command leaves below `{out}`: what must be there, what may be, how much.

use std::fs::File;
use std::path::Path;

use crate::execute::fault::CommandFault;

/// Bytes of all files below the folder; what cannot be read counts nothing.
pub fn size(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Checks what was left: only files that can be read, not more than allowed, all that were declared.
pub fn check(folder: &Path, limit: u64, declared: &[String]) -> Result<(), CommandFault> {
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder);
            CommandFault::Unusable { file: below(folder, path), reason: error.to_string() }
        })?;
        let unusable =
            |reason: String| CommandFault::Unusable { file: below(folder, entry.path()), reason };
        if entry.file_type().is_file() {
            File::open(entry.path()).map_err(|error| unusable(error.to_string()))?;
        } else if !entry.file_type().is_dir() {
            return Err(unusable("it is neither a file nor a folder".to_owned()));
        }
    }
    let bytes = size(folder);
    if bytes > limit {
        discard(folder);
        return Err(CommandFault::TooMuch { bytes, limit });
    }
    let missing: Vec<&str> =
        declared.iter().map(String::as_str).filter(|file| !folder.join(file).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut found: Vec<String> = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| below(folder, entry.path()))
        .take(LISTED + 1)
        .collect();
    if found.len() > LISTED {
        found.truncate(LISTED);
        found.push("…".to_owned());
    }
    Err(CommandFault::Missing { missing: missing.join(", "), found: found.join(", ") })
}

/// Removes files that are more than may be kept; each attempt would add as many.
pub fn discard(folder: &Path) {
    // What cannot be removed stays, as the rest of a failed attempt does.
    let _ = std::fs::remove_dir_all(folder);
}

/// Files that a message names.
const LISTED: usize = 8;

fn below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
