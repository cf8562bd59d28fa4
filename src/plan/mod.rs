//! From a checked study to cells, identities and an order of runs.
//!
//! Pure: reads no store, asks no server. Cells are kept small (a million of them fit in memory); what
//! a cell means in full is resolved when it is needed, by [`Plan::spec`].

pub mod spec;

use crate::manifest::Study;
use crate::manifest::study::Level;
pub use spec::{CellSpec, SpecAgent};

/// Identity of a cell: the first 16 bytes of a SHA-256, shown as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId(pub [u8; 16]);

impl CellId {
    /// 32 hex digits, as kept in files.
    #[must_use]
    pub fn hex(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// 8 hex digits, as shown to people and used in folder names.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..8].to_owned()
    }
}

/// One run of the plan: a cell (index into the plan's cells) and a repeat from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    pub cell: u32,
    pub repeat: u32,
}

/// A study's cells, with the experiments they belong to.
#[derive(Debug)]
pub struct Plan {
    study: Study,
}

impl Plan {
    #[must_use]
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// Number of distinct cells, after merging and filtering.
    #[must_use]
    pub fn cells(&self) -> usize {
        todo!()
    }

    #[must_use]
    pub fn id(&self, _cell: u32) -> CellId {
        todo!()
    }

    /// Readable folder name, made of safe characters only, without the id.
    #[must_use]
    pub fn name(&self, _cell: u32) -> String {
        todo!()
    }

    /// Repeats asked for (the largest of its experiments).
    #[must_use]
    pub fn repeats(&self, _cell: u32) -> u32 {
        todo!()
    }

    /// Everything needed to execute the cell.
    #[must_use]
    pub fn spec(&self, _cell: u32) -> CellSpec {
        todo!()
    }

    /// Cells of an experiment (index into the study's experiments), in the order of its matrix.
    #[must_use]
    pub fn experiment_cells(&self, _experiment: usize) -> Vec<u32> {
        todo!()
    }

    /// Experiments that a cell belongs to.
    #[must_use]
    pub fn experiments_of(&self, _cell: u32) -> Vec<usize> {
        todo!()
    }

    /// The cell's levels in this experiment: axis name and level, in the order of the axes.
    #[must_use]
    pub fn levels(&self, _experiment: usize, _cell: u32) -> Vec<(String, Level)> {
        todo!()
    }

    /// All factors of a cell under their names, normalised and readable (`throttle` → `60 tok/s`,
    /// `read_buffer` → `64 KiB`, a default → `default`): the factor columns of exports and tables.
    #[must_use]
    pub fn factors(&self, _cell: u32) -> Vec<(String, String)> {
        todo!()
    }

    /// All runs in the order in which they are to be executed.
    #[must_use]
    pub fn order(&self) -> Vec<RunKey> {
        todo!()
    }
}
