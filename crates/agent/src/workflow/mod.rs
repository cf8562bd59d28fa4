//! What a workflow makes of files: the scan, the data summary and the prompts filled with it.
//!
//! Exact to the byte, since runtimes in other languages must send the same prompts; the rules stand in
//! docs/agent-protocol.md. Used by the Rust runtime, by the manifest's checks (identity covers the
//! files) and by those who check what a runtime has sent. Times nothing and makes no calls.

mod csv;
mod json;
mod markdown;
mod number;
mod scan;
mod summary;
pub mod template;
#[cfg(test)]
mod tests;

pub use scan::{Kind, Scan, ScannedFile, scan};
pub use summary::{Ingested, ingest};
