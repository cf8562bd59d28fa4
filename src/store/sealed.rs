//! What the journal says of sealed runs: the digest that each record was sealed with, so that whoever reads
//! a record can tell whether it is the one that was sealed.

use std::collections::BTreeMap;

use super::journal::{self, What};
use super::{Layout, StoreError};

/// A run by its cell (32 hex digits) and repeat.
pub type Key = (String, u32);

/// Digests that the record of each run may have by the journal's last word on it.
#[derive(Debug, Default)]
pub struct Sealed {
    /// A run that the journal does not know comes from somewhere else. It is not so where results were copied
    /// without it, or where a part of it was lost.
    knows_all: bool,
    runs: BTreeMap<Key, Word>,
}

/// The last word on one run.
#[derive(Debug, Default)]
struct Word {
    /// Two where the metrics were computed again: a crash may have left the record that was to be replaced.
    digests: Vec<String>,
    /// An attempt began and its end was not told: the run may have been sealed and the line be lost.
    begun: bool,
    /// It was to be removed; after a kill it may still be there.
    collected: bool,
}

/// How a record stands to what the journal says of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what was sealed.
    Sealed,
    /// Another one was sealed.
    Changed,
    /// The journal does not say that it was sealed; `begun`: it says that the run was begun, so that its last
    /// line may be missing. Otherwise the run comes from somewhere else, or the journal does not know all.
    Unsealed { begun: bool },
}

impl Sealed {
    pub fn read(layout: &Layout) -> Result<Self, StoreError> {
        let path = layout.journal();
        // One in which nothing stands yet knows nothing.
        let mut knows_all = path.metadata().is_ok_and(|journal| journal.len() > 0);
        let mut runs: BTreeMap<Key, Word> = BTreeMap::new();
        for entry in journal::read(&path)? {
            match entry.what {
                What::Incomplete => knows_all = false,
                What::Settled { without } => {
                    knows_all = true;
                    for own in without {
                        runs.entry((own.cell, own.repeat)).or_default().begun = true;
                    }
                }
                What::Started { cell, repeat, .. } => {
                    runs.entry((cell, repeat)).or_default().begun = true;
                }
                What::Failed { cell, repeat, .. } => {
                    runs.entry((cell, repeat)).or_default().begun = false;
                }
                What::Importing { runs: begun } => {
                    for own in begun {
                        runs.entry((own.cell, own.repeat)).or_default().begun = true;
                    }
                }
                What::Finished { cell, repeat, sha256, .. }
                | What::Imported { cell, repeat, sha256 } => {
                    runs.insert((cell, repeat), Word { digests: vec![sha256], ..Word::default() });
                }
                What::Recomputed { cell, repeat, before, sha256, .. } => {
                    let word = runs.entry((cell, repeat)).or_default();
                    if word.digests.is_empty() {
                        word.digests.push(before.clone());
                    }
                    // A crash may have left the one that was to be replaced, unless somebody had edited it.
                    word.digests.retain(|known| *known == before);
                    word.digests.push(sha256);
                    word.collected = false;
                }
                What::Collected { cell, repeat } => {
                    runs.entry((cell, repeat)).or_default().collected = true;
                }
                What::Superseded { cell, repeat, .. }
                | What::Abandoned { cell: Some(cell), repeat, .. } => {
                    runs.remove(&(cell, repeat));
                }
                _ => {}
            }
        }
        Ok(Self { knows_all, runs })
    }

    /// Whether every run that was ever begun here stands in the journal.
    #[must_use]
    pub fn knows_all(&self) -> bool {
        self.knows_all
    }

    /// What the journal says of a record with this digest.
    #[must_use]
    pub fn standing(&self, cell: &str, repeat: u32, sha256: &str) -> Standing {
        match self.runs.get(&(cell.to_owned(), repeat)) {
            Some(word) if word.digests.iter().any(|known| known == sha256) => Standing::Sealed,
            Some(word) if word.begun => Standing::Unsealed { begun: true },
            Some(word) if !word.digests.is_empty() && !word.collected => Standing::Changed,
            _ => Standing::Unsealed { begun: false },
        }
    }

    /// Every run that was sealed and not moved away since.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let is_there = |word: &Word| !word.digests.is_empty() && !word.collected;
        self.runs.iter().filter(move |(_, word)| is_there(word)).map(|(key, _)| key)
    }
}
