//! What a runtime must leave of a workflow: every stage once, and the very prompts that templates,
//! files and answers make. Without it two runtimes might be compared on different work.

use std::io;
use std::path::{Path, PathBuf};

use agent::workflow::template;
use formats::protocol::{AgentRecord, AgentSpec, PROMPTS_DIR, RESPONSES_DIR, Stage};

use crate::os::files;

/// How a runtime breaks it.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error(
        "the record holds the stages {found} of agent `{agent}`; for each run of a workflow it must \
         hold scan, ingest, analysis and report, in this order, with calls and warm-up as asked"
    )]
    Stages { agent: String, found: String },
    #[error(
        "stage {stage} of agent `{agent}` ends before it starts, or starts before the one before ends"
    )]
    Times { agent: String, stage: &'static str },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{} differs from byte {byte} on from the prompt that the template, the files and the former \
         answer make; docs/agent-protocol.md has the rules", path.display()
    )]
    Prompt { path: PathBuf, byte: usize },
}

/// Scan, ingest, analysis, report: for every run of the workflow, in this order.
pub fn stages(agent: &AgentSpec, record: &AgentRecord) -> Result<(), ContractError> {
    let wanted = (0..).zip(&agent.calls).flat_map(|(number, call)| {
        let before: &[Stage] = match call.stage {
            Some(Stage::Analysis) => &[Stage::Scan, Stage::Ingest],
            _ => &[],
        };
        let before = before.iter().map(|stage| (*stage, None, call.warmup));
        before.chain(call.stage.map(|stage| (stage, Some(number), call.warmup)))
    });
    let own = record.stages.iter().filter(|stage| stage.agent == agent.name);
    if !own.clone().map(|stage| (stage.stage, stage.call, stage.warmup)).eq(wanted) {
        let found = own.map(|stage| stage.stage.name()).collect::<Vec<_>>().join(", ");
        return Err(ContractError::Stages { agent: agent.name.clone(), found });
    }
    let mut ended_ns = 0;
    for stage in own {
        if stage.start_ns < ended_ns || stage.end_ns < stage.start_ns {
            let (agent, stage) = (agent.name.clone(), stage.stage.name());
            return Err(ContractError::Times { agent, stage });
        }
        ended_ns = stage.end_ns;
    }
    Ok(())
}

/// Compares the prompts that an agent left in the run's folder with those that its spec, the data
/// summary and its answers make.
pub fn prompts(folder: &Path, agent: &AgentSpec, summary: &str) -> Result<(), ContractError> {
    let mut answer = String::new();
    for (number, call) in (0..).zip(&agent.calls) {
        let name = format!("{}-{number}.txt", agent.name);
        let wanted = template::fill(&call.prompt, summary, &answer);
        let path = Path::new(PROMPTS_DIR).join(&name);
        let found = read(folder, &path)?;
        if found != wanted.as_bytes() {
            let alike = found.iter().zip(wanted.as_bytes()).take_while(|(a, b)| a == b);
            return Err(ContractError::Prompt { byte: alike.count(), path });
        }
        let response = read(folder, &Path::new(RESPONSES_DIR).join(&name))?;
        answer = String::from_utf8_lossy(&response).into_owned();
    }
    Ok(())
}

fn read(folder: &Path, path: &Path) -> Result<Vec<u8>, ContractError> {
    files::read(&folder.join(path))
        .map_err(|source| ContractError::Read { path: path.to_owned(), source })
}
