//! Identity: the document of what was asked for, and its digest.
//!
//! What is at its default is left out of the document, so that something added to the program later
//! changes no identity. Names of experiments, axes and scenarios, titles, repeats, timeouts, retries,
//! addresses and the headers of requests never get in; the names of endpoints do, since two endpoints of
//! one manifest are two servers wherever they are.

use std::collections::{HashMap, btree_map};
use std::iter::Peekable;

use formats::protocol::ScanSpec;
use sha2::{Digest, Sha256};

use super::CellId;
use super::canonical::Canonical;
use super::resolve::{OptionValue, Resolved, ResolvedAgent};
use super::spec;
use crate::manifest::command::Command;
use crate::manifest::study::{
    Control, Endpoint, Experiment, ExperimentKind, Fault, FaultKind, FlamegraphProbe, GpuProbe,
    JitterShape, Level, Pacing, Probes, Work, Workflow,
};
use crate::manifest::{Study, units};

/// The version of the documents that this program makes.
pub const VERSION: u32 = 2;

/// What `replica` is of a cell that is measured a second time; the first is the default.
pub const REPLICA: u32 = 2;

/// What `kind` is of earlier results.
pub const IMPORT: &str = "import";

/// The id of a document of today's version in canonical JSON (RFC 8785).
#[must_use]
pub fn id(document: &[u8]) -> CellId {
    id_in(VERSION, document)
}

/// The id of a document of this version: the first 16 bytes of the SHA-256 of the version's tag, a line
/// feed and the document.
#[must_use]
pub(super) fn id_in(version: u32, document: &[u8]) -> CellId {
    let mut hash = Sha256::new();
    hash.update(format!("runner/cell/{version}"));
    hash.update(b"\n");
    hash.update(document);
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    CellId(id)
}

/// How a document tells the servers of its agents apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Servers<'n> {
    /// By the names of their endpoints; those that stand first in a pair by the name that they had before.
    Named(&'n [(&'n str, &'n str)]),
    /// As version 1 did: not at all, but that two agents of a cell share an address or do not.
    Numbered,
}

impl Servers<'_> {
    /// By the names that the manifest gives them today.
    pub const TODAY: Self = Self::Named(&[]);
}

/// Digests of every prompt of a study, made once: they are the same in all its cells.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    prompts: HashMap<String, String>,
}

impl Contents {
    pub fn new(study: &Study) -> Self {
        let prompts = study
            .scenarios
            .values()
            .flatten()
            .flat_map(|agent| agent.work.prompts())
            .map(|prompt| (prompt.to_owned(), formats::digest::of_bytes(prompt.as_bytes())))
            .collect();
        Self { prompts }
    }

    fn prompt(&self, text: &str) -> &str {
        // Every prompt of a study was put in when it was made.
        self.prompts.get(text).map_or("", String::as_str)
    }
}

/// The document of a cell, in canonical JSON. Keys are written in ascending order.
pub(super) fn document(
    study: &Study,
    resolved: &Resolved<'_>,
    experiment: &Experiment,
    contents: &Contents,
    servers: Servers<'_>,
) -> Vec<u8> {
    let settings = &experiment.settings;
    let mut out = Canonical::default();
    if let ExperimentKind::Import(import) = &experiment.kind {
        imported(&mut out, &import.campaign, resolved);
        return out.into_bytes();
    }
    out.object(|out| {
        let mut own = Settings(resolved.settings.iter().peekable());
        let kind = match &experiment.kind {
            ExperimentKind::Scenario => {
                if settings.accept_context_full {
                    own.key(out, "accept_context_full").boolean(true);
                }
                agents(own.key(out, "agents"), resolved, contents, servers);
                None
            }
            ExperimentKind::Tokenize(_) => Some("tokenize"),
            ExperimentKind::Command(command) => {
                self::command(out, command, resolved);
                Some("command")
            }
            ExperimentKind::Import(_) => Some(IMPORT),
        };
        if let Some(kind) = kind {
            own.key(out, "kind").text(kind);
        }
        if let ExperimentKind::Tokenize(_) = &experiment.kind {
            own.key(out, "levels").object(|out| {
                // A corpus counts by its content, which stands under `tokenize`.
                for (name, level) in resolved.other.iter().filter(|(name, _)| **name != "corpus") {
                    out.key(name).level(level);
                }
            });
        }
        let idle = experiment.controls.contains(&Control::Idle);
        if experiment.probes != Probes::default() || idle {
            probes(own.key(out, "probes"), &experiment.probes, idle);
        }
        if resolved.is_replica {
            own.key(out, "replica").number(f64::from(REPLICA));
        }
        if !experiment.kind.is_command() {
            own.key(out, "runtime").text(resolved.runtime);
        }
        if let ExperimentKind::Tokenize(tokenize) = &experiment.kind {
            own.key(out, "tokenize").object(|out| {
                out.key("corpus").value(&resolved.corpus(study, tokenize).identity());
                out.key("iterations").number(f64::from(tokenize.iterations));
            });
        }
        if !resolved.variant.is_empty() {
            own.key(out, "variant").object(|out| {
                for (name, level) in &resolved.variant {
                    out.key(name).level(level);
                }
            });
        }
        if kind.is_none() {
            if !settings.vary_prompt {
                own.key(out, "vary_prompt").boolean(false);
            }
            if settings.vary_seed {
                own.key(out, "vary_seed").boolean(true);
            }
            let warmup = resolved.warmup(settings);
            if warmup > 0 {
                own.key(out, "warmup").number(f64::from(warmup));
            }
        }
        own.rest(out);
    });
    out.into_bytes()
}

/// Settings that stand in the document under their own names, still to be written.
struct Settings<'r, 's>(Peekable<btree_map::Iter<'r, &'s str, &'s Level>>);

impl Settings<'_, '_> {
    /// The document's next key, after the settings that come before it.
    fn key<'o>(&mut self, out: &'o mut Canonical, key: &str) -> &'o mut Canonical {
        while let Some((name, level)) = self.0.next_if(|(name, _)| **name < key) {
            out.key(name).level(level);
        }
        out.key(key)
    }

    fn rest(self, out: &mut Canonical) {
        for (name, level) in self.0 {
            out.key(name).level(level);
        }
    }
}

/// Which of earlier results is asked for: neither where they lie nor how they are read, which may change without
/// making others of them.
fn imported(out: &mut Canonical, campaign: &str, resolved: &Resolved<'_>) {
    out.object(|out| {
        out.key("campaign").text(campaign);
        out.key("kind").text(IMPORT);
        out.key("levels").object(|out| {
            for (name, level) in &resolved.other {
                out.key(name).level(level);
            }
        });
    });
}

/// What is run, on which content. Levels are in the words; what differs from run to run or from
/// machine to machine stays a place in them.
fn command(out: &mut Canonical, command: &Command, resolved: &Resolved<'_>) {
    out.key("command")
        .array(spec::words(command, resolved), |out, word| out.text(&word.to_string()));
    if let Some(cwd) = &command.cwd {
        out.key("cwd").text(&spec::with_levels(cwd, resolved).to_string());
    }
    if !command.inputs.is_empty() {
        let mut inputs: Vec<_> = command.inputs.iter().collect();
        inputs.sort_by(|a, b| a.path.cmp(&b.path));
        out.key("inputs").object(|out| {
            for input in inputs {
                out.key(&input.path).text(&input.digest);
            }
        });
    }
}

/// The agents by name: the order in which a scenario lists them is no part of what is measured.
fn agents(out: &mut Canonical, resolved: &Resolved<'_>, contents: &Contents, servers: Servers<'_>) {
    let mut agents: Vec<&ResolvedAgent<'_>> = resolved.agents.iter().collect();
    agents.sort_by(|a, b| a.agent.agent.cmp(&b.agent.agent));
    let mut numbered: Vec<(&str, &str)> = Vec::new();
    out.array(agents, |out, agent| {
        let server = match servers {
            Servers::Named(before) => {
                let own = before.iter().find(|(name, _)| *name == agent.endpoint_name);
                Server::Name(own.map_or(agent.endpoint_name, |(_, was)| was))
            }
            Servers::Numbered => {
                let server = address(agent);
                let known = numbered.iter().position(|known| *known == server);
                Server::Number(known.unwrap_or_else(|| {
                    numbered.push(server);
                    numbered.len() - 1
                }))
            }
        };
        self::agent(out, agent, server, contents);
    });
}

/// What the document says of an agent's server.
#[derive(Clone, Copy)]
enum Server<'a> {
    Name(&'a str),
    /// The place of its address among those of the cell; 0 is left out.
    Number(usize),
}

/// What told two servers apart in version 1; never got into the document itself.
fn address<'a>(agent: &'a ResolvedAgent<'_>) -> (&'a str, &'a str) {
    match &*agent.endpoint {
        Endpoint::Server(server) => ("address", &server.url),
        Endpoint::Paced(_) => ("name", agent.endpoint_name),
    }
}

fn agent(out: &mut Canonical, agent: &ResolvedAgent<'_>, server: Server<'_>, contents: &Contents) {
    out.object(|out| {
        if agent.count > 1 {
            out.key("count").number(f64::from(agent.count));
        }
        if let Server::Name(name) = server {
            out.key("endpoint").text(name);
        }
        if let Some(limit) = agent.max_tokens {
            out.key("max_tokens").number(f64::from(limit));
        }
        let dialect = agent.endpoint.server().map(|server| server.dialect).unwrap_or_default();
        if !dialect.max_tokens_as.is_default() {
            out.key("max_tokens_as").text(dialect.max_tokens_as.name());
        }
        out.key("model").text(agent.model);
        out.key("name").text(&agent.agent.agent);
        if let Some(options) = &agent.options {
            out.key("options").object(|out| {
                for (name, value) in options {
                    match value {
                        OptionValue::Own(value) => out.key(name).value(value),
                        OptionValue::Level(level) => out.key(name).level(level),
                    }
                }
            });
        }
        if let Work::Prompt(prompt) = &agent.agent.work {
            out.key("prompt").text(contents.prompt(prompt));
        }
        if let Endpoint::Server(server) = &*agent.endpoint {
            out.key("protocol").text(server.api.name());
        }
        if let Server::Number(number @ 1..) = server {
            out.key("server").number(number as f64);
        }
        if let Endpoint::Paced(schedule) = &*agent.endpoint {
            out.key("simulated").object(|out| pacing(out, schedule));
        }
        if !dialect.stream_options {
            out.key("stream_options").boolean(false);
        }
        if let Work::Workflow(workflow) = &agent.agent.work {
            out.key("workflow").object(|out| self::workflow(out, workflow, contents));
        }
    });
}

/// By content: where the files lie is no part of what is measured.
fn workflow(out: &mut Canonical, workflow: &Workflow, contents: &Contents) {
    let scan = &workflow.scan;
    out.key("analysis").text(contents.prompt(&workflow.analysis));
    out.key("corpus").text(&workflow.corpus.digest);
    out.key("extensions").array(&scan.extensions, |out, extension| out.text(extension));
    if scan.max_bytes != ScanSpec::MAX_BYTES {
        out.key("max_bytes").number(scan.max_bytes as f64);
    }
    if scan.max_files != ScanSpec::MAX_FILES {
        out.key("max_files").number(scan.max_files as f64);
    }
    out.key("report").text(contents.prompt(&workflow.report));
}

fn pacing(out: &mut Canonical, pacing: &Pacing) {
    let default = Pacing::default();
    let jittered = pacing.jitter != default.jitter;
    if !pacing.faults.is_empty() {
        out.key("faults")
            .array(&pacing.faults, |out, fault| out.object(|out| self::fault(out, fault)));
    }
    if !pacing.gaps.is_empty() {
        out.key("gaps").array(&pacing.gaps, |out, gap| out.text(&units::show_duration(*gap)));
    }
    if jittered {
        out.key("jitter").text(&units::show_duration(pacing.jitter));
        match pacing.jitter_shape {
            JitterShape::Uniform => {}
            JitterShape::Normal => out.key("jitter_shape").text("normal"),
            JitterShape::Exponential => out.key("jitter_shape").text("exponential"),
        }
    }
    if pacing.load != default.load {
        out.key("load").text(&units::show_duration(pacing.load));
    }
    out.key("protocol").text(pacing.protocol.name());
    if pacing.gaps.is_empty() {
        out.key("rate").number(pacing.rate);
    }
    if pacing.seed != default.seed {
        // As text: a seed may lie beyond what a JSON number holds exactly.
        out.key("seed").text(&pacing.seed.to_string());
    }
    if let Some(slots) = pacing.slots {
        out.key("slots").number(f64::from(slots));
    }
    if let Some(tokens) = pacing.tokens {
        out.key("tokens").number(f64::from(tokens));
    }
    if pacing.tokens_per_chunk != default.tokens_per_chunk {
        out.key("tokens_per_chunk").number(f64::from(pacing.tokens_per_chunk));
    }
    out.key("ttft").text(&units::show_duration(pacing.ttft));
}

fn fault(out: &mut Canonical, fault: &Fault) {
    if fault.after > 0 {
        out.key("after").number(f64::from(fault.after));
    }
    if let FaultKind::Error(text) = &fault.kind {
        out.key("error").text(text);
    }
    for (key, value) in [("every", fault.every), ("first", fault.first)] {
        if let Some(value) = value {
            out.key(key).number(f64::from(value));
        }
    }
    match &fault.kind {
        FaultKind::Error(_) => {}
        FaultKind::Status(status) => out.key("status").number(f64::from(*status)),
        FaultKind::Slow(gap) => out.key("slow").text(&units::show_duration(*gap)),
        FaultKind::Stall => out.key("stall").boolean(true),
        FaultKind::Reset => out.key("reset").boolean(true),
        FaultKind::Truncate => out.key("truncate").boolean(true),
        FaultKind::Malformed => out.key("malformed").boolean(true),
    }
}

fn probes(out: &mut Canonical, probes: &Probes, idle: bool) {
    out.object(|out| {
        if probes.chunks {
            out.key("chunks").boolean(true);
        }
        match probes.flamegraph.map(|probe| probe.rate) {
            None => {}
            Some(FlamegraphProbe::RATE) => out.key("flamegraph").boolean(true),
            Some(rate) => out.key("flamegraph").number(f64::from(rate)),
        }
        if let Some(probe) = &probes.gpu {
            gpu(out.key("gpu"), probe);
        }
        if let Some(probe) = &probes.host {
            out.key("host").text(&units::show_duration(probe.interval));
        }
        if idle {
            out.key("idle").boolean(true);
        }
        if let Some(sleep) = probes.loop_lag {
            out.key("loop_lag").text(&units::show_duration(sleep));
        }
        if probes.wire.is_some() {
            out.key("wire").boolean(true);
        }
    });
}

/// Which GPUs are watched is part of what is measured; in whatever order they are named.
fn gpu(out: &mut Canonical, probe: &GpuProbe) {
    let interval = units::show_duration(probe.interval);
    if probe.devices.is_empty() {
        out.text(&interval);
        return;
    }
    let mut devices: Vec<&String> = probe.devices.iter().collect();
    devices.sort();
    out.object(|out| {
        out.key("devices").array(devices, |out, device| out.text(device));
        out.key("interval").text(&interval);
    });
}
