//! Checks of what scenarios are made of: prompts, options, agents, runtimes.

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;

use super::Common;
use super::names::{name, reference};
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Options, RuntimeCommand, ScenarioAgent};
use crate::manifest::written::{Manifest, Scalar};

pub(super) fn prompts(
    written: &Manifest,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> IndexMap<String, String> {
    let section = At::ROOT.key("prompt");
    let mut prompts = IndexMap::new();
    for (key, body) in &written.prompt {
        let at = section.key(key);
        let content = match (&body.file, &body.text) {
            (None, Some(text)) => Ok(text.clone()),
            (Some(file), None) => std::fs::read_to_string(dir.join(file)).map_err(|error| {
                let shown = dir.join(file).display().to_string();
                (format!("cannot read the prompt file {shown}: {error}"), Some("file"))
            }),
            _ => Err((format!("prompt `{key}` needs exactly one of `file` and `text`"), None)),
        };
        match content {
            Ok(content) if content.trim().is_empty() => {
                problems.key(&at, format!("prompt `{key}` is empty"), None);
            }
            Ok(content) => {
                prompts.insert(key.clone(), content);
            }
            Err((message, Some(inner))) => {
                let help = "paths start at the manifest's folder";
                problems.value(&at.key(inner), message, Some(help.into()));
            }
            Err((message, None)) => problems.key(&at, message, None),
        }
    }
    prompts
}

pub(super) fn scenarios(
    written: &Manifest,
    common: &Common,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Vec<ScenarioAgent>> {
    let section = At::ROOT.key("scenario");
    let mut scenarios = IndexMap::new();
    for (key, agents) in &written.scenario {
        let at_scenario = section.key(key);
        if agents.is_empty() {
            problems.key(&at_scenario, format!("scenario `{key}` has no agents"), None);
        }
        let mut seen = BTreeSet::new();
        let mut resolved = Vec::new();
        for (index, agent) in agents.iter().enumerate() {
            let at = at_scenario.index(index);
            name(problems, &at.key("agent"), &agent.agent);
            if !seen.insert(&agent.agent) {
                let message = format!("scenario `{key}` has two agents named `{}`", agent.agent);
                let help = "use `count = N` for identical copies";
                problems.value(&at.key("agent"), message, Some(help.into()));
            }
            let endpoints = written.endpoint.keys();
            reference(problems, &at.key("endpoint"), "endpoint", &agent.endpoint, endpoints, false);
            let prompts = written.prompt.keys();
            reference(problems, &at.key("prompt"), "prompt", &agent.prompt, prompts, false);
            if let Some(options) = &agent.options {
                let sets = written.options.keys();
                reference(problems, &at.key("options"), "set of options", options, sets, false);
            }
            if agent.count == Some(0) {
                problems.value(&at.key("count"), "`count = 0` is no agent", None);
            }
            resolved.push(ScenarioAgent {
                agent: agent.agent.clone(),
                endpoint: agent.endpoint.clone(),
                prompt: common.prompts.get(&agent.prompt).cloned().unwrap_or_default(),
                options: agent
                    .options
                    .as_ref()
                    .map(|name| common.options.get(name).cloned().unwrap_or_default()),
                model: agent
                    .model
                    .as_ref()
                    .map(|model| common.models.get(model).unwrap_or(model).clone()),
                count: agent.count.unwrap_or(1),
            });
        }
        scenarios.insert(key.clone(), resolved);
    }
    scenarios
}

pub(super) fn runtimes(
    written: &Manifest,
    problems: &mut Problems<'_>,
) -> IndexMap<String, RuntimeCommand> {
    let section = At::ROOT.key("runtime");
    for (key, body) in &written.runtime {
        let at = section.key(key);
        if ["rust", "python"].contains(&key.as_str()) {
            let help = "call your own something else";
            problems.key(&at, format!("the runtime `{key}` is built in"), Some(help.into()));
        }
        if body.command.first().is_none_or(String::is_empty) {
            problems.key(&at, format!("runtime `{key}` has an empty command"), None);
        }
    }
    written
        .runtime
        .iter()
        .map(|(key, body)| (key.clone(), RuntimeCommand { command: body.command.clone() }))
        .collect()
}

pub(super) fn option_set(
    at: &At<'_>,
    written: &IndexMap<String, Scalar>,
    problems: &mut Problems<'_>,
) -> Options {
    let mut options = Options::new();
    for (key, value) in written {
        if !factor::is_option(key) {
            let help = suggest(key, factor::option_names());
            problems.key(&at.key(key), format!("`{key}` is not an inference option"), help);
        }
        match factor::free_level(value) {
            Ok(level) => {
                options.insert(key.clone(), level.json());
            }
            Err(message) => problems.value(&at.key(key), message, None),
        }
    }
    options
}
