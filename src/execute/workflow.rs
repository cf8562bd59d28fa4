//! Whether the agents did the workflows that were planned, on the files that were planned.

use std::collections::BTreeMap;
use std::path::Path;

use agent::workflow::{ingest, scan};
use formats::protocol::{AgentRecord, ScanSpec, Spec, WorkflowSpec};

use super::fault::{ArtifactFault, AttemptFault};
use crate::manifest::study::Work;
use crate::plan::ScenarioWork;
use crate::workflow::{contract, corpus};

/// Checks the agents that have a workflow, after all their calls went well.
pub fn check(
    folder: &Path,
    spec: &Spec,
    scenario: &ScenarioWork,
    record: &AgentRecord,
) -> Result<(), AttemptFault> {
    // Copies of an agent read the same files.
    let mut summaries: BTreeMap<&ScanSpec, String> = BTreeMap::new();
    for (agent, planned) in spec.agents.iter().zip(&scenario.agents) {
        let (Some(WorkflowSpec { scan: asked }), Work::Workflow(workflow)) =
            (&agent.workflow, &planned.work)
        else {
            continue;
        };
        contract::stages(agent, record).map_err(ArtifactFault::Workflow)?;
        if !summaries.contains_key(asked) {
            if !corpus(asked).is_ok_and(|found| found == workflow.corpus) {
                return Err(AttemptFault::CorpusChanged(asked.folder.clone()));
            }
            summaries.insert(asked, ingest(&scan(asked)).summary);
        }
        let summary = summaries.get(asked).map_or("", String::as_str);
        contract::prompts(folder, agent, summary).map_err(ArtifactFault::Workflow)?;
    }
    Ok(())
}
