//! Where things lie below `results/<study>/`.

use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::manifest::import::KEPT_MAPS;
use crate::os::disk;

/// The folder of one study's results and the places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The study's folder below `results`; `study` is one folder name (`tr117`, `tr117@simulated`).
    pub fn new(results: &Path, study: &str) -> Result<Self, StoreError> {
        check_component(study, study)?;
        Ok(Self { root: results.join(study) })
    }

    /// The study's folder itself, wherever it lies.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    #[must_use]
    pub fn failed(&self) -> PathBuf {
        self.root.join("failed")
    }

    /// Stale runs that `exec --rerun-stale` measured again.
    #[must_use]
    pub fn superseded(&self) -> PathBuf {
        self.root.join("superseded")
    }

    /// Runs on their way out, when a user collects what no cell asks for.
    #[must_use]
    pub fn collected(&self) -> PathBuf {
        self.root.join(".collected")
    }

    /// Those beside `runs` that are written to.
    #[must_use]
    pub fn own_folders(&self) -> [PathBuf; 7] {
        let below = |name| self.root.join(name);
        [
            self.failed(),
            self.superseded(),
            self.collected(),
            self.origins(),
            self.maps(),
            below("calibration"),
            below("corpora"),
        ]
    }

    /// Where the record of a sealed run is kept when another replaces it: a file beside those of stale
    /// runs, named by its digest, so that keeping it twice makes no second.
    #[must_use]
    pub fn superseded_record(&self, run_folder: &Path, sha256: &str) -> PathBuf {
        let repeat = run_folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{repeat}-run-{}.json", sha256.get(..16).unwrap_or(sha256));
        self.superseded().join(self.cell_part(run_folder)).join(name)
    }

    /// `calibration/<runtime>-<time>`: what was recorded to measure the instrument.
    pub fn calibration_of(&self, runtime: &str, time: &str) -> Result<PathBuf, StoreError> {
        let name = format!("{runtime}-{time}");
        check_component(&name, &name)?;
        Ok(self.root.join("calibration").join(name))
    }

    /// `corpora/<first digits of its digest>`: a text that tokenizers encode, and its cuts.
    #[must_use]
    pub fn corpus(&self, sha256: &str) -> PathBuf {
        self.root.join("corpora").join(sha256.get(..16).unwrap_or(sha256))
    }

    /// Files of earlier results that are kept, by their digests.
    #[must_use]
    pub fn origins(&self) -> PathBuf {
        self.root.join("origins")
    }

    /// The maps by which earlier results were read.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join(KEPT_MAPS)
    }

    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.jsonl")
    }

    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// `<cell-name>-<id8>` of a run's folder, sealed or partial.
    #[must_use]
    pub fn cell_part(&self, run_folder: &Path) -> PathBuf {
        let cell = run_folder.parent().unwrap_or(run_folder);
        let name = || cell.file_name().map(PathBuf::from).unwrap_or_default();
        cell.strip_prefix(self.runs()).map_or_else(|_| name(), Path::to_owned)
    }

    /// A path below the study's folder, relative to it, for people and the journal.
    #[must_use]
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The same with `/` on every system.
    #[must_use]
    pub fn below(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let parts = path.components().map(|part| part.as_os_str().to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    }

    /// What an exec that was killed left unfinished: every `.<repeat>.partial` below `runs`, with its
    /// repeat, sorted.
    #[must_use]
    pub fn partials(&self) -> Vec<(PathBuf, u32)> {
        let mut found = Vec::new();
        let mut walk = walkdir::WalkDir::new(self.runs()).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_dir() {
                continue;
            }
            let name = entry.file_name().to_str();
            let repeat = name
                .and_then(|name| name.strip_prefix('.')?.strip_suffix(".partial")?.parse().ok());
            if let Some(repeat) = repeat {
                found.push((entry.path().to_owned(), repeat));
                walk.skip_current_dir();
            } else if entry.path().join(super::record::RUN_FILE).exists() {
                walk.skip_current_dir();
            }
        }
        found.sort();
        found
    }
}

/// `<name>-<id8>`, the folder of a cell relative to `runs`, `failed` or `superseded`. The name may
/// hold `/`; it is checked to stay below.
pub fn cell_folder(name: &str, cell: &str) -> Result<PathBuf, StoreError> {
    folder_with(name, cell.get(..8).unwrap_or(cell))
}

/// `<name>-<32 digits>`, for a cell whose short id another cell already bears.
pub(super) fn cell_folder_in_full(name: &str, cell: &str) -> Result<PathBuf, StoreError> {
    folder_with(name, cell)
}

fn folder_with(name: &str, id: &str) -> Result<PathBuf, StoreError> {
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || id.is_empty() {
        return Err(StoreError::UnsafeName { name: id.to_owned(), reason: "not a cell id" });
    }
    let path = format!("{name}-{id}");
    for component in path.split('/') {
        check_component(component, &path)?;
    }
    Ok(path.split('/').collect())
}

/// Names come from manifests. They were made safe by the plan; nothing is written if they were not.
fn check_component(component: &str, name: &str) -> Result<(), StoreError> {
    let reason = if component.is_empty() {
        "a part of it is empty"
    } else if component.starts_with('.') {
        "a part of it starts with a dot"
    } else if component.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':')) {
        "it holds a separator or a control character"
    } else if component.len() > 255 {
        "a part of it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(StoreError::UnsafeName { name: name.escape_debug().to_string(), reason })
}

/// Whether the folder's name ends like a cell's.
pub(super) fn is_cell_folder(folder: &Path) -> bool {
    cell_of_folder(folder).is_some()
}

/// The first digits of its cell's id, or all, from a folder's name: what stands behind its last `-`, if that
/// is 8 or 32 hex digits.
pub(super) fn cell_of_folder(folder: &Path) -> Option<&str> {
    let (_, id) = folder.file_name()?.to_str()?.rsplit_once('-')?;
    let is_id = matches!(id.len(), 8 | 32) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

/// The place in which a run is prepared, beside its own: `.<repeat>.partial`.
#[must_use]
pub fn partial_folder(cell_folder: &Path, repeat: u32) -> PathBuf {
    cell_folder.join(format!(".{repeat}.partial"))
}

/// Moves `from` to `to`, or to `to.2`, `to.3`, … if that is taken; returns where it lies now.
pub fn set_aside(from: &Path, to: &Path) -> Result<PathBuf, StoreError> {
    if let Some(parent) = to.parent() {
        disk::create_folders(parent).map_err(StoreError::io("create", parent))?;
    }
    let place = free_place(to);
    fs::rename(from, &place).map_err(StoreError::io("move", from))?;
    for folder in [from.parent(), place.parent()].into_iter().flatten() {
        disk::sync_folder(folder).map_err(StoreError::io("sync", folder))?;
    }
    Ok(place)
}

/// The place, or the first with a number behind it where nothing lies yet.
pub(super) fn free_place(to: &Path) -> PathBuf {
    let mut place = to.to_owned();
    let mut number = 1_u32;
    while place.symlink_metadata().is_ok() {
        number += 1;
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        place = to.with_file_name(name);
    }
    place
}
