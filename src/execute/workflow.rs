//! The contract of a workflow's artifacts: every stage once, and the very prompts that the manifest's
//! templates, the files and the answers make.
//!
//! Without it two runtimes might compare themselves on different work.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::fault::{ArtifactFault, AttemptFault};
use crate::agent::protocol::{
    AgentRecord, AgentSpec, CallSpec, PROMPTS_DIR, RECORD_FILE, RESPONSES_DIR, ScanSpec, Spec,
    Stage, WorkflowSpec,
};
use crate::agent::workflow::{corpus, ingest, scan, template};
use crate::manifest::study::Work;
use crate::plan::CellSpec;

/// Checks the agents that have a workflow. Their calls are known to be there.
pub fn check(
    folder: &Path,
    spec: &Spec,
    cell: &CellSpec,
    record: &AgentRecord,
) -> Result<(), AttemptFault> {
    // Copies of an agent read the same files.
    let mut summaries: BTreeMap<&ScanSpec, String> = BTreeMap::new();
    for (agent, planned) in spec.agents.iter().zip(&cell.agents) {
        let (Some(WorkflowSpec { scan: asked }), Work::Workflow(workflow)) =
            (&agent.workflow, &planned.work)
        else {
            continue;
        };
        stages(agent, record)?;
        if !summaries.contains_key(asked) {
            if !corpus(asked).is_ok_and(|found| found == workflow.corpus) {
                return Err(AttemptFault::CorpusChanged(asked.folder.clone()));
            }
            summaries.insert(asked, ingest(&scan(asked)).summary);
        }
        let data = summaries.get(asked).map_or("", String::as_str);
        for (number, call) in (0..).zip(&agent.calls) {
            prompt(folder, agent, number, call, data)?;
        }
    }
    Ok(())
}

/// Scan, ingest, analysis, report: for every run of the workflow, in this order.
fn stages(agent: &AgentSpec, record: &AgentRecord) -> Result<(), ArtifactFault> {
    let wanted = (0..).zip(&agent.calls).flat_map(|(number, call)| {
        let before: &[Stage] = match call.stage {
            Some(Stage::Analysis) => &[Stage::Scan, Stage::Ingest],
            _ => &[],
        };
        let before = before.iter().map(|stage| (*stage, None, call.warmup));
        before.chain(call.stage.map(|stage| (stage, Some(number), call.warmup)))
    });
    let own = record.stages.iter().filter(|stage| stage.agent == agent.name);
    if own.clone().map(|stage| (stage.stage, stage.call, stage.warmup)).eq(wanted) {
        return Ok(());
    }
    let found = own.map(|stage| stage.stage.name()).collect::<Vec<_>>().join(", ");
    Err(ArtifactFault::Stages { file: RECORD_FILE, agent: agent.name.clone(), found })
}

fn prompt(
    folder: &Path,
    agent: &AgentSpec,
    call: u32,
    spec: &CallSpec,
    data: &str,
) -> Result<(), ArtifactFault> {
    let answer = match call.checked_sub(1) {
        Some(former) => read(folder, &file(RESPONSES_DIR, agent, former))?,
        None => Vec::new(),
    };
    let wanted = template::fill(&spec.prompt, data, &String::from_utf8_lossy(&answer));
    let path = file(PROMPTS_DIR, agent, call);
    let found = read(folder, &path)?;
    if found == wanted.as_bytes() {
        return Ok(());
    }
    let alike = found.iter().zip(wanted.as_bytes()).take_while(|(a, b)| a == b).count();
    Err(ArtifactFault::Prompt { path, byte: alike })
}

fn file(kind: &str, agent: &AgentSpec, call: u32) -> PathBuf {
    Path::new(kind).join(format!("{}-{call}.txt", agent.name))
}

fn read(folder: &Path, path: &Path) -> Result<Vec<u8>, ArtifactFault> {
    fs::read(folder.join(path)).map_err(|error| ArtifactFault::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
