//! One language of cells: what the levels of a cell are, and which cells are wanted.
//!
//! Whatever selects cells goes through here: filters of commands, selections of templates, of hypotheses
//! and of claims, baselines. Where the levels come from is left to `plan` and to the records.

pub mod filter;
mod identity;
mod level;
#[cfg(test)]
mod tests;
mod wanted;

pub use filter::{FilterError, Filters};
pub use identity::of_identity;
pub use level::NamedLevel;
pub use wanted::Wanted;
