//! What is kept of runs: layout, sealed records, journal, lock, verification.
//!
//! Knows nothing of manifests; reports and plans read what lies here.

pub mod record;
