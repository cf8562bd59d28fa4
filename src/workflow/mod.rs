//! What a workflow is asked for and what a runtime must leave of it.
//!
//! The files of a workflow as one digest, which is part of a run's identity, and the check of what any
//! runtime left against what those files and the answers make. How files become prompts is the agent's
//! business (`agent::workflow`), which both use.

pub mod contract;
mod corpus;

pub use corpus::{Corpus, CorpusError, corpus};
