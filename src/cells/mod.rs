//! One language of cells: what the levels of a cell are, and which cells are wanted.
//!
//! Whatever selects cells goes through here: filters of commands, selections of templates, of hypotheses
//! and of claims, baselines. Where the levels come from is left to `plan` and to the records.

mod level;
mod wanted;

pub use level::NamedLevel;
pub use wanted::Wanted;
