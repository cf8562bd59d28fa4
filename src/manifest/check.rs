//! The last pass: meaning. Names, references, units and files; the profile is applied on the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;

use super::check_endpoint::endpoint;
use super::check_experiment::experiment;
use super::source::{At, Problem, Problems, Source, suggest};
use super::study::{
    Defaults, Endpoint, Options, Order, Retry, RuntimeCommand, ScenarioAgent, Study,
};
use super::written::{self, Manifest, Scalar, Settings};
use super::{LoadError, factor, units};

/// The grammar's version that this program reads.
const SCHEMA: u32 = 1;

pub(super) fn check(
    source: Source,
    written: &Manifest,
    profile: Option<&str>,
    structure: Vec<Problem>,
) -> Result<Study, LoadError> {
    let selected = match profile {
        None => None,
        Some(name) => match written.profile.get_key_value(name) {
            Some((name, overlay)) => Some((name.as_str(), overlay)),
            None => {
                return Err(LoadError::UnknownProfile {
                    path: source.path,
                    profile: name.to_owned(),
                    help: suggest(name, written.profile.keys().map(String::as_str)),
                });
            }
        },
    };
    let dir = source.path.parent().unwrap_or(Path::new("")).to_owned();
    let mut problems = Problems::after(&source, structure);

    if written.schema != SCHEMA {
        let help = if written.schema > SCHEMA {
            "this manifest is for a newer version of the program"
        } else {
            "write `schema = 1`"
        };
        let message = format!("grammar version {} is not known", written.schema);
        problems.value(&At::ROOT.key("schema"), message, Some(help.into()));
    }
    name(&mut problems, &At::ROOT.key("name"), &written.name);
    for (section, names) in named(written) {
        let at = At::ROOT.key(section);
        for key in names {
            name_of_key(&mut problems, &at.key(key), key);
        }
    }

    let mut common = Common::new(written, selected, &mut problems);
    common.prompts = prompts(written, &dir, &mut problems);
    let scenarios = scenarios(written, &common, &mut problems);
    let runtimes = runtimes(written, &mut problems);
    let mut warnings = Vec::new();
    let experiments: Vec<_> = written
        .experiment
        .iter()
        .filter_map(|(key, body)| {
            let setting = super::check_experiment::Setting {
                source: &source,
                common: &common,
                scenarios: &scenarios,
                runtimes: &runtimes,
            };
            experiment(&setting, key, body, &mut problems, &mut warnings)
        })
        .collect();
    if written.experiment.is_empty() {
        let help = "add [experiment.NAME] with a matrix; `runner init` writes a starter manifest";
        problems.key(&At::ROOT, "the manifest has no experiment", Some(help.into()));
    }
    let Common { endpoints, models, defaults, .. } = common;
    problems.finish()?;
    Ok(Study {
        name: written.name.clone(),
        title: written.title.clone(),
        report: written.report.clone(),
        profile: profile.map(str::to_owned),
        profiles: written.profile.keys().cloned().collect(),
        path: source.path.clone(),
        dir,
        defaults,
        endpoints,
        models,
        scenarios,
        runtimes,
        experiments,
        warnings,
        source,
    })
}

/// What several parts of a manifest refer to, with the profile applied.
pub(super) struct Common {
    pub endpoints: IndexMap<String, Endpoint>,
    pub options: IndexMap<String, Options>,
    pub prompts: IndexMap<String, String>,
    pub models: IndexMap<String, String>,
    pub defaults: Defaults,
    /// The profile's settings: they win over an experiment's own.
    pub overlay: Settings,
}

impl Common {
    fn new(
        written: &Manifest,
        selected: Option<(&str, &written::Profile)>,
        problems: &mut Problems<'_>,
    ) -> Self {
        let at_endpoint = At::ROOT.key("endpoint");
        let mut endpoints = IndexMap::new();
        for (key, body) in &written.endpoint {
            if let Some(endpoint) = endpoint(&at_endpoint.key(key), body, problems) {
                endpoints.insert(key.clone(), endpoint);
            }
        }
        let at_options = At::ROOT.key("options");
        let mut options: IndexMap<String, Options> = written
            .options
            .iter()
            .map(|(key, body)| (key.clone(), option_set(&at_options.key(key), body, problems)))
            .collect();

        let at_profiles = At::ROOT.key("profile");
        for (profile, overlay) in &written.profile {
            let at = at_profiles.key(profile);
            let is_selected = selected.is_some_and(|(name, _)| name == profile);
            let at_endpoint = at.key("endpoint");
            for (key, body) in &overlay.endpoint {
                let at = at_endpoint.key(key);
                reference(problems, &at, "endpoint", key, written.endpoint.keys(), true);
                if let Some(endpoint) = endpoint(&at, body, problems)
                    && is_selected
                {
                    endpoints.insert(key.clone(), endpoint);
                }
            }
            let at_options = at.key("options");
            for (key, body) in &overlay.options {
                let at = at_options.key(key);
                reference(problems, &at, "set of options", key, written.options.keys(), true);
                let set = option_set(&at, body, problems);
                if is_selected {
                    options.insert(key.clone(), set);
                }
            }
            let known: BTreeSet<&String> = model_names(written);
            let at_model = at.key("model");
            for key in overlay.model.keys() {
                reference(problems, &at_model.key(key), "model", key, known.iter().copied(), true);
            }
            // Checked for every profile, also those that are not applied today.
            defaults(&at.key("defaults"), &overlay.defaults, &Defaults::default(), problems);
        }

        let own =
            defaults(&At::ROOT.key("defaults"), &written.defaults, &Defaults::default(), problems);
        let overlay = selected.map(|(_, profile)| profile.defaults.clone()).unwrap_or_default();
        let mut quiet = Problems::new(problems.source());
        let defaults = defaults(&At::ROOT, &overlay, &own, &mut quiet);
        let models = selected.map(|(_, profile)| profile.model.clone()).unwrap_or_default();
        Self { endpoints, options, prompts: IndexMap::new(), models, defaults, overlay }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            repeats: 3,
            warmup: 1,
            timeout: Duration::from_secs(120),
            retry: Retry { max: 0, on: Vec::new() },
            order: Order::Interleaved,
            order_seed: 0,
            max_tokens: None,
            vary_prompt: true,
            vary_seed: false,
            max_runs: 100_000,
            cell_name: None,
        }
    }
}

/// Settings over those they override.
pub(super) fn defaults(
    at: &At<'_>,
    written: &Settings,
    base: &Defaults,
    problems: &mut Problems<'_>,
) -> Defaults {
    if written.repeats == Some(0) {
        let help = "write 1 or more, or remove the experiment";
        problems.value(&at.key("repeats"), "`repeats = 0` measures nothing", Some(help.into()));
    }
    let timeout = written.timeout.as_ref().and_then(|timeout| {
        let timeout = duration(&at.key("timeout"), timeout, problems)?;
        if timeout.is_zero() {
            problems.value(&at.key("timeout"), "a timeout of 0 lets no call finish", None);
        }
        Some(timeout)
    });
    if let Some(written) = &written.cell_name
        && let Err(message) = pattern(written)
    {
        problems.value(&at.key("cell_name"), message, None);
    }
    Defaults {
        repeats: written.repeats.unwrap_or(base.repeats),
        warmup: written.warmup.unwrap_or(base.warmup),
        timeout: timeout.unwrap_or(base.timeout),
        retry: written
            .retry
            .as_ref()
            .map_or_else(|| base.retry.clone(), |r| Retry { max: r.max, on: r.on.clone() }),
        order: written.order.unwrap_or(base.order),
        order_seed: written.seed.unwrap_or(base.order_seed),
        max_tokens: written.max_tokens.or(base.max_tokens),
        vary_prompt: written.vary_prompt.unwrap_or(base.vary_prompt),
        vary_seed: written.vary_seed.unwrap_or(base.vary_seed),
        max_runs: written.max_runs.unwrap_or(base.max_runs),
        cell_name: written.cell_name.clone().or_else(|| base.cell_name.clone()),
    }
}

/// The parts of a cell-name pattern: `Ok(text)` literally, `Err((factor, slug))` replaced.
pub type PatternPart = Result<String, (String, bool)>;

/// Parses a cell-name pattern: `{factor}` and `{factor|slug}` between literal text.
pub fn pattern(pattern: &str) -> Result<Vec<PatternPart>, String> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Ok(rest[..open].to_owned()));
        }
        let close = rest[open..]
            .find('}')
            .ok_or_else(|| format!("`{pattern}` opens a brace that it does not close"))?;
        let inner = &rest[open + 1..open + close];
        let (name, slug) = match inner.split_once('|') {
            None => (inner.trim(), false),
            Some((name, filter)) if filter.trim() == "slug" => (name.trim(), true),
            Some((_, filter)) => {
                return Err(format!("`{}` is no filter of cell names: use slug", filter.trim()));
            }
        };
        if factor::lookup(name).is_none() {
            let help = suggest(name, factor::names()).unwrap_or_default();
            return Err(format!("`{name}` in `{pattern}` is not a factor; {help}"));
        }
        parts.push(Err((name.to_owned(), slug)));
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Ok(rest.to_owned()));
    }
    if pattern.split('/').any(|part| part.trim_matches('.').is_empty()) {
        return Err(format!("`{pattern}` has a path part that is empty or made of dots"));
    }
    if pattern.chars().any(char::is_control) {
        return Err(format!("{pattern:?} has control characters in it"));
    }
    Ok(parts)
}

fn prompts(
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

fn scenarios(
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

fn runtimes(written: &Manifest, problems: &mut Problems<'_>) -> IndexMap<String, RuntimeCommand> {
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

fn option_set(
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

pub(super) fn duration(
    at: &At<'_>,
    written: &Scalar,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let parsed = match written {
        Scalar::Text(text) => units::duration(text),
        other => Err(format!("`{other}` has no unit: write for example \"{other}s\"")),
    };
    parsed.map_err(|message| problems.value(at, message, None)).ok()
}

/// Reports a reference to something that is not declared.
pub(super) fn reference<'n>(
    problems: &mut Problems<'_>,
    at: &At<'_>,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n String>,
    is_key: bool,
) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.contains(&name) {
        return;
    }
    let message = format!("there is no {what} named `{name}`");
    let help = suggest(name, known);
    if is_key {
        problems.key(at, message, help);
    } else {
        problems.value(at, message, help);
    }
}

/// Names become folder names, file names and table headings: letters, digits, `.`, `_` and `-`.
fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && !name.starts_with('.')
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

const NAME_HELP: &str =
    "use letters, digits, `.`, `_` and `-`, at most 80, not starting with `.` or `-`";

fn name(problems: &mut Problems<'_>, at: &At<'_>, name: &str) {
    if !valid_name(name) {
        problems.value(at, format!("{name:?} cannot be a name"), Some(NAME_HELP.into()));
    }
}

fn name_of_key(problems: &mut Problems<'_>, at: &At<'_>, name: &str) {
    if !valid_name(name) {
        problems.key(at, format!("{name:?} cannot be a name"), Some(NAME_HELP.into()));
    }
}

fn named(written: &Manifest) -> [(&'static str, Vec<&str>); 7] {
    fn keys<T>(map: &IndexMap<String, T>) -> Vec<&str> {
        map.keys().map(String::as_str).collect()
    }
    [
        ("endpoint", keys(&written.endpoint)),
        ("options", keys(&written.options)),
        ("prompt", keys(&written.prompt)),
        ("scenario", keys(&written.scenario)),
        ("runtime", keys(&written.runtime)),
        ("experiment", keys(&written.experiment)),
        ("profile", keys(&written.profile)),
    ]
}

fn model_names(written: &Manifest) -> BTreeSet<&String> {
    fn text(scalar: &Scalar) -> Option<&String> {
        match scalar {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }
    let mut names = BTreeSet::new();
    names.extend(written.scenario.values().flatten().filter_map(|agent| agent.model.as_ref()));
    for experiment in written.experiment.values() {
        names.extend(&experiment.model);
        if let Some(written::Axis::Levels(levels)) = experiment.matrix.get("model") {
            names.extend(levels.iter().filter_map(text));
        }
        let cells = experiment.include.iter().chain(experiment.overrides.iter().map(|o| &o.set));
        names.extend(cells.filter_map(|cell| cell.get("model")).filter_map(text));
    }
    names
}
