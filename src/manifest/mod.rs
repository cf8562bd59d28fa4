//! The manifest: TOML as the researcher wrote it → a checked [`Study`].
//!
//! Strict: everything unknown is an error with its place and the nearest known name, and all errors
//! of a file are reported at once. Knows nothing of plans, stores or servers.

pub mod study;
pub mod units;

pub use study::Study;
