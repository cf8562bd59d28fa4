//! What is kept of runs: layout, sealed records, journal, lock, verification.
//!
//! A run exists whole or not at all: it is written beside its place and one rename makes it exist.
//! Nothing deletes a run but [`gc`], when a user asks for it; what is set aside is moved.

mod adopted;
pub mod blocks;
pub mod digest;
mod error;
pub mod executed;
pub mod facts;
pub mod failed;
pub mod fallback;
pub mod gc;
mod index;
pub mod journal;
mod layout;
mod lock;
pub mod record;
mod recorded;
pub mod reseal;
pub mod seal;
pub mod sealed;
mod staleness;
pub mod verify;

pub use error::StoreError;
pub use index::{Damaged, Store, StoredSize, Unsealed};
pub use layout::{Layout, partial_folder, set_aside};
pub use lock::{Holder, Lock, holder};
pub use recorded::{RecordedDifference, level_differences, recorded, recorded_differences};
pub use staleness::{against_newest, counting, staleness, version_1};

#[cfg(test)]
mod tests;
