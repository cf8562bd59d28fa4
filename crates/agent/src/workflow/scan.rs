//! Which files a workflow reads, in an order that no file system decides.

use std::path::{Path, PathBuf};

use formats::protocol::ScanSpec;
use walkdir::WalkDir;

/// How a file is read; told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Csv,
    Json,
    Markdown,
}

impl Kind {
    /// The kind of an extension without its dot.
    #[must_use]
    pub fn of(extension: &str) -> Option<Self> {
        match extension {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// A file that the scan took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedFile {
    pub path: PathBuf,
    /// Below the scanned folder, parts joined by `/`, as the file system gives it.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Bytes when it was scanned.
    pub size: u64,
}

/// What the scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// In the order of their names' bytes.
    pub files: Vec<ScannedFile>,
    /// Files of these kinds beyond the limits.
    pub left_out: u64,
    /// Sizes of [`Scan::files`] added up.
    pub bytes: u64,
}

/// Lists the files below a folder that have one of the extensions, whatever the case of its letters.
///
/// Symbolic links and names that begin with a dot are passed over, and so is a folder that cannot be
/// read. The first file that would exceed a limit is left out with all that follow it.
#[must_use]
pub fn scan(spec: &ScanSpec) -> Scan {
    let extensions: Vec<(String, Kind)> = spec
        .extensions
        .iter()
        .filter_map(|extension| Some((format!(".{extension}"), Kind::of(extension)?)))
        .collect();
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut found = Vec::new();
    for entry in WalkDir::new(&spec.folder).into_iter().filter_entry(visible).flatten() {
        let file_name = entry.file_name().as_encoded_bytes();
        let kind = extensions.iter().find(|(end, _)| ends_with(file_name, end.as_bytes()));
        if let Some((_, kind)) = kind
            && entry.depth() > 0
            && entry.file_type().is_file()
        {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            let name = name(&spec.folder, entry.path());
            found.push(ScannedFile { path: entry.into_path(), name, kind: *kind, size });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    within_limits(found, spec)
}

fn within_limits(found: Vec<ScannedFile>, spec: &ScanSpec) -> Scan {
    let mut scan = Scan::default();
    for file in found {
        let bytes = scan.bytes.saturating_add(file.size);
        let fits = (scan.files.len() as u64) < spec.max_files && bytes <= spec.max_bytes;
        if fits && scan.left_out == 0 {
            scan.bytes = bytes;
            scan.files.push(file);
        } else {
            scan.left_out += 1;
        }
    }
    scan
}

fn ends_with(name: &[u8], end: &[u8]) -> bool {
    name.len().checked_sub(end.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(end))
}

fn name(folder: &Path, path: &Path) -> Vec<u8> {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<&[u8]> =
        below.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    parts.join(&b'/')
}
