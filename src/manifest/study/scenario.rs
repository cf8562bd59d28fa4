//! What the agents of a scenario do.

use std::sync::Arc;

use formats::protocol::ScanSpec;
use indexmap::IndexMap;

use crate::workflow::Corpus;

/// Inference options by name (`num_ctx`, `temperature`, …), in the order of the manifest.
/// Values are normalised: a number that is whole is an integer.
pub type Options = IndexMap<String, serde_json::Value>;

/// One participant of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioAgent {
    pub agent: String,
    /// Name of an entry of [`Study::endpoints`]; `None`: the cell's.
    pub endpoint: Option<String>,
    pub work: Work,
    /// `None`: the server's defaults, which no option factor changes.
    pub options: Option<Options>,
    /// A fixed model; `None`: the cell's.
    pub model: Option<String>,
    /// Identical copies that work at the same time.
    pub count: u32,
}

/// What an agent does, once for each of its warm-up runs and once measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// One call with a prompt of this content.
    Prompt(String),
    /// Reads files, analyses, reports: two calls.
    Workflow(Arc<Workflow>),
}

impl Work {
    /// The prompts of its calls, in their order; those of a workflow are templates.
    #[must_use]
    pub fn prompts(&self) -> Vec<&str> {
        match self {
            Work::Prompt(prompt) => vec![prompt],
            Work::Workflow(workflow) => vec![&workflow.analysis, &workflow.report],
        }
    }
}

/// A workflow with the content of its prompts and what its scan found when the manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its folder is not absolute where the manifest's path is not.
    pub scan: ScanSpec,
    pub analysis: String,
    pub report: String,
    pub corpus: Corpus,
}
