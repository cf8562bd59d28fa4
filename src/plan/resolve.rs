//! What the levels of a cell mean: factors applied to the scenario's agents.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::factor::{self, Place};
use crate::manifest::study::{Endpoint, Experiment, Level, ScenarioAgent, Study};
use crate::manifest::units;

/// A cell with its levels applied; borrows from the study.
#[derive(Debug)]
pub(super) struct Resolved<'s> {
    pub runtime: &'s str,
    pub scenario: &'s str,
    pub agents: Vec<ResolvedAgent<'s>>,
    pub read_buffer: Option<u64>,
    pub throttle: Option<f64>,
    /// Settings of the runtime that are not at their default.
    pub variant: BTreeMap<&'s str, Value>,
    /// Levels of factors that are neither of a run nor of a client (tokenizer, free axes).
    pub other: BTreeMap<&'s str, Value>,
}

/// An agent with its levels applied.
#[derive(Debug)]
pub(super) struct ResolvedAgent<'s> {
    pub agent: &'s ScenarioAgent,
    pub endpoint: &'s Endpoint,
    pub model: &'s str,
    /// `None`: the server's defaults.
    pub options: Option<BTreeMap<&'s str, Value>>,
    pub max_tokens: Option<u32>,
    pub count: u32,
}

/// The model's name where nothing names one: only paced endpoints may leave it open.
const PACED_MODEL: &str = "paced";

pub(super) fn resolve<'s>(
    study: &'s Study,
    experiment: &'s Experiment,
    levels: impl Iterator<Item = (&'s str, &'s Level)> + Clone,
) -> Resolved<'s> {
    let fixed = experiment.fixed.iter().map(|(name, level)| (name.as_str(), level));
    let all = fixed.chain(levels);
    let mut resolved = Resolved {
        runtime: "rust",
        scenario: "",
        agents: Vec::new(),
        read_buffer: None,
        throttle: None,
        variant: BTreeMap::new(),
        other: BTreeMap::new(),
    };
    let mut model = None;
    let mut max_tokens = experiment.settings.max_tokens;
    let mut concurrency = 1;
    for (name, level) in all.clone() {
        match (name, level) {
            ("runtime", Level::Text(text)) => resolved.runtime = text,
            ("scenario", Level::Text(text)) => resolved.scenario = text,
            ("model", Level::Text(text)) => model = Some(text.as_str()),
            ("read_buffer", Level::Number(bytes)) => resolved.read_buffer = units::whole(*bytes),
            ("throttle", Level::Number(rate)) => resolved.throttle = Some(*rate),
            ("max_tokens", Level::Number(count)) => max_tokens = count_of(*count),
            ("concurrency", Level::Number(count)) => concurrency = count_of(*count).unwrap_or(1),
            (_, Level::Default) => {}
            _ => match factor::lookup(name).map(|factor| factor.place) {
                Some(Place::Python) => {
                    resolved.variant.insert(name, level.json());
                }
                Some(Place::Option) => {}
                _ => {
                    resolved.other.insert(name, level.json());
                }
            },
        }
    }
    for agent in study.scenarios.get(resolved.scenario).into_iter().flatten() {
        let Some(endpoint) = study.endpoints.get(&agent.endpoint) else { continue };
        let mut options = agent.options.as_ref().map(|own| {
            own.iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        });
        for (name, level) in all.clone() {
            if *level == Level::Default {
                continue;
            }
            // `insight.num_ctx` gives that agent options even where it had none; `num_ctx` alone
            // leaves an agent with the server's defaults as it is: it is the baseline.
            match name.split_once('.') {
                Some((addressed, option)) if addressed == agent.agent => {
                    options.get_or_insert_default().insert(option, level.json());
                }
                None if factor::is_option(name) => {
                    if let Some(options) = &mut options {
                        options.insert(name, level.json());
                    }
                }
                _ => {}
            }
        }
        resolved.agents.push(ResolvedAgent {
            agent,
            endpoint,
            model: agent.model.as_deref().or(model).unwrap_or(PACED_MODEL),
            options,
            max_tokens,
            count: agent.count.saturating_mul(concurrency),
        });
    }
    resolved
}

fn count_of(number: f64) -> Option<u32> {
    units::whole(number).and_then(|count| u32::try_from(count).ok())
}
