//! What the levels of a cell mean: factors applied to the scenario's agents.
//!
//! This runs once per cell of a million, so names are looked up once per experiment ([`Role`]), and
//! what is resolved borrows from the study.

use std::borrow::Cow;
use std::collections::BTreeMap;

use formats::protocol::Connection;
use serde_json::Value;

use crate::corpus;
use crate::manifest::factor::{self, Place};
use crate::manifest::study::{
    Defaults, Endpoint, Experiment, ExperimentKind, Level, Pacing, ScenarioAgent, Study, Tokenize,
};
use crate::manifest::units;

/// What an axis (or a fixed factor) acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'s> {
    Runtime,
    Scenario,
    Model,
    Endpoint,
    MaxTokens,
    Concurrency,
    /// Of the paced endpoints.
    Rate,
    /// What identity has under the factor's own name.
    Setting(&'s str),
    /// A setting of the runtime.
    Variant(&'s str),
    /// An inference option of one agent, or of all agents that have options.
    Option {
        agent: Option<&'s str>,
        name: &'s str,
    },
    /// Neither of a run nor of a client: tokenizers, corpora, free axes.
    Other(&'s str),
}

impl<'s> Role<'s> {
    /// What an axis of this name acts on in such an experiment, as the table of factors says. Free axes act on
    /// nothing, or on the words of a command.
    pub fn of(name: &'s str, kind: &ExperimentKind) -> Self {
        let factor = factor::lookup(name).filter(|_| !kind.has_free_axes());
        match factor.map(|factor| factor.place) {
            Some(Place::Runtime) => Role::Runtime,
            Some(Place::Scenario) => Role::Scenario,
            Some(Place::Model) => Role::Model,
            Some(Place::Endpoint) => Role::Endpoint,
            Some(Place::MaxTokens) => Role::MaxTokens,
            Some(Place::Concurrency) => Role::Concurrency,
            Some(Place::Paced) => Role::Rate,
            Some(Place::Client | Place::Server) => Role::Setting(name),
            Some(Place::Python) => Role::Variant(name),
            Some(Place::Option) => match name.split_once('.') {
                Some((agent, name)) => Role::Option { agent: Some(agent), name },
                None => Role::Option { agent: None, name },
            },
            Some(Place::Tokenizer) | None => Role::Other(name),
        }
    }
}

/// A cell with its levels applied; borrows from the study.
#[derive(Debug)]
pub(super) struct Resolved<'s> {
    pub runtime: &'s str,
    pub scenario: &'s str,
    pub agents: Vec<ResolvedAgent<'s>>,
    /// Those factors that identity has under their own names, where they are not at their default.
    pub settings: BTreeMap<&'s str, &'s Level>,
    /// Settings of the runtime that are not at their default.
    pub variant: BTreeMap<&'s str, &'s Level>,
    pub other: BTreeMap<&'s str, &'s Level>,
    /// It is measured a second time, for the control `aa`.
    pub is_replica: bool,
}

impl<'s> Resolved<'s> {
    /// A number that the cell sets.
    pub fn number(&self, setting: &str) -> Option<f64> {
        self.settings.get(setting).and_then(|level| level.number())
    }

    /// What becomes of a connection after its call.
    pub fn connection(&self) -> Connection {
        let keep = Level::Text(Connection::Keep.name().to_owned());
        match self.settings.get("connection") {
            Some(level) if **level == keep => Connection::Keep,
            _ => Connection::New,
        }
    }

    /// The servers hold no model when a run begins.
    pub fn is_cold(&self) -> bool {
        self.settings.get(factor::COLD) == Some(&&Level::Bool(true))
    }

    /// Warm-up runs of each agent. One would load the model that a cold run is to find unloaded.
    pub fn warmup(&self, settings: &Defaults) -> u32 {
        if self.is_cold() { 0 } else { settings.warmup }
    }

    /// The text of a tokenizer cell.
    pub fn corpus<'e>(&self, study: &'e Study, tokenize: &'e Tokenize) -> &'e corpus::Source {
        let named = match self.other.get("corpus") {
            Some(Level::Text(name)) => study.corpora.get(name),
            _ => None,
        };
        named.unwrap_or(&tokenize.corpus)
    }

    /// The name of a tokenizer cell's tokenizer.
    pub fn tokenizer(&self) -> &'s str {
        match self.other.get("tokenizer") {
            Some(Level::Text(name)) => name,
            _ => "",
        }
    }

    /// The agents in the order of their names, which does not depend on how a scenario lists them.
    pub fn sort_agents(&mut self) {
        self.agents.sort_by(|a, b| a.agent.agent.cmp(&b.agent.agent));
    }

    /// Leaves one copy of the agent at this place in the order of names, and nobody else.
    pub fn keep_alone(&mut self, place: usize) {
        self.sort_agents();
        self.agents = self.agents.drain(..).skip(place).take(1).collect();
        for agent in &mut self.agents {
            agent.count = 1;
        }
    }
}

/// An agent with its levels applied.
#[derive(Debug)]
pub(super) struct ResolvedAgent<'s> {
    pub agent: &'s ScenarioAgent,
    /// Name of its endpoint in the manifest.
    pub endpoint_name: &'s str,
    /// At the cell's rate, if it is paced.
    pub endpoint: Cow<'s, Endpoint>,
    pub model: &'s str,
    /// `None`: the server's defaults.
    pub options: Option<BTreeMap<&'s str, OptionValue<'s>>>,
    pub max_tokens: Option<u32>,
    pub count: u32,
}

/// An option's value, from the agent's own set or from a level.
#[derive(Debug, Clone, Copy)]
pub(super) enum OptionValue<'s> {
    Own(&'s Value),
    Level(&'s Level),
}

impl OptionValue<'_> {
    pub fn json(self) -> Value {
        match self {
            OptionValue::Own(value) => value.clone(),
            OptionValue::Level(level) => level.json(),
        }
    }
}

/// The model's name where nothing names one: only paced endpoints may leave it open.
const PACED_MODEL: &str = "paced";

/// Applies levels, each with the role of its axis; of two for one role the later wins.
pub(super) fn resolve<'s>(
    study: &'s Study,
    experiment: &Experiment,
    levels: &(impl Iterator<Item = (Role<'s>, &'s Level)> + Clone),
) -> Resolved<'s> {
    let mut resolved = Resolved {
        runtime: "rust",
        scenario: "",
        agents: Vec::new(),
        settings: BTreeMap::new(),
        variant: BTreeMap::new(),
        other: BTreeMap::new(),
        is_replica: false,
    };
    let mut model = None;
    let mut called = None;
    let mut max_tokens = experiment.settings.max_tokens;
    let mut concurrency = 1;
    let mut rate = None;
    for (role, level) in levels.clone() {
        match (role, level) {
            // What is off is not set.
            (_, Level::Default)
            | (Role::Option { .. }, _)
            | (Role::Setting(_), Level::Bool(false)) => {}
            (Role::Runtime, Level::Text(text)) => resolved.runtime = text,
            (Role::Scenario, Level::Text(text)) => resolved.scenario = text,
            (Role::Model, Level::Text(text)) => model = Some(text.as_str()),
            (Role::Endpoint, Level::Text(text)) => called = Some(text.as_str()),
            (Role::MaxTokens, Level::Number(count)) => max_tokens = count_of(*count),
            (Role::Concurrency, Level::Number(count)) => {
                concurrency = count_of(*count).unwrap_or(1);
            }
            (Role::Rate, Level::Number(tokens)) => rate = Some(*tokens),
            (Role::Setting(name), _) => {
                resolved.settings.insert(name, level);
            }
            (Role::Variant(name), _) => {
                resolved.variant.insert(name, level);
            }
            (Role::Other(name), _) => {
                resolved.other.insert(name, level);
            }
            // The checks let no other type of level through.
            _ => {}
        }
    }
    for agent in study.scenarios.get(resolved.scenario).into_iter().flatten() {
        let called = agent.endpoint.as_deref().or(called);
        let found = called.and_then(|name| study.endpoints.get_key_value(name));
        let Some((endpoint_name, endpoint)) = found else { continue };
        resolved.agents.push(ResolvedAgent {
            agent,
            endpoint_name,
            endpoint: at_rate(endpoint, rate),
            model: agent.model.as_deref().or(model).unwrap_or(PACED_MODEL),
            options: options(agent, levels.clone()),
            max_tokens,
            count: agent.count.saturating_mul(concurrency),
        });
    }
    resolved
}

/// A paced endpoint that follows no trace, at another rate; every other one as it is.
fn at_rate(endpoint: &Endpoint, rate: Option<f64>) -> Cow<'_, Endpoint> {
    match (endpoint, rate) {
        (Endpoint::Paced(pacing), Some(rate)) if pacing.gaps.is_empty() => {
            Cow::Owned(Endpoint::Paced(Pacing { rate, ..pacing.clone() }))
        }
        _ => Cow::Borrowed(endpoint),
    }
}

/// `insight.num_ctx` gives that agent options even where it had none; `num_ctx` alone leaves an agent
/// with the server's defaults as it is: it is the baseline.
fn options<'s>(
    agent: &'s ScenarioAgent,
    levels: impl Iterator<Item = (Role<'s>, &'s Level)>,
) -> Option<BTreeMap<&'s str, OptionValue<'s>>> {
    let mut options: Option<BTreeMap<_, _>> = agent.options.as_ref().map(|own| {
        own.iter().map(|(name, value)| (name.as_str(), OptionValue::Own(value))).collect()
    });
    for (role, level) in levels {
        let Role::Option { agent: addressed, name } = role else { continue };
        if *level == Level::Default {
            continue;
        }
        match addressed {
            Some(addressed) if addressed == agent.agent => {
                options.get_or_insert_default().insert(name, OptionValue::Level(level));
            }
            None => {
                if let Some(options) = &mut options {
                    options.insert(name, OptionValue::Level(level));
                }
            }
            Some(_) => {}
        }
    }
    options
}

fn count_of(number: f64) -> Option<u32> {
    units::whole(number).and_then(|count| u32::try_from(count).ok())
}
