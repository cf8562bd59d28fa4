//! Checks of experiments: what kind they are, and whether every cell has what it needs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use formats::endpoint::Api;
use formats::protocol::Connection;
use indexmap::IndexMap;

use super::Common;
use super::axes::{Levels, zip};
use super::called::{self, Caller, callers};
use super::cold;
use super::command;
use super::failure;
use super::hypothesis::hypothesis;
use super::import;
use super::listed::{Listed, listed};
use super::options;
use super::paced;
use super::probes::{could_not_work, probes};
use super::selection::Selections;
use super::settings::defaults;
use super::tokenize;
use super::variant::{Matrix, variants};
use crate::corpus;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::{At, Source};
use crate::manifest::study::{
    Endpoint, Experiment, ExperimentKind, Level, Order, RuntimeCommand, ScenarioAgent,
    TokenizerFile, Work,
};
use crate::manifest::written::{self, Scalar};

/// What experiments refer to.
pub(super) struct Setting<'c> {
    pub source: &'c Source,
    /// The folder of the manifest.
    pub dir: &'c Path,
    /// Where an import kept the maps that it read by.
    pub kept_maps: Option<&'c Path>,
    pub common: &'c Common,
    pub scenarios: &'c IndexMap<String, Vec<ScenarioAgent>>,
    pub runtimes: &'c IndexMap<String, RuntimeCommand>,
    pub tokenizers: &'c IndexMap<String, TokenizerFile>,
    pub corpora: &'c IndexMap<String, corpus::Source>,
}

/// Checks one experiment; `None` when it is too broken to go on with (problems say why).
pub(super) fn experiment(
    setting: &Setting<'_>,
    name: &str,
    written: &written::Experiment,
    problems: &mut Problems<'_>,
    warnings: &mut Vec<String>,
) -> Option<Experiment> {
    let section = At::ROOT.key("experiment");
    let at = section.key(name);
    let before = problems.len();
    let kind = kind(&at, setting, written, problems)?;
    let mut settings = defaults(&at, &written.settings(), &setting.common.defaults, problems);
    settings =
        defaults(&At::ROOT, &setting.common.overlay, &settings, &mut Problems::new(setting.source));

    let checker = Levels { setting, kind: &kind, written };
    let fixed = fixed(&at, &checker, problems);
    let listed = listed(&at, &checker, &fixed, problems);
    if written.cells.is_some() && listed.is_none() {
        // Everything else refers to its axes.
        return None;
    }
    let multiplied = checker.axes(&at, &fixed, problems);
    let (axes, labels, listed) = match listed {
        Some(Listed { axes, labels, cells }) => (axes, labels, Some(cells)),
        None => (multiplied, Vec::new(), None),
    };
    let zip = zip(&at.key("zip"), &written.zip, &axes, problems);
    let selections = Selections { checker: &checker, axes: &axes, fixed: &fixed };
    let exclude = selections.list(&at.key("exclude"), &written.exclude, problems);
    let include = selections.additions(&at.key("include"), &written.include, problems);
    let overrides = selections.overrides(&at.key("override"), &written.overrides, problems);
    let baseline = selections.one(&at.key("baseline"), &written.baseline, true, problems);

    let fallback = failure::fallback(&at, written, &checker, problems);
    let probes = probes(&at.key("probes"), &written.probes, problems);
    if matches!(kind, ExperimentKind::Scenario) {
        let matrix = Matrix {
            fixed: &fixed,
            axes: &axes,
            zip: &zip,
            exclude: &exclude,
            include: &include,
            overrides: &overrides,
        };
        variants(&at, &matrix, problems);
        could_not_work(&at, written, &probes, matrix.may_have_rust(), problems);
        needs(&at, setting, &matrix, problems);
        called::endpoints(&at, setting, &matrix, problems);
        limits(&at, setting, settings.max_tokens, &matrix, problems);
        rates(&at, setting, &matrix, problems);
        options::levels(&at, setting, &matrix, &fallback, problems);
        cold::cold((&at, name), setting, &matrix, written, problems, warnings);
        if settings.warmup == 0 {
            warn_nothing_kept(setting, name, &matrix, warnings);
        }
    }
    if matches!(kind, ExperimentKind::Tokenize(_)) {
        tokenize::needs(&at, written, &axes, &fixed, problems);
    }
    if let ExperimentKind::Import(import) = &kind {
        settings.order = Order::Sequential;
        import::sources_of_levels(&at, import, &axes, problems);
    }
    if let ExperimentKind::Command(command) = &kind {
        command::places(&at, command, &axes, &fixed, problems);
    }
    let at_hypotheses = at.key("hypothesis");
    let hypotheses = written
        .hypothesis
        .iter()
        .filter_map(|(key, body)| {
            hypothesis(&at_hypotheses.key(key), key, body, &selections, problems)
        })
        .collect();
    let line = setting.source.line(setting.source.key_span(&at).start);
    (problems.len() == before).then(|| Experiment {
        name: name.to_owned(),
        title: written.title.clone(),
        kind: kind.clone(),
        settings,
        fixed: fixed.clone(),
        axes: axes.clone(),
        labels,
        listed,
        zip,
        exclude,
        include,
        overrides,
        probes,
        controls: written.controls.clone(),
        baseline,
        hypotheses,
        fallback,
        line,
    })
}

/// The levels that every cell has.
fn fixed(
    at: &At<'_>,
    checker: &Levels<'_>,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Level> {
    let Levels { written, kind, .. } = checker;
    let mut fixed = IndexMap::new();
    for (key, value) in
        [("runtime", &written.runtime), ("model", &written.model), ("scenario", &written.scenario)]
    {
        if let Some(value) = value {
            let value = Scalar::Text(value.clone());
            if kind.has_free_axes() && !checker.axis(&at.key(key), key, problems) {
                continue;
            }
            fixed.extend(
                checker.level(&at.key(key), key, &value, problems).map(|l| (key.into(), l)),
            );
        }
    }
    let chosen = written.runtime.is_some() || written.matrix.contains_key("runtime");
    if !chosen && !kind.has_free_axes() {
        fixed.insert("runtime".to_owned(), Level::Text("rust".to_owned()));
    }
    let at_fixed = at.key("fixed");
    for (key, value) in &written.fixed {
        let at = at_fixed.key(key);
        if checker.axis(&at, key, problems)
            && let Some(level) = checker.level(&at, key, value, problems)
            && fixed.insert(key.clone(), level).is_some()
        {
            problems.key(&at, format!("`{key}` is fixed twice"), None);
        }
    }
    fixed
}

/// The paced endpoints whose rate is a factor.
fn rates(at: &At<'_>, setting: &Setting<'_>, matrix: &Matrix<'_>, problems: &mut Problems<'_>) {
    for (section, levels) in
        [("matrix", matrix.axes.contains_key("rate")), ("fixed", matrix.fixed.contains_key("rate"))]
    {
        if levels {
            paced::rate(&at.key(section).key("rate"), &callers(setting, matrix), problems);
        }
    }
}

fn kind(
    at: &At<'_>,
    setting: &Setting<'_>,
    written: &written::Experiment,
    problems: &mut Problems<'_>,
) -> Option<ExperimentKind> {
    if written.command.is_none() {
        command::foreign(at, written, problems);
    }
    if let Some(imports) = &written.import {
        if written.tokenize.is_some() || written.command.is_some() {
            let message = "an experiment has `import`, `tokenize` or `command`, not several";
            problems.key(&at.key("import"), message, None);
            return None;
        }
        return import::import(at, written, imports, setting, problems)
            .map(|own| ExperimentKind::Import(Arc::new(own)));
    }
    match (&written.tokenize, &written.command) {
        (None, None) => Some(ExperimentKind::Scenario),
        (Some(tokenize), None) => {
            let at = at.key("tokenize");
            tokenize::tokenize(&at, tokenize, setting.dir, problems).map(ExperimentKind::Tokenize)
        }
        (None, Some(words)) => {
            let command = command::command(at, words, written, setting.dir, problems)?;
            Some(ExperimentKind::Command(Box::new(command)))
        }
        (Some(_), Some(_)) => {
            let message = "an experiment has `tokenize` or `command`, not both";
            problems.key(&at.key("command"), message, None);
            None
        }
    }
}

/// Every cell needs a scenario, and every agent a model.
fn needs(at: &At<'_>, setting: &Setting<'_>, matrix: &Matrix<'_>, problems: &mut Problems<'_>) {
    let has = |name: &str| matrix.fixed.contains_key(name) || matrix.axes.contains_key(name);
    if !has("scenario") {
        let help = suggest("", setting.scenarios.keys().map(String::as_str))
            .unwrap_or_else(|| "declare one under [scenario]".into());
        let message = "the experiment has no scenario: fix one or put it into the matrix";
        problems.key(at, message, Some(help));
        return;
    }
    if has("model") {
        return;
    }
    let mut told = BTreeSet::new();
    for Caller { scenario, agent, endpoint, .. } in callers(setting, matrix) {
        let simulated = matches!(endpoint, Some(Endpoint::Paced(_)) | None);
        if agent.model.is_none() && !simulated && told.insert((scenario, &agent.agent)) {
            let message = format!(
                "agent `{}` of scenario `{scenario}` has no model in this experiment",
                agent.agent
            );
            let help = "put `model` into the matrix, or write `model = \"…\"` here";
            problems.key(at, message, Some(help.into()));
        }
    }
}

/// Anthropic's protocol has no call without a limit of tokens.
fn limits(
    at: &At<'_>,
    setting: &Setting<'_>,
    max_tokens: Option<u32>,
    matrix: &Matrix<'_>,
    problems: &mut Problems<'_>,
) {
    let limited = |name: &str| {
        let levels = matrix.axes.get(name).into_iter().flatten().chain(matrix.fixed.get(name));
        let mut levels = levels.peekable();
        levels.peek().is_some() && !levels.any(|level| *level == Level::Default)
    };
    if max_tokens.is_some() || limited("max_tokens") || limited("num_predict") {
        return;
    }
    for Caller { scenario, agent, name, endpoint } in callers(setting, matrix) {
        let own = agent.options.as_ref().is_some_and(|own| own.contains_key("num_predict"));
        if endpoint.is_some_and(|endpoint| endpoint.api() == Api::Anthropic) && !own {
            let message = format!(
                "agent `{}` of scenario `{scenario}` calls endpoint `{name}` without a limit, which \
                 Anthropic's protocol wants",
                agent.agent
            );
            problems.key(at, message, Some("write `max_tokens = …` here".into()));
            return;
        }
    }
}

pub(super) fn scenarios_of<'l>(
    axes: &'l IndexMap<String, Vec<Level>>,
    fixed: &'l IndexMap<String, Level>,
    include: &'l [IndexMap<String, Level>],
) -> BTreeSet<&'l str> {
    let levels = axes.get("scenario").into_iter().flatten();
    let added = include.iter().filter_map(|cell| cell.get("scenario"));
    levels
        .chain(fixed.get("scenario"))
        .chain(added)
        .filter_map(|level| match level {
            Level::Text(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// An agent that makes a single call has no earlier one whose connection it could keep: say so.
fn warn_nothing_kept(
    setting: &Setting<'_>,
    experiment: &str,
    matrix: &Matrix<'_>,
    warnings: &mut Vec<String>,
) {
    let added = matrix.include.iter().filter_map(|cell| cell.get("connection"));
    let levels = matrix.axes.get("connection").into_iter().flatten();
    let mut levels = levels.chain(matrix.fixed.get("connection")).chain(added);
    let keeps =
        levels.any(|level| matches!(level, Level::Text(text) if text == Connection::Keep.name()));
    let scenarios = scenarios_of(matrix.axes, matrix.fixed, matrix.include).into_iter();
    let mut agents = scenarios.filter_map(|name| setting.scenarios.get(name)).flatten();
    if keeps && agents.any(|agent| matches!(agent.work, Work::Prompt(_))) {
        warnings.push(format!(
            "experiment `{experiment}`: without warm-up an agent with a prompt makes one call, so that \
             connection `keep` has none to keep; with `warmup = 1` it keeps that of the warm-up"
        ));
    }
}
