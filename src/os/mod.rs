//! Everything that depends on the operating system: clocks, process groups, counters, disk space.
//!
//! The branches for Windows cannot be tested where this project is built; what they lack is said.

pub mod condition;
pub mod cpu;
pub mod disk;
pub mod files;
pub mod host;
pub mod open_files;
pub mod orphans;
pub mod process;
