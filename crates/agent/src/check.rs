//! Refusing specs that cannot be carried out, before the first call.

use std::collections::BTreeSet;

use formats::protocol::{AgentSpec, PROTOCOL, Spec, Stage, WorkflowSpec};
use hyper::header::HeaderValue;
use serde::Deserialize;

use crate::finish::RuntimeError;
use crate::runtime::Variant;
use crate::tokenize;
use crate::workflow::Kind;

/// Reads and checks a spec and the settings in it that are this runtime's own.
pub(crate) fn spec(text: &str) -> Result<(Spec, Variant), RuntimeError> {
    /// The version alone: the rest of another version may look different.
    #[derive(Deserialize)]
    struct Version {
        protocol: u64,
    }
    let version: Version = serde_json::from_str(text)?;
    if version.protocol != u64::from(PROTOCOL) {
        return Err(RuntimeError::Protocol(version.protocol));
    }
    let spec: Spec = serde_json::from_str(text)?;
    let wrong = |reason: String| Err(RuntimeError::Spec(reason));
    if !spec.artifacts.is_dir() {
        return wrong(format!("the folder {} does not exist", spec.artifacts.display()));
    }
    if spec.throttle.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return wrong("throttle must be more than 0 chunks per second".to_owned());
    }
    if spec.read_buffer == Some(0) {
        return wrong("read_buffer must be at least 1 byte".to_owned());
    }
    if spec.probes.loop_lag_ns == Some(0) {
        return wrong("loop_lag_ns must be more than 0".to_owned());
    }
    if spec.lag_dose.is_some_and(|dose| dose.busy_ns == 0 || dose.busy_ns >= dose.every_ns) {
        return wrong("lag_dose must be busy for more than 0 ns and less than every_ns".to_owned());
    }
    let variant = Variant::of(&spec.variant).map_err(RuntimeError::Spec)?;
    if let Some(asked) = &spec.tokenize {
        tokenize::check(&spec, asked)?;
    }
    let mut names = BTreeSet::new();
    for agent in &spec.agents {
        if !names.insert(&agent.name) {
            return wrong(format!("two agents are named {:?}", agent.name));
        }
        check_agent(&spec, agent)?;
    }
    Ok((spec, variant))
}

fn check_agent(spec: &Spec, agent: &AgentSpec) -> Result<(), RuntimeError> {
    let wrong = |reason: &str| {
        Err(RuntimeError::Agent { agent: agent.name.clone(), reason: reason.to_owned() })
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if agent.name.is_empty() || !agent.name.chars().all(safe) {
        return wrong("a name has only letters, digits, '.', '_' and '-'");
    }
    if !agent.calls.is_sorted_by_key(|call| !call.warmup) {
        return wrong("warm-up calls come before all others");
    }
    check_workflow(agent)?;
    if HeaderValue::from_str(&spec.run).is_err() {
        return wrong("the run's name cannot be sent in the header x-request-id");
    }
    Ok(())
}

/// Stages and files go together: a placeholder that nothing fills would be sent as it stands.
fn check_workflow(agent: &AgentSpec) -> Result<(), RuntimeError> {
    let wrong = |reason: String| Err(RuntimeError::Agent { agent: agent.name.clone(), reason });
    let stages = agent.calls.iter().map(|call| call.stage);
    let Some(WorkflowSpec { scan }) = &agent.workflow else {
        return match stages.flatten().next() {
            None => Ok(()),
            Some(stage) => {
                wrong(format!("a call has the stage {} without a workflow", stage.name()))
            }
        };
    };
    let calls = [Some(Stage::Analysis), Some(Stage::Report)];
    // A job whose report is never made is none.
    let whole = agent.calls.len().is_multiple_of(2);
    if !whole || !stages.eq(calls.into_iter().cycle().take(agent.calls.len())) {
        return wrong("the calls of a workflow are analysis and report in turn".to_owned());
    }
    if let Some(unknown) = scan.extensions.iter().find(|name| Kind::of(name).is_none()) {
        return wrong(format!("the workflow asks for files of the unknown kind {unknown:?}"));
    }
    if !scan.folder.is_dir() {
        return wrong(format!("the workflow's folder {} does not exist", scan.folder.display()));
    }
    Ok(())
}
