//! The sealed runs of a study, found by id alone and held in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::StoreError;
use super::layout::{self, Layout};
use super::record::{RUN_FILE, RUN_FORMAT, RunRecord};
use super::sealed::{Sealed, Standing};
use crate::os::files;

/// What a study's folder held when it was opened.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    pub(super) cells: HashMap<String, Cell>,
    pub(super) damaged: Vec<Damaged>,
    pub(super) unsealed: Vec<Unsealed>,
    journal_knows_all: bool,
    /// By former id of a cell, the one that it has today.
    pub(super) today: HashMap<String, String>,
    /// The other way round, those of folders that cannot be trusted as well.
    pub(super) former: HashMap<String, Vec<String>>,
}

/// Which records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Those that are not another one than was sealed.
    Sealed,
    /// All that can be read: of who names what was changed, or computes from it knowingly.
    AsFound,
}

#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) runs: BTreeMap<u32, RunRecord>,
    pub(super) folders: BTreeMap<u32, PathBuf>,
}

/// What stored runs take on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSize {
    pub runs: usize,
    /// Of one run.
    pub mean_bytes: u64,
}

/// A run's folder whose record cannot be trusted: its run counts as missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    pub folder: PathBuf,
    pub reason: String,
}

impl Damaged {
    /// Whether it lies at the place of this run, whatever the readable part of its cell's folder says.
    fn is_at(&self, cell: &str, repeat: u32) -> bool {
        folder_repeat(&self.folder) == Some(repeat)
            && self.cell_digits().is_some_and(|id| cell.starts_with(id))
    }

    /// The first digits of its cell's id, or all, as its place has them.
    pub(super) fn cell_digits(&self) -> Option<&str> {
        self.folder.parent().and_then(layout::cell_of_folder)
    }
}

/// A run of which the journal does not say that it was sealed. It counts, and whoever shows it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    pub folder: PathBuf,
    /// The id that its record and the journal have, 32 hex digits.
    pub cell: String,
    /// The id under which the store has it: today's, where it was sealed under a former one.
    pub current: String,
    pub repeat: u32,
    /// Of `run.json` as it is.
    pub sha256: String,
    /// The journal says that it was begun: a kill may have come before the line of its end.
    pub begun: bool,
}

static NO_RUNS: BTreeMap<u32, RunRecord> = BTreeMap::new();

impl Store {
    /// Reads the records of all sealed runs. A study without results is an empty store.
    ///
    /// Fails if a record was written by a newer version; a record that cannot be read, that is not the one
    /// that was sealed or that is of another run than its folder is listed in [`Store::damaged`] and counts
    /// as missing.
    pub fn open(results: &Path, study: &str) -> Result<Self, StoreError> {
        Self::read(Layout::new(results, study)?, Trust::Sealed)
    }

    /// As [`Store::open`], of a study's folder that may lie anywhere.
    pub fn at(root: &Path) -> Result<Self, StoreError> {
        Self::read(Layout::at(root), Trust::Sealed)
    }

    /// As [`Store::open`], with the records that are not those that were sealed among the runs: for
    /// `verify`, which names them, and `recompute`, which refuses them unless they are accepted.
    pub fn open_as_found(results: &Path, study: &str) -> Result<Self, StoreError> {
        Self::read(Layout::new(results, study)?, Trust::AsFound)
    }

    fn read(layout: Layout, trust: Trust) -> Result<Self, StoreError> {
        let folders = run_folders(&layout.runs())?;
        let mut found: Vec<Found> = folders.into_par_iter().map(Found::load).collect();
        // After the records: the line of a record that is replaced comes before it, that of a new one behind.
        let mut sealed = Sealed::read(&layout)?;
        if trust == Trust::Sealed {
            // What is at work meanwhile may have replaced a run between the two looks.
            let mut again: Vec<&mut Found> = found
                .iter_mut()
                .filter(|own| own.standing(&sealed) == Some(Standing::Changed))
                .collect();
            if !again.is_empty() {
                for own in &mut again {
                    **own = Found::load(own.folder.clone());
                }
                sealed = Sealed::read(&layout)?;
            }
        }
        let mut store = Self {
            layout,
            cells: HashMap::new(),
            damaged: Vec::new(),
            unsealed: Vec::new(),
            journal_knows_all: sealed.knows_all(),
            today: HashMap::new(),
            former: HashMap::new(),
        };
        for own in found {
            store.add(own, &sealed, trust)?;
        }
        Ok(store)
    }

    fn add(&mut self, found: Found, sealed: &Sealed, trust: Trust) -> Result<(), StoreError> {
        let standing = found.standing(sealed);
        let Found { folder, record } = found;
        let (record, sha256) = match record {
            Ok(record) => record,
            Err(error @ StoreError::NewerFormat { .. }) => return Err(error),
            Err(error) => {
                self.damaged.push(Damaged { folder, reason: error.to_string() });
                return Ok(());
            }
        };
        let changed = standing == Some(Standing::Changed) && trust == Trust::Sealed;
        let reason = misplaced(&folder, &record).or_else(|| {
            changed.then(|| {
                let short = sha256.get(..16).unwrap_or(&sha256);
                format!("its {RUN_FILE} (SHA-256 {short}…) is not the one that was sealed")
            })
        });
        let reason = reason.or_else(|| {
            let first = self.folder(&record.cell, record.repeat)?;
            Some(format!("the same run lies in {}", first.display()))
        });
        if let Some(reason) = reason {
            self.damaged.push(Damaged { folder, reason });
            return Ok(());
        }
        if let Some(Standing::Unsealed { begun }) = standing {
            let (cell, repeat, folder) = (record.cell.clone(), record.repeat, folder.clone());
            let current = cell.clone();
            self.unsealed.push(Unsealed { folder, cell, current, repeat, sha256, begun });
        }
        let cell = self.cells.entry(record.cell.clone()).or_default();
        cell.folders.insert(record.repeat, folder);
        cell.runs.insert(record.repeat, record);
        Ok(())
    }

    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Sealed runs of a cell (32 hex digits) by their repeat.
    #[must_use]
    pub fn runs(&self, cell: &str) -> &BTreeMap<u32, RunRecord> {
        self.cells.get(cell).map_or(&NO_RUNS, |cell| &cell.runs)
    }

    /// Folder of a sealed run.
    #[must_use]
    pub fn folder(&self, cell: &str, repeat: u32) -> Option<&Path> {
        self.cells.get(cell)?.folders.get(&repeat).map(PathBuf::as_path)
    }

    /// Ids of all cells with sealed runs, planned or not, sorted.
    #[must_use]
    pub fn cells(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.cells.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    /// What the sealed runs take on the disk; `None`: there are none.
    #[must_use]
    pub fn run_size(&self) -> Option<StoredSize> {
        let runs = self.cells.values().flat_map(|cell| {
            cell.runs.iter().filter_map(|(repeat, run)| Some((cell.folders.get(repeat)?, run)))
        });
        let sizes: Vec<u64> = runs.map(|(folder, run)| bytes(folder, run)).collect();
        let mean_bytes = sizes.iter().sum::<u64>().checked_div(sizes.len() as u64)?;
        Some(StoredSize { runs: sizes.len(), mean_bytes })
    }

    /// Run folders whose records cannot be trusted, sorted.
    #[must_use]
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Those of them at the place of this run, under today's id of its cell or a former one, each with the id
    /// that its place has.
    pub fn damaged_at<'s>(
        &'s self,
        cell: &'s str,
        repeat: u32,
    ) -> impl Iterator<Item = (&'s str, &'s Damaged)> {
        let former = self.former.get(cell).into_iter().flatten().map(String::as_str);
        let ids: Vec<&str> = std::iter::once(cell).chain(former).collect();
        self.damaged.iter().filter_map(move |own| {
            let id = ids.iter().find(|id| own.is_at(id, repeat))?;
            Some((*id, own))
        })
    }

    /// Runs of which the journal does not say that they were sealed, sorted by their folders.
    #[must_use]
    pub fn unsealed(&self) -> &[Unsealed] {
        &self.unsealed
    }

    /// Whether there is a journal of all that was ever begun here; results that were copied without it are all
    /// unsealed.
    #[must_use]
    pub fn journal_knows_all(&self) -> bool {
        self.journal_knows_all
    }

    /// Where a cell's next run belongs: the folder that holds its runs already, whatever its readable
    /// part says, or a new one under today's `name`.
    pub fn cell_folder(&self, cell: &str, name: &str) -> Result<PathBuf, StoreError> {
        // Runs that were sealed under a former id lie in a folder that bears it.
        let own = self.cells.get(cell).and_then(|own| {
            own.runs
                .values()
                .find(|run| run.cell == cell)
                .and_then(|run| own.folders.get(&run.repeat))
        });
        if let Some(parent) = own.and_then(|folder| folder.parent()) {
            return Ok(parent.to_owned());
        }
        let folder = self.layout.runs().join(layout::cell_folder(name, cell)?);
        let taken = self
            .cells
            .values()
            .flat_map(|other| other.folders.values())
            .any(|run| run.parent() == Some(folder.as_path()));
        if taken {
            return Ok(self.layout.runs().join(layout::cell_folder_in_full(name, cell)?));
        }
        Ok(folder)
    }
}

/// What a run takes on the disk.
pub(super) fn bytes(folder: &Path, run: &RunRecord) -> u64 {
    let record = folder.join(RUN_FILE).metadata().map_or(0, |record| record.len());
    record + run.files.values().map(|file| file.bytes).sum::<u64>()
}

/// Folders below `runs` that hold a record, sorted; hidden ones are not sealed.
pub(super) fn run_folders(runs: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    if !runs.exists() {
        return Ok(found);
    }
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    // Links in it are not followed: they may lead in a circle. In a run's place they are damage.
    let mut walk = walkdir::WalkDir::new(runs).into_iter();
    loop {
        let entry = match walk.next() {
            None => break,
            Some(Ok(entry)) if !visible(&entry) => {
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                continue;
            }
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                let path = error.path().unwrap_or(runs).to_owned();
                let source = error.into();
                return Err(StoreError::Io { action: "read", path, source });
            }
        };
        let (is_folder, is_link) = (entry.file_type().is_dir(), entry.file_type().is_symlink());
        // A numbered folder is a run even if its record is gone: that is damage, not absence.
        if (is_folder || is_link) && is_run_place(entry.path()) {
            if is_folder {
                walk.skip_current_dir();
            }
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a run belongs there, by the names of the folder and of the one around it.
fn is_run_place(path: &Path) -> bool {
    folder_repeat(path).is_some() && path.parent().is_some_and(layout::is_cell_folder)
}

/// The repeat that a run's folder is named after.
fn folder_repeat(folder: &Path) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    let repeat: u32 = name.parse().ok()?;
    (repeat > 0 && repeat.to_string() == name).then_some(repeat)
}

/// Why a run's folder cannot be where it lies: its record is of another run. Whoever copies a run to another
/// place makes no run of it.
pub(super) fn misplaced(folder: &Path, record: &RunRecord) -> Option<String> {
    let RunRecord { cell, repeat, .. } = record;
    if folder_repeat(folder) != Some(*repeat) {
        return Some(format!("its record is of repeat {repeat}"));
    }
    let id = folder.parent().and_then(layout::cell_of_folder)?;
    (!cell.starts_with(id)).then(|| format!("its record is of cell {cell}"))
}

/// A run's folder with its record and the digest of its bytes.
struct Found {
    folder: PathBuf,
    record: Result<(RunRecord, String), StoreError>,
}

impl Found {
    fn load(folder: PathBuf) -> Self {
        Self { record: load_with_digest(&folder), folder }
    }

    /// `None`: it cannot be read.
    fn standing(&self, sealed: &Sealed) -> Option<Standing> {
        let (record, sha256) = self.record.as_ref().ok()?;
        Some(sealed.standing(&record.cell, record.repeat, sha256))
    }
}

/// Reads one sealed record.
pub fn load(folder: &Path) -> Result<RunRecord, StoreError> {
    load_with_digest(folder).map(|(record, _)| record)
}

/// Reads one record, with the SHA-256 of the bytes that were read.
fn load_with_digest(folder: &Path) -> Result<(RunRecord, String), StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let path = folder.join(RUN_FILE);
    let text = files::read(&path).map_err(StoreError::io("read", &path))?;
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        path: path.clone(),
        reason: error.to_string(),
    };
    let record: Result<RunRecord, _> = serde_json::from_slice(&text);
    // A newer record may have another shape; its format can be read all the same.
    let found = match &record {
        Ok(record) => u64::from(record.format),
        Err(_) => serde_json::from_slice::<Format>(&text).map_err(malformed)?.format,
    };
    if found > u64::from(RUN_FORMAT) {
        return Err(StoreError::NewerFormat { path, found, known: RUN_FORMAT });
    }
    Ok((record.map_err(malformed)?, formats::digest::of_bytes(&text)))
}
