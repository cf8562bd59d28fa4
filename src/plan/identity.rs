//! Identity: the document of what was asked for, and its digest.
//!
//! What is at its default is left out of the document, so that something added to the program later
//! changes no identity. Names of experiments, axes and scenarios, titles, repeats, timeouts, retries
//! and addresses never get in; that two agents share a server does.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::CellId;
use super::resolve::{Resolved, ResolvedAgent};
use crate::manifest::study::{
    Control, Endpoint, Experiment, ExperimentKind, Fault, FaultKind, JitterShape, OpenAiApi,
    PacedProtocol, Pacing, Probes,
};
use crate::manifest::{Study, units};

/// The version of the document; part of what is hashed.
pub const VERSION: &str = "runner/cell/1";

/// The id of a document: the first 16 bytes of the SHA-256 of the version, a line feed and the
/// document as canonical JSON (RFC 8785).
#[must_use]
pub fn id(document: &Value) -> CellId {
    let mut hash = Sha256::new();
    hash.update(VERSION);
    hash.update(b"\n");
    hash.update(canonical(document));
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    CellId(id)
}

/// Canonical JSON, RFC 8785.
#[must_use]
pub fn canonical(document: &Value) -> Vec<u8> {
    // Fails only for numbers that JSON cannot hold, which a `Value` cannot hold either.
    serde_json_canonicalizer::to_vec(document).unwrap_or_default()
}

/// SHA-256 of a text, 64 hex digits.
#[must_use]
pub fn digest(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Digests of every prompt and schedule of a study, made once: they are the same in all its cells.
#[derive(Debug)]
pub(super) struct Contents {
    prompts: std::collections::HashMap<String, String>,
}

impl Contents {
    pub fn new(study: &Study) -> Self {
        let prompts = study
            .scenarios
            .values()
            .flatten()
            .map(|agent| (agent.prompt.clone(), digest(&agent.prompt)))
            .collect();
        Self { prompts }
    }

    fn prompt(&self, text: &str) -> String {
        self.prompts.get(text).cloned().unwrap_or_else(|| digest(text))
    }
}

/// The document of a cell.
pub(super) fn document(
    resolved: &Resolved<'_>,
    experiment: &Experiment,
    contents: &Contents,
) -> Value {
    let mut document = Map::new();
    document.insert("runtime".into(), resolved.runtime.into());
    if !resolved.variant.is_empty() {
        document.insert("variant".into(), json!(resolved.variant));
    }
    match &experiment.kind {
        ExperimentKind::Scenario => scenario(&mut document, resolved, experiment, contents),
        ExperimentKind::Tokenize(tokenize) => {
            document.insert("kind".into(), "tokenize".into());
            document.insert("tokenize".into(), json!(tokenize));
            document.insert("levels".into(), json!(resolved.other));
        }
        ExperimentKind::Command { command } => {
            document.insert("kind".into(), "command".into());
            document.insert("command".into(), json!(command));
            document.insert("levels".into(), json!(resolved.other));
        }
    }
    let probes = probes(&experiment.probes, experiment.controls.contains(&Control::Idle));
    if !probes.is_empty() {
        document.insert("probes".into(), probes.into());
    }
    Value::Object(document)
}

fn scenario(
    document: &mut Map<String, Value>,
    resolved: &Resolved<'_>,
    experiment: &Experiment,
    contents: &Contents,
) {
    let mut agents: Vec<&ResolvedAgent<'_>> = resolved.agents.iter().collect();
    agents.sort_by(|a, b| a.agent.agent.cmp(&b.agent.agent));
    let mut servers: Vec<(&str, &str)> = Vec::new();
    let agents: Vec<Value> = agents
        .into_iter()
        .map(|agent| {
            let server = server_key(agent);
            let index = servers.iter().position(|known| *known == server).unwrap_or_else(|| {
                servers.push(server);
                servers.len() - 1
            });
            self::agent(agent, index, contents)
        })
        .collect();
    document.insert("agents".into(), agents.into());
    if let Some(bytes) = resolved.read_buffer {
        document.insert("read_buffer".into(), bytes.into());
    }
    if let Some(rate) = resolved.throttle {
        document.insert("throttle".into(), rate.into());
    }
    let settings = &experiment.settings;
    if settings.warmup > 0 {
        document.insert("warmup".into(), settings.warmup.into());
    }
    if !settings.vary_prompt {
        document.insert("vary_prompt".into(), false.into());
    }
    if settings.vary_seed {
        document.insert("vary_seed".into(), true.into());
    }
}

/// What tells two servers apart; never gets into the document itself.
fn server_key<'s>(agent: &ResolvedAgent<'s>) -> (&'s str, &'s str) {
    match agent.endpoint {
        Endpoint::Ollama { url } | Endpoint::OpenAi { url, .. } => ("address", url),
        Endpoint::Simulated(_) => ("name", &agent.agent.endpoint),
    }
}

fn agent(agent: &ResolvedAgent<'_>, server: usize, contents: &Contents) -> Value {
    let mut document = Map::new();
    document.insert("name".into(), agent.agent.agent.as_str().into());
    document.insert("model".into(), agent.model.into());
    document.insert("prompt".into(), contents.prompt(&agent.agent.prompt).into());
    match agent.endpoint {
        Endpoint::Ollama { .. } => document.insert("protocol".into(), "ollama".into()),
        Endpoint::OpenAi { api, .. } => {
            let name = match api {
                OpenAiApi::Chat => "openai_chat",
                OpenAiApi::Completions => "openai_completions",
            };
            document.insert("protocol".into(), name.into())
        }
        Endpoint::Simulated(schedule) => document.insert("simulated".into(), pacing(schedule)),
    };
    if let Some(options) = &agent.options {
        document.insert("options".into(), json!(options));
    }
    if let Some(limit) = agent.max_tokens {
        document.insert("max_tokens".into(), limit.into());
    }
    if agent.count > 1 {
        document.insert("count".into(), agent.count.into());
    }
    if server > 0 {
        document.insert("server".into(), server.into());
    }
    Value::Object(document)
}

fn pacing(pacing: &Pacing) -> Value {
    let default = Pacing::default();
    let mut document = Map::new();
    let mut put = |key: &str, differs: bool, value: Value| {
        if differs {
            document.insert(key.into(), value);
        }
    };
    let protocol = match pacing.protocol {
        PacedProtocol::Ollama => "ollama",
        PacedProtocol::OpenaiChat => "openai_chat",
        PacedProtocol::OpenaiCompletions => "openai_completions",
    };
    let shape = match pacing.jitter_shape {
        JitterShape::Uniform => "uniform",
        JitterShape::Normal => "normal",
        JitterShape::Exponential => "exponential",
    };
    put("protocol", true, protocol.into());
    put("ttft", true, units::show_duration(pacing.ttft).into());
    if pacing.gaps.is_empty() {
        put("rate", true, pacing.rate.into());
    } else {
        let gaps: Vec<String> = pacing.gaps.iter().copied().map(units::show_duration).collect();
        put("gaps", true, gaps.into());
    }
    let jittered = pacing.jitter != default.jitter;
    put("jitter", jittered, units::show_duration(pacing.jitter).into());
    put("jitter_shape", jittered && pacing.jitter_shape != default.jitter_shape, shape.into());
    put("seed", pacing.seed != default.seed, pacing.seed.into());
    let per_chunk = pacing.tokens_per_chunk;
    put("tokens_per_chunk", per_chunk != default.tokens_per_chunk, per_chunk.into());
    put("tokens", pacing.tokens.is_some(), json!(pacing.tokens));
    put("load", pacing.load != default.load, units::show_duration(pacing.load).into());
    put("slots", pacing.slots.is_some(), json!(pacing.slots));
    let faults: Vec<Value> = pacing.faults.iter().map(fault).collect();
    put("faults", !faults.is_empty(), faults.into());
    Value::Object(document)
}

fn fault(fault: &Fault) -> Value {
    let mut document = Map::new();
    let (kind, value) = match &fault.kind {
        FaultKind::Status(status) => ("status", json!(status)),
        FaultKind::Error(text) => ("error", json!(text)),
        FaultKind::Stall => ("stall", true.into()),
        FaultKind::Reset => ("reset", true.into()),
        FaultKind::Truncate => ("truncate", true.into()),
        FaultKind::Malformed => ("malformed", true.into()),
        FaultKind::Slow(gap) => ("slow", units::show_duration(*gap).into()),
    };
    document.insert(kind.into(), value);
    if fault.after > 0 {
        document.insert("after".into(), fault.after.into());
    }
    for (key, value) in [("first", fault.first), ("every", fault.every)] {
        if let Some(value) = value {
            document.insert(key.into(), value.into());
        }
    }
    Value::Object(document)
}

fn probes(probes: &Probes, idle: bool) -> Map<String, Value> {
    let mut document = Map::new();
    if let Some(sleep) = probes.loop_lag {
        document.insert("loop_lag".into(), units::show_duration(sleep).into());
    }
    for (key, on) in [("chunks", probes.chunks), ("flamegraph", probes.flamegraph), ("idle", idle)]
    {
        if on {
            document.insert(key.into(), true.into());
        }
    }
    for (key, probe) in [("gpu", probes.gpu), ("host", probes.host)] {
        if let Some(probe) = probe {
            document.insert(key.into(), units::show_duration(probe.interval).into());
        }
    }
    document
}
