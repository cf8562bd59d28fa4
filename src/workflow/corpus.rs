//! The files of a workflow as one digest: they are part of what is measured.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use agent::workflow::scan;
use formats::protocol::ScanSpec;
use sha2::{Digest, Sha256};

use crate::encoding::{self, NotUtf8};

/// What a scan finds, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    pub files: u64,
    /// SHA-256 over names and contents, 64 hex digits. Neither the folder's own name nor times of
    /// files change it.
    pub digest: String,
}

/// A file of the corpus that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Its summary would say nothing of it.
    #[error("{} is not UTF-8: {reason}", path.display())]
    Encoding { path: PathBuf, reason: NotUtf8 },
}

/// Scans and reads everything that a workflow will.
pub fn corpus(spec: &ScanSpec) -> Result<Corpus, CorpusError> {
    fs::read_dir(&spec.folder)
        .map_err(|source| CorpusError::Read { path: spec.folder.clone(), source })?;
    let scan = scan(spec);
    let mut hash = Sha256::new();
    hash.update(scan.left_out.to_le_bytes());
    for file in &scan.files {
        let content = fs::read(&file.path)
            .map_err(|source| CorpusError::Read { path: file.path.clone(), source })?;
        // A byte that is none of UTF-8 is replaced; of other files nothing would be left.
        encoding::decode_lossy(&content)
            .map_err(|reason| CorpusError::Encoding { path: file.path.clone(), reason })?;
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
    fn a_file_of_utf16_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), b"caf\xe9,b\n1,2\n").unwrap();
        assert_eq!(corpus(&spec(folder.path())).unwrap().files, 1);
        fs::write(folder.path().join("b.csv"), b"\xff\xfea\0,\0b\0").unwrap();
        let error = corpus(&spec(folder.path())).unwrap_err().to_string();
        assert!(error.contains("b.csv is not UTF-8: it is UTF-16"), "{error}");
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
