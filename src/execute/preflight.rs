//! What must hold before the first call; everything that does not is found at once.

use std::path::Path;

use super::MIN_FREE_BYTES;
use super::surroundings::{Question, Surroundings};
use crate::os::disk;

/// Asks every server and remembers what it tells. Returns what has to be repaired, one sentence each.
pub fn servers(questions: &[Question], surroundings: &mut Surroundings) -> Vec<String> {
    let mut findings = Vec::new();
    for question in questions {
        let name = &question.endpoint;
        let key = match question.api_key_env.as_deref().map(|name| (name, std::env::var(name))) {
            None => None,
            Some((_, Ok(key))) if !key.is_empty() => Some(key),
            Some((variable, _)) => {
                findings.push(format!(
                    "endpoint `{name}`: the environment variable {variable} with its API key is \
                     not set"
                ));
                continue;
            }
        };
        match question.ask(key.as_deref()) {
            Ok(facts) => surroundings.meet_server(question, facts),
            Err(error) => findings.push(format!("endpoint `{name}`: {error}")),
        }
    }
    findings
}

/// Whether the disk below `folder` has room for runs.
pub fn disk(folder: &Path) -> Option<String> {
    let free = free_below(folder)?;
    let mib = 1024 * 1024;
    Some(format!(
        "the disk of {} has {} MiB left, at least {} MiB are needed",
        folder.display(),
        free / mib,
        MIN_FREE_BYTES / mib
    ))
}

/// Free bytes if they are too few; unknown is taken for enough.
pub fn free_below(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    disk::free_bytes(existing).filter(|free| *free < MIN_FREE_BYTES)
}
