//! The repository that the study lies in.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::store::record::GitEvidence;

/// Commit and state of the repository around `folder`; `None` outside of one or without `git`.
///
/// Dirty means that files under version control differ from the commit. Files that are not under
/// version control do not count: results usually lie in the same repository.
#[must_use]
pub fn repository(folder: &Path) -> Option<GitEvidence> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let commit = git(folder, &["rev-parse", "HEAD"])?;
    let changed = git(folder, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(GitEvidence { commit, dirty: !changed.is_empty() })
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        // `status` would otherwise refresh the index, which is the user's.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
