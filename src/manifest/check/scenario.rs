//! Checks of what scenarios are made of: prompts, agents, runtimes.

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;

use super::Common;
use super::names::{name, reference};
use super::options::carried;
use crate::encoding;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{RuntimeCommand, ScenarioAgent, Work};
use crate::manifest::written::{Agent, Manifest};

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
            (Some(file), None) => prompt_file(&dir.join(file)),
            _ => {
                let message = format!("prompt `{key}` needs exactly one of `file` and `text`");
                problems.key(&at, message, None);
                continue;
            }
        };
        match content {
            Ok(content) if content.trim().is_empty() => {
                problems.key(&at, format!("prompt `{key}` is empty"), None);
            }
            Ok(content) => {
                prompts.insert(key.clone(), content);
            }
            Err((message, help)) => problems.value(&at.key("file"), message, Some(help.into())),
        }
    }
    prompts
}

/// The text of a prompt file, the same from whatever editor or checkout; else what is wrong with it and
/// what to do.
fn prompt_file(path: &Path) -> Result<String, (String, &'static str)> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("cannot read the prompt file {shown}: {error}");
        (message, "paths start at the manifest's folder")
    })?;
    let text = encoding::decode(bytes).map_err(|reason| {
        (format!("the prompt file {shown} is not UTF-8: {reason}"), encoding::HELP)
    })?;
    Ok(encoding::unix_lines(&text).into_owned())
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
            if let Some(endpoint) = &agent.endpoint {
                reference(problems, &at.key("endpoint"), "endpoint", endpoint, endpoints, false);
            }
            let work = work(&at, agent, written, common, problems);
            if let Some(options) = &agent.options {
                let sets = written.options.keys();
                reference(problems, &at.key("options"), "set of options", options, sets, false);
            }
            if agent.count == Some(0) {
                problems.value(&at.key("count"), "`count = 0` is no agent", None);
            }
            let own = agent.options.as_ref();
            let own = own.map(|name| common.options.get(name).cloned().unwrap_or_default());
            if let Some(own) = &own {
                let endpoint = agent.endpoint.as_ref();
                let endpoint = endpoint.and_then(|name| common.endpoints.get_key_value(name));
                carried(&at.key("options"), agent, own, endpoint, problems);
            }
            resolved.push(ScenarioAgent {
                agent: agent.agent.clone(),
                endpoint: agent.endpoint.clone(),
                work,
                options: own,
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

/// What the agent does. What cannot be resolved is reported, here or where it is declared.
fn work(
    at: &At<'_>,
    agent: &Agent,
    written: &Manifest,
    common: &Common,
    problems: &mut Problems<'_>,
) -> Work {
    let work = match (&agent.prompt, &agent.workflow) {
        (Some(name), None) => {
            let at = at.key("prompt");
            reference(problems, &at, "prompt", name, written.prompt.keys(), false);
            common.prompts.get(name).cloned().map(Work::Prompt)
        }
        (None, Some(name)) => {
            let at = at.key("workflow");
            reference(problems, &at, "workflow", name, written.workflow.keys(), false);
            common.workflows.get(name).cloned().map(Work::Workflow)
        }
        _ => {
            let message =
                format!("agent `{}` needs exactly one of `prompt` and `workflow`", agent.agent);
            problems.value(at, message, None);
            None
        }
    };
    work.unwrap_or_else(|| Work::Prompt(String::new()))
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
