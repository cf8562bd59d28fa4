//! What served an agent's calls, as far as its metrics depend on it: which engine, how much context, and how
//! much it was asked for.

use std::collections::BTreeMap;

use formats::protocol::{AgentSpec, Spec};
use serde_json::Value;

use crate::store::record::{EndpointEvidence, Evidence, HeldModel, ServerMemory, Serving};

/// By agent. `endpoint_of` names the endpoint of an agent.
#[must_use]
pub fn serving<'n>(
    spec: &Spec,
    endpoint_of: impl Fn(&str) -> Option<&'n str>,
    evidence: &Evidence,
    servers: &BTreeMap<String, ServerMemory>,
) -> BTreeMap<String, Serving> {
    let of_agent = |agent: &AgentSpec| {
        let endpoint = endpoint_of(&agent.name).unwrap_or_default();
        let memory = servers.get(endpoint);
        let serving = of(agent, evidence.endpoints.get(endpoint), memory);
        (agent.name.clone(), serving)
    };
    spec.agents.iter().map(of_agent).collect()
}

fn of(
    agent: &AgentSpec,
    endpoint: Option<&EndpointEvidence>,
    memory: Option<&ServerMemory>,
) -> Serving {
    let model = endpoint.and_then(|endpoint| endpoint.models.get(&agent.model));
    let server = endpoint.and_then(|endpoint| match endpoint.kind.as_str() {
        "simulated" => Some(PACED.to_owned()),
        _ => endpoint.server.clone(),
    });
    let held = memory.and_then(|memory| memory.loaded.as_deref()).unwrap_or_default();
    let is_held = |held: &&HeldModel| formats::endpoint::is_tag_of(&held.name, &agent.model);
    let context = match server.as_deref() {
        // What is made for the model says nothing of what it was loaded with.
        Some("ollama") => held.iter().find(is_held).and_then(|held| held.context_length),
        _ => model.and_then(|model| model.served_context),
    };
    let option = |name: &str| agent.options.get(name);
    Serving {
        version: endpoint.and_then(|endpoint| endpoint.version.clone()),
        family: model.and_then(|model| model.file.clone()),
        server,
        context,
        limit: agent.asked_tokens(),
        ignores_end: option("ignore_eos").and_then(Value::as_bool) == Some(true),
    }
}

/// How the paced endpoint is called as an engine.
pub const PACED: &str = "paced endpoint";
