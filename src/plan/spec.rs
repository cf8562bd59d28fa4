//! A cell in full: what its runs must do.

use std::collections::BTreeMap;
use std::time::Duration;

use formats::protocol::{Connection, LagDose};

use super::name;
use super::resolve::{Resolved, ResolvedAgent};
use crate::cells::NamedLevel;
use crate::corpus;
use crate::manifest::command::Command;
use crate::manifest::study::{
    Control, Endpoint, Experiment, ExperimentKind, Level, Options, Probes, Retry, RuntimeCommand,
    TokenizerFile, Work,
};
use crate::manifest::template::Template;
use crate::manifest::{Study, factor, units};

/// Everything needed to execute one cell.
#[derive(Debug, Clone)]
pub struct CellSpec {
    /// The document whose digest is the cell's id.
    pub identity: serde_json::Value,
    /// What the cell is, factor by factor.
    pub levels: Vec<NamedLevel>,
    /// `rust`, `python` or a user's runtime; of a command [`COMMAND_RUNTIME`].
    pub runtime: String,
    /// How to start it, if it is a user's.
    pub command: Option<RuntimeCommand>,
    /// The runtime's own settings (`event_loop`, `json`, …), default levels left out.
    pub variant: BTreeMap<String, serde_json::Value>,
    pub work: CellWork,
    pub probes: Probes,
    /// Of one call, or of the whole work where there are no calls.
    pub timeout: Duration,
    /// Most bytes of files that an attempt may leave.
    pub max_output: u64,
    pub retry: Retry,
}

/// What stands for a runtime where a cell runs a command.
pub const COMMAND_RUNTIME: &str = "command";

/// What stands for a runtime where earlier results do not name one.
pub const IMPORT_RUNTIME: &str = "imported";

/// What a cell's runs do; each kind is executed in its own way.
#[derive(Debug, Clone)]
pub enum CellWork {
    /// Agents call endpoints.
    Scenario(ScenarioWork),
    /// A runtime encodes a corpus.
    Tokenize(TokenizeWork),
    /// A program of the user's runs.
    Command(CommandWork),
    /// Nothing runs.
    Import(ImportWork),
}

/// Runs that are read from earlier results.
#[derive(Debug, Clone)]
pub struct ImportWork {
    pub campaign: String,
}

/// The agents of a scenario with what their runtime is told.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the manifest")]
pub struct ScenarioWork {
    /// Name of the scenario.
    pub name: String,
    /// One entry per concurrent stream: copies are expanded (`collector`, `collector-2`, …).
    pub agents: Vec<SpecAgent>,
    pub read_buffer: Option<u64>,
    /// Chunks with text per second and call.
    pub throttle: Option<f64>,
    /// What becomes of a connection after its call.
    pub connection: Connection,
    /// How the loop is held up on purpose.
    pub lag_dose: Option<LagDose>,
    pub warmup: u32,
    /// Before each attempt the servers put every model out of their memory.
    pub cold: bool,
    /// Run the idle control before the calls.
    pub idle: bool,
    pub vary_prompt: bool,
    pub vary_seed: bool,
    /// Answers that end before their limit because the context is full count.
    pub accept_context_full: bool,
}

/// A tokenizer and what it encodes.
#[derive(Debug, Clone)]
pub struct TokenizeWork {
    /// As the manifest names it.
    pub tokenizer: String,
    pub file: TokenizerFile,
    pub corpus: corpus::Source,
    /// Measured passes over the corpus.
    pub iterations: u32,
}

/// The command of an experiment with a cell's levels in their places.
pub type CommandWork = Command;

impl CellSpec {
    /// The scenario, if the cell is of one.
    #[must_use]
    pub fn scenario(&self) -> Option<&ScenarioWork> {
        match &self.work {
            CellWork::Scenario(scenario) => Some(scenario),
            CellWork::Tokenize(_) | CellWork::Command(_) | CellWork::Import(_) => None,
        }
    }

    /// The streams of calls; none where the work makes no calls.
    #[must_use]
    pub fn agents(&self) -> &[SpecAgent] {
        self.scenario().map_or(&[], |scenario| &scenario.agents)
    }
}

/// One stream of calls.
#[derive(Debug, Clone)]
pub struct SpecAgent {
    /// Unique within the cell.
    pub name: String,
    /// Name of the endpoint in the manifest.
    pub endpoint_name: String,
    pub endpoint: Endpoint,
    pub model: String,
    /// Prompts are without the prefix that differs per repeat.
    pub work: Work,
    /// Options sent to the server; empty: its defaults.
    pub options: Options,
    pub max_tokens: Option<u32>,
}

pub(super) fn spec(
    study: &Study,
    experiment: &Experiment,
    resolved: &Resolved<'_>,
    identity: serde_json::Value,
) -> CellSpec {
    let settings = &experiment.settings;
    let is_own = !experiment.kind.has_free_axes();
    let runtime = match &experiment.kind {
        ExperimentKind::Command(_) => COMMAND_RUNTIME,
        // Whichever it was, if anybody says so.
        ExperimentKind::Import(_) => match resolved.other.get("runtime") {
            Some(Level::Text(runtime)) => runtime,
            _ => IMPORT_RUNTIME,
        },
        ExperimentKind::Scenario | ExperimentKind::Tokenize(_) => resolved.runtime,
    };
    CellSpec {
        identity,
        // The plan knows the matrix and fills them in.
        levels: Vec::new(),
        runtime: runtime.to_owned(),
        command: study.runtimes.get(runtime).filter(|_| is_own).cloned(),
        variant: resolved
            .variant
            .iter()
            .map(|(name, level)| ((*name).to_owned(), level.json()))
            .collect(),
        work: work(study, experiment, resolved),
        probes: experiment.probes.clone(),
        timeout: settings.timeout,
        max_output: settings.max_output,
        retry: settings.retry.clone(),
    }
}

fn dose(busy_s: f64) -> LagDose {
    let busy = Duration::try_from_secs_f64(busy_s).unwrap_or_default();
    LagDose {
        busy_ns: u64::try_from(busy.as_nanos()).unwrap_or_default(),
        every_ns: LagDose::EVERY_NS,
    }
}

fn work(study: &Study, experiment: &Experiment, resolved: &Resolved<'_>) -> CellWork {
    let settings = &experiment.settings;
    match &experiment.kind {
        ExperimentKind::Scenario => CellWork::Scenario(ScenarioWork {
            name: resolved.scenario.to_owned(),
            agents: streams(&resolved.agents),
            read_buffer: resolved.number("read_buffer").and_then(units::whole),
            throttle: resolved.number("throttle"),
            connection: resolved.connection(),
            lag_dose: resolved.number("lag_dose").map(dose),
            warmup: resolved.warmup(settings),
            cold: resolved.is_cold(),
            idle: experiment.controls.contains(&Control::Idle),
            vary_prompt: settings.vary_prompt,
            vary_seed: settings.vary_seed,
            accept_context_full: settings.accept_context_full,
        }),
        ExperimentKind::Tokenize(tokenize) => CellWork::Tokenize(TokenizeWork {
            tokenizer: resolved.tokenizer().to_owned(),
            file: study.tokenizer(resolved.tokenizer()),
            corpus: resolved.corpus(study, tokenize).clone(),
            iterations: tokenize.iterations,
        }),
        ExperimentKind::Command(command) => CellWork::Command(CommandWork {
            words: words(command, resolved).collect(),
            cwd: command.cwd.as_ref().map(|cwd| with_levels(cwd, resolved)),
            ..(**command).clone()
        }),
        ExperimentKind::Import(import) => {
            CellWork::Import(ImportWork { campaign: import.campaign.clone() })
        }
    }
}

/// The words of a command with a cell's levels in their places.
pub(super) fn words<'c>(
    command: &'c Command,
    resolved: &'c Resolved<'_>,
) -> impl Iterator<Item = Template> + 'c {
    command.words.iter().map(|word| with_levels(word, resolved))
}

/// A word with a cell's levels in their places.
pub(super) fn with_levels(word: &Template, resolved: &Resolved<'_>) -> Template {
    word.with_levels(|axis, slug| {
        let text = match resolved.other.get(axis) {
            // As written: the escapes that tables need would change what the program gets.
            Some(Level::Text(text)) => text.clone(),
            Some(level) => factor::show_free(level),
            None => String::new(),
        };
        if slug { name::slug(&text) } else { text }
    })
}

/// Every stream's name with the place of its agent: copies get names of their own.
pub(super) fn stream_names(agents: &[ResolvedAgent<'_>]) -> Vec<(String, usize)> {
    let taken: Vec<&str> = agents.iter().map(|agent| agent.agent.agent.as_str()).collect();
    let mut names = Vec::new();
    for (place, agent) in agents.iter().enumerate() {
        let name = &agent.agent.agent;
        for copy in 1..=agent.count {
            let mut stream = if copy == 1 { name.clone() } else { format!("{name}-{copy}") };
            // An agent may be called what the copy of another would be.
            while copy > 1 && taken.contains(&stream.as_str()) {
                stream.push('x');
            }
            names.push((stream, place));
        }
    }
    names
}

fn streams(agents: &[ResolvedAgent<'_>]) -> Vec<SpecAgent> {
    stream_names(agents)
        .into_iter()
        .map(|(name, place)| {
            let agent = &agents[place];
            SpecAgent {
                name,
                endpoint_name: agent.endpoint_name.to_owned(),
                endpoint: agent.endpoint.clone().into_owned(),
                model: agent.model.to_owned(),
                work: agent.agent.work.clone(),
                options: agent
                    .options
                    .iter()
                    .flatten()
                    .map(|(name, value)| ((*name).to_owned(), value.json()))
                    .collect(),
                max_tokens: agent.max_tokens,
            }
        })
        .collect()
}
