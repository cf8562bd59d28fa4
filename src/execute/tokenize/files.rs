//! The tokenizer's file right before a run, which was looked over before the first one.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::plan::TokenizeWork;
use crate::preflight::{FileFault, FileProblem};
use crate::store::record::TokenizerEvidence;

/// Why a run cannot be made, as far as the file's digest tells: it is known already, and whether the
/// content is any good is for the runtime to say.
pub(super) fn refusal(work: &TokenizeWork, met: Option<&TokenizerEvidence>) -> Option<FileFault> {
    let path = work.file.path.display().to_string();
    let problem = match met.and_then(|met| met.sha256.clone()) {
        None => FileProblem::unreadable(path, File::open(&work.file.path).err()?),
        Some(found) => {
            let declared = work.file.sha256.clone()?;
            if found.eq_ignore_ascii_case(&declared) {
                return None;
            }
            FileProblem::Digest { path, found, declared }
        }
    };
    Some(FileFault { name: work.tokenizer.clone(), problem })
}

/// A runtime may work in another directory. A path that cannot be made absolute does not exist, which
/// the runtime then says.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
