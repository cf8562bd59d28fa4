//! Checks of inference options: known, of the right shape, and carried by the wire protocol of the servers
//! that they would go to.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::called::{Caller, callers};
use super::experiment::{Setting, scenarios_of};
use super::variant::Matrix;
use crate::manifest::factor;
use crate::manifest::inference::{self, EXTRA, STOP};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Api, Endpoint, Fallback, Level, Options, ScenarioAgent};
use crate::manifest::written::{Agent, OptionSet, OptionValue, Scalar};

/// Keys of a body that have a meaning of their own here, and where they are said.
const OWN_KEYS: [(&str, &str); 10] = [
    ("max_completion_tokens", "`max_tokens_as` in the endpoint"),
    ("max_tokens", "`max_tokens` in the experiment"),
    ("messages", "the agent's prompt"),
    ("model", "`model` in the experiment"),
    ("num_predict", "`max_tokens` in the experiment"),
    ("options", "the options themselves"),
    ("prompt", "the agent's prompt"),
    ("stop_sequences", "the option `stop`"),
    ("stream", "this program, which reads streams only"),
    ("stream_options", "`stream_options` in the endpoint"),
];

/// A set of options. A list of one stop is the same as that stop, so that both are one cell.
pub(super) fn option_set(at: &At<'_>, written: &OptionSet, problems: &mut Problems<'_>) -> Options {
    let mut options = Options::new();
    for (key, value) in &written.0 {
        let at = at.key(key);
        let known = key == EXTRA || factor::is_option(key);
        let checked = match value {
            OptionValue::Table(table) if key == EXTRA => Ok(extra(&at, table, problems)),
            OptionValue::One(Scalar::Text(stop)) if key == STOP => {
                Ok(Some(Value::String(stop.clone())))
            }
            OptionValue::List(stops) if key == STOP => self::stops(stops).map(Some),
            _ if !known => {
                let message = format!("`{key}` is not an inference option");
                problems.key(&at, message, Some(inference::unknown(key)));
                continue;
            }
            OptionValue::One(value) if key != STOP && key != EXTRA => {
                factor::free_level(value).map(|level| Some(level.json()))
            }
            // The schema has said what these two take.
            _ if key == STOP || key == EXTRA => continue,
            OptionValue::One(_) | OptionValue::List(_) | OptionValue::Table(_) => {
                let help = format!(
                    "what a server takes as a list or a table goes to it as it is in `extra = {{ {key} = … }}`"
                );
                let message = format!("`{key}` takes one value: a text, a number, true or false");
                problems.value(&at, message, Some(help));
                continue;
            }
        };
        match checked {
            Ok(Some(value)) => {
                options.insert(key.clone(), value);
            }
            Ok(None) => {}
            Err(message) => problems.value(&at, message, None),
        }
    }
    options
}

fn stops(stops: &[OptionValue]) -> Result<Value, String> {
    let texts: Option<Vec<&String>> = stops
        .iter()
        .map(|stop| match stop {
            OptionValue::One(Scalar::Text(text)) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        })
        .collect();
    match texts.as_deref() {
        None => Err("`stop` takes a text or a list of texts, none of them empty".to_owned()),
        Some([]) => Err("`stop` is a list without a text".to_owned()),
        Some([one]) => Ok((*one).clone().into()),
        Some(several) => Ok(several.iter().map(|text| (*text).clone()).collect()),
    }
}

/// What goes to the body as it is; `None`: nothing.
fn extra(
    at: &At<'_>,
    table: &IndexMap<String, OptionValue>,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    let mut extra = Map::new();
    for (key, value) in table {
        let at = at.key(key);
        if let Some((_, place)) = OWN_KEYS.iter().find(|(own, _)| own == key) {
            problems.key(&at, format!("`{key}` cannot stand in `extra`: {place} says it"), None);
        }
        match nested(value) {
            Ok(value) => {
                extra.insert(key.clone(), value);
            }
            Err(message) => problems.value(&at, message, None),
        }
    }
    (!extra.is_empty()).then_some(Value::Object(extra))
}

/// A value of any depth, as JSON.
fn nested(value: &OptionValue) -> Result<Value, String> {
    match value {
        OptionValue::One(Scalar::Integer(number)) if number.unsigned_abs() <= 1 << 53 => {
            Ok((*number).into())
        }
        OptionValue::One(value) => factor::free_level(value).map(|level| level.json()),
        OptionValue::List(values) => values.iter().map(nested).collect(),
        OptionValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| Ok((key.clone(), nested(value)?)));
            pairs.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
    }
}

/// Reports what an agent's own set of options holds and its server would not hear of.
pub(super) fn carried(
    at: &At<'_>,
    agent: &Agent,
    options: &Options,
    endpoint: Option<(&String, &Endpoint)>,
    problems: &mut Problems<'_>,
) {
    let called = endpoint.and_then(|(name, endpoint)| Some((name, endpoint.server()?)));
    let (Some(set), Some((endpoint, server))) = (&agent.options, called) else { return };
    let section = At::ROOT.key("options");
    let set_at = section.key(set);
    for (name, value) in options {
        if name == EXTRA {
            let twice = value.as_object().into_iter().flatten().map(|(key, _)| key);
            for key in twice.filter(|key| options.contains_key(*key)) {
                let message = format!("`{key}` is an option of the set `{set}` and in its `extra`");
                problems.key(&set_at.key(EXTRA).key(key), message, None);
            }
        } else if !inference::is_carried(name, server.api) {
            let option_at = set_at.key(name);
            // A profile's set may be another.
            let place =
                if problems.source().line_of(&option_at).is_some() { &option_at } else { at };
            report(place, name, endpoint, server.api, problems);
        }
    }
}

/// Reports the levels of an experiment that servers would not hear of.
pub(super) fn levels(
    at: &At<'_>,
    setting: &Setting<'_>,
    matrix: &Matrix<'_>,
    fallback: &Fallback,
    problems: &mut Problems<'_>,
) {
    unheard(at, setting, matrix, problems);
    let mut told = BTreeSet::new();
    let callers = callers(setting, matrix);
    let mut check = |at: &At<'_>,
                     name: &str,
                     level: &Level,
                     cell: Option<&IndexMap<String, Level>>| {
        let Some((addressed, option)) = option_of(name).filter(|_| *level != Level::Default) else {
            return;
        };
        for own in callers.iter().filter(|own| reaches(own.agent, addressed)) {
            let is_in = |(axis, wanted): (&String, &Level)| own.is_at(axis, wanted) != Some(false);
            if !cell.into_iter().flatten().all(is_in) || is_excluded(matrix, own, name, level) {
                continue;
            }
            let Some(server) = own.endpoint.and_then(Endpoint::server) else { continue };
            if told.insert((name.to_owned(), own.name)) {
                not_carried(at, option, own.name, server.api, problems);
            }
        }
    };
    let at_fixed = at.key("fixed");
    for (name, level) in matrix.fixed {
        check(&at_fixed.key(name), name, level, None);
    }
    let at_matrix = at.key("matrix");
    for (name, levels) in matrix.axes {
        let (agent, option) = name.split_once('.').unwrap_or(("", name));
        let (written, nested) = (at_matrix.key(name), at_matrix.key(agent));
        let nested = nested.key(option);
        let is_written = setting.source.line_of(&written).is_some();
        for level in levels {
            check(if is_written { &written } else { &nested }, name, level, None);
        }
    }
    let at_include = at.key("include");
    for (index, cell) in matrix.include.iter().enumerate() {
        for (name, level) in cell {
            check(&at_include.index(index).key(name), name, level, Some(cell));
        }
    }
    let at_override = at.key("override");
    for (index, change) in matrix.overrides.iter().enumerate() {
        for (name, level) in &change.set {
            let at = at_override.index(index);
            check(&at.key("set").key(name), name, level, Some(&change.when));
        }
    }
    let at_fallback = at.key("fallback");
    for (index, step) in fallback.steps.iter().enumerate() {
        for (name, level) in step {
            check(&at_fallback.index(index).key(name), name, level, None);
        }
    }
}

/// Reports options that no agent of the experiment is sent with, though levels of them are asked for.
fn unheard(at: &At<'_>, setting: &Setting<'_>, matrix: &Matrix<'_>, problems: &mut Problems<'_>) {
    let axes = matrix.axes.iter().map(|(name, _)| ("matrix", name.as_str()));
    let fixed = matrix.fixed.iter().map(|(name, _)| ("fixed", name.as_str()));
    for (table, name) in axes.chain(fixed) {
        let Some((None, option)) = option_of(name) else { continue };
        let scenarios = scenarios_of(matrix.axes, matrix.fixed, matrix.include);
        let agents = || scenarios.iter().filter_map(|own| setting.scenarios.get(*own)).flatten();
        let Some(first) = agents().next().map(|agent| &agent.agent) else { continue };
        if !agents().any(|agent| reaches(agent, None)) {
            let message = format!("`{option}` reaches no agent: none of them has options");
            let help = format!(
                "agents without options keep their server's defaults: give one `options = …` in the \
                 scenario, or write `{first}.{option}`"
            );
            problems.key(&at.key(table).key(name), message, Some(help));
        }
    }
}

/// The agent that an axis addresses, if it does, and the option that it sets.
fn option_of(name: &str) -> Option<(Option<&str>, &str)> {
    let (agent, option) = match name.split_once('.') {
        Some((agent, option)) => (Some(agent), option),
        None => (None, name),
    };
    factor::is_option(option).then_some((agent, option))
}

/// An agent without options keeps its server's defaults, unless it is addressed.
fn reaches(agent: &ScenarioAgent, addressed: Option<&str>) -> bool {
    match addressed {
        Some(addressed) => addressed == agent.agent,
        None => agent.options.is_some(),
    }
}

/// Whether a selection of no more than these leaves no cell with all of them.
fn is_excluded(matrix: &Matrix<'_>, own: &Caller<'_>, name: &str, level: &Level) -> bool {
    matrix.exclude.iter().any(|selection| {
        selection.iter().all(|(axis, wanted)| {
            own.is_at(axis, wanted).unwrap_or_else(|| axis == name && wanted == level)
        })
    })
}

/// Reports an option that a server of this protocol would not hear of.
pub(super) fn not_carried(
    at: &At<'_>,
    option: &str,
    endpoint: &str,
    api: Api,
    problems: &mut Problems<'_>,
) {
    if option != EXTRA && !inference::is_carried(option, api) {
        report(at, option, endpoint, api, problems);
    }
}

fn report(at: &At<'_>, option: &str, endpoint: &str, api: Api, problems: &mut Problems<'_>) {
    let message = format!(
        "`{option}` does not reach endpoint `{endpoint}`: {} has no such option",
        wire(api)
    );
    problems.key(at, message, Some(inference::instead(option, api)));
}

/// The protocol in words.
fn wire(api: Api) -> &'static str {
    match api {
        Api::Ollama => "Ollama's generate",
        Api::OllamaChat => "Ollama's chat",
        Api::OpenaiChat | Api::OpenaiCompletions => "OpenAI's protocol",
        Api::Anthropic => "Anthropic's protocol",
    }
}
