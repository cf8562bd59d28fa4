//! The files of a workflow as one digest: they are part of what is measured.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use agent::workflow::scan;
use formats::protocol::ScanSpec;
use sha2::{Digest, Sha256};

/// What a scan finds, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    pub files: u64,
    /// SHA-256 over names and contents, 64 hex digits. Neither the folder's own name nor times of
    /// files change it.
    pub digest: String,
}

/// A file of the corpus that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct CorpusError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Scans and reads everything that a workflow will.
pub fn corpus(spec: &ScanSpec) -> Result<Corpus, CorpusError> {
    fs::read_dir(&spec.folder)
        .map_err(|source| CorpusError { path: spec.folder.clone(), source })?;
    let scan = scan(spec);
    let mut hash = Sha256::new();
    hash.update(scan.left_out.to_le_bytes());
    for file in &scan.files {
        let content = fs::read(&file.path)
            .map_err(|source| CorpusError { path: file.path.clone(), source })?;
        // With their lengths, so that nothing can move from one part into the next.
        for part in [&file.name, &content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let digest = hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(Corpus { files: scan.files.len() as u64, digest })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec(folder: &Path) -> ScanSpec {
        ScanSpec {
            folder: folder.to_owned(),
            extensions: ["csv", "json", "md"].map(str::to_owned).into(),
            max_files: ScanSpec::MAX_FILES,
            max_bytes: ScanSpec::MAX_BYTES,
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(corpus(&spec(&folder.path().join("gone"))).is_err());
    }

    #[test]
    fn the_corpus_changes_with_names_and_contents_only() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
        let digest = || corpus(&spec(folder.path())).unwrap().digest;
        write("a.md", "one");
        let first = digest();
        write("a.md", "one");
        write("b.txt", "not asked for");
        assert_eq!(digest(), first);
        write("a.md", "two");
        assert_ne!(digest(), first);
        fs::rename(folder.path().join("a.md"), folder.path().join("c.md")).unwrap();
        write("c.md", "one");
        assert_ne!(digest(), first, "another name");
    }
}
