//! Checks of experiments: what kind they are, their factors and levels, and what selects cells.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::check::{Common, defaults, duration, reference};
use super::check_hypothesis::hypothesis;
use super::factor::{self, Factor, Place};
use super::source::{At, Problems, Source, suggest};
use super::study::{
    Control, Endpoint, Experiment, ExperimentKind, Level, Override, Probes, RuntimeCommand,
    SampledProbe, ScenarioAgent, Tokenize,
};
use super::units;
use super::written::{self, Axis, Sampled, Scalar};

/// What experiments refer to.
pub(super) struct Setting<'c> {
    pub source: &'c Source,
    pub common: &'c Common,
    pub scenarios: &'c IndexMap<String, Vec<ScenarioAgent>>,
    pub runtimes: &'c IndexMap<String, RuntimeCommand>,
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
    let kind = kind(&at, written, problems)?;
    let mut settings = defaults(&at, &written.settings(), &setting.common.defaults, problems);
    settings =
        defaults(&At::ROOT, &setting.common.overlay, &settings, &mut Problems::new(setting.source));

    let checker = Levels { setting, kind: &kind, written };
    let mut fixed = IndexMap::new();
    for (key, value) in
        [("runtime", &written.runtime), ("model", &written.model), ("scenario", &written.scenario)]
    {
        if let Some(value) = value {
            let value = Scalar::Text(value.clone());
            fixed.extend(
                checker.level(&at.key(key), key, &value, problems).map(|l| (key.into(), l)),
            );
        }
    }
    if written.runtime.is_none() && !written.matrix.contains_key("runtime") {
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
    let axes = checker.axes(&at, &fixed, problems);
    let zip = zip(&at.key("zip"), &written.zip, &axes, problems);
    let selections = Selections { checker: &checker, axes: &axes, fixed: &fixed };
    let exclude = selections.list(&at.key("exclude"), &written.exclude, problems);
    let include = selections.additions(&at.key("include"), &written.include, problems);
    let overrides = selections.overrides(&at.key("override"), &written.overrides, problems);
    let baseline = selections.one(&at.key("baseline"), &written.baseline, true, problems);

    if matches!(kind, ExperimentKind::Scenario) {
        needs(&at, setting, &axes, &fixed, &include, problems);
        warn_server_side(setting, name, written, &axes, &fixed, warnings);
    }
    if written.controls.contains(&Control::Solo) {
        warnings.push(format!(
            "experiment `{name}`: the solo control is not yet built; its runs are not planned, and \
             nothing can be said of contention"
        ));
    }
    let at_hypotheses = at.key("hypothesis");
    let hypotheses = written
        .hypothesis
        .iter()
        .filter_map(|(key, body)| {
            hypothesis(&at_hypotheses.key(key), key, body, &selections, problems)
        })
        .collect();
    let probes = probes(&at.key("probes"), &written.probes, problems);
    let line = setting.source.line(setting.source.key_span(&at).start);
    (problems.len() == before).then(|| Experiment {
        name: name.to_owned(),
        title: written.title.clone(),
        kind: kind.clone(),
        settings,
        fixed: fixed.clone(),
        axes: axes.clone(),
        zip,
        exclude,
        include,
        overrides,
        probes,
        controls: written.controls.clone(),
        baseline,
        hypotheses,
        line,
    })
}

fn kind(
    at: &At<'_>,
    written: &written::Experiment,
    problems: &mut Problems<'_>,
) -> Option<ExperimentKind> {
    match (&written.tokenize, &written.command) {
        (None, None) => Some(ExperimentKind::Scenario),
        (Some(tokenize), None) => {
            let corpus = corpus(&at.key("tokenize").key("corpus"), &tokenize.corpus, problems)?;
            if tokenize.iterations == Some(0) {
                let at = at.key("tokenize");
                problems.value(&at.key("iterations"), "`iterations` must be 1 or more", None);
            }
            let iterations = tokenize.iterations.unwrap_or(5);
            Some(ExperimentKind::Tokenize(Tokenize { corpus, iterations }))
        }
        (None, Some(command)) => {
            if command.first().is_none_or(String::is_empty) {
                problems.key(&at.key("command"), "the command is empty", None);
            }
            Some(ExperimentKind::Command { command: command.clone() })
        }
        (Some(_), Some(_)) => {
            let message = "an experiment has `tokenize` or `command`, not both";
            problems.key(&at.key("command"), message, None);
            None
        }
    }
}

fn corpus(
    at: &At<'_>,
    written: &written::Corpus,
    problems: &mut Problems<'_>,
) -> Option<serde_json::Value> {
    match (&written.generate, &written.file) {
        (Some(size), None) => {
            let bytes = match size {
                Scalar::Text(text) => units::bytes(text),
                Scalar::Integer(number) => u64::try_from(*number).map_err(|e| e.to_string()),
                other => Err(format!("`{other}` is not a size: write for example \"10 MB\"")),
            };
            match bytes {
                Ok(bytes) => Some(serde_json::json!({
                    "generate": bytes, "seed": written.seed.unwrap_or(0)
                })),
                Err(message) => {
                    problems.value(&at.key("generate"), message, None);
                    None
                }
            }
        }
        (None, Some(file)) => Some(serde_json::json!({ "file": file, "sha256": written.sha256 })),
        _ => {
            problems.value(at, "a corpus needs exactly one of `generate` and `file`", None);
            None
        }
    }
}

/// Reads the levels of one experiment.
pub(super) struct Levels<'c> {
    setting: &'c Setting<'c>,
    kind: &'c ExperimentKind,
    written: &'c written::Experiment,
}

impl Levels<'_> {
    /// The built-in factor of an axis; `None` in a command experiment, where every name is free.
    fn factor(&self, axis: &str) -> Option<Factor> {
        match self.kind {
            ExperimentKind::Command { .. } => None,
            _ => factor::lookup(axis),
        }
    }

    /// Whether the name may be an axis; reports why not.
    fn axis(&self, at: &At<'_>, axis: &str, problems: &mut Problems<'_>) -> bool {
        if let ExperimentKind::Command { command } = self.kind {
            let used = command.iter().any(|part| {
                part.contains(&format!("{{{axis}}}")) || part.contains(&format!("{{{axis}|"))
            });
            if !used {
                let help = format!("write {{{axis}}} where its level belongs");
                problems.key(at, format!("the command does not use the axis `{axis}`"), Some(help));
            }
            return used;
        }
        let Some(factor) = factor::lookup(axis) else {
            let (agent, option) = axis.split_once('.').unwrap_or(("", axis));
            let help = if agent.is_empty() {
                suggest(axis, factor::names())
            } else {
                suggest(option, factor::option_names())
            };
            problems.key(at, format!("`{axis}` is not a factor"), help);
            return false;
        };
        let tokenizer = matches!(self.kind, ExperimentKind::Tokenize(_));
        let fits = match factor.place {
            Place::Tokenizer => tokenizer,
            Place::Run if axis == "runtime" => true,
            _ => !tokenizer,
        };
        if !fits {
            let what =
                if tokenizer { "a tokenizer experiment" } else { "an experiment with a scenario" };
            problems.key(at, format!("`{axis}` means nothing in {what}"), None);
            return false;
        }
        if let Some((agent, _)) = axis.split_once('.') {
            let known: BTreeSet<&str> =
                self.setting.scenarios.values().flatten().map(|a| a.agent.as_str()).collect();
            if !known.contains(agent) {
                let help = suggest(agent, known);
                problems.key(at, format!("no scenario has an agent named `{agent}`"), help);
                return false;
            }
        }
        true
    }

    /// One level, normalised, its references checked and the profile's model names applied.
    pub(super) fn level(
        &self,
        at: &At<'_>,
        axis: &str,
        written: &Scalar,
        problems: &mut Problems<'_>,
    ) -> Option<Level> {
        let parsed = match self.factor(axis) {
            Some(factor) => factor.level(written),
            None => factor::free_level(written),
        };
        let level = match parsed {
            Ok(level) => level,
            Err(message) => {
                problems.value(at, format!("`{axis}`: {message}"), None);
                return None;
            }
        };
        if matches!(self.kind, ExperimentKind::Command { .. }) {
            return Some(level);
        }
        match (&level, axis) {
            (Level::Text(name), "scenario") => {
                let known = self.setting.scenarios.keys();
                reference(problems, at, "scenario", name, known, false);
            }
            (Level::Text(name), "runtime") => {
                let built_in = ["rust".to_owned(), "python".to_owned()];
                let known = built_in.iter().chain(self.setting.runtimes.keys());
                reference(problems, at, "runtime", name, known, false);
            }
            (Level::Text(name), "model") => {
                let name = self.setting.common.models.get(name).unwrap_or(name);
                return Some(Level::Text(name.clone()));
            }
            _ => {}
        }
        Some(level)
    }

    fn axes(
        &self,
        at: &At<'_>,
        fixed: &IndexMap<String, Level>,
        problems: &mut Problems<'_>,
    ) -> IndexMap<String, Vec<Level>> {
        let at_matrix = at.key("matrix");
        let mut axes = IndexMap::new();
        let mut add = |at: &At<'_>, name: String, levels: &[Scalar]| {
            if !self.axis(at, &name, problems) {
                return;
            }
            if fixed.contains_key(&name) {
                problems.key(at, format!("`{name}` is fixed and also in the matrix"), None);
            }
            if levels.is_empty() {
                let help = "give it at least one level, or remove the axis";
                problems.key(at, format!("axis `{name}` has no levels"), Some(help.into()));
            }
            let mut parsed: Vec<Level> = Vec::with_capacity(levels.len());
            for (index, written) in levels.iter().enumerate() {
                let at = at.index(index);
                if let Some(level) = self.level(&at, &name, written, problems) {
                    // Two names of the study may stand for one model of a profile: merged, not wrong.
                    if parsed.contains(&level) && name != "model" {
                        let shown = factor::show(&name, &level);
                        problems.value(&at, format!("axis `{name}` has `{shown}` twice"), None);
                    }
                    parsed.push(level);
                }
            }
            axes.insert(name, parsed);
        };
        for (key, axis) in &self.written.matrix {
            let at = at_matrix.key(key);
            match axis {
                Axis::Levels(levels) => add(&at, key.clone(), levels),
                Axis::Agent(options) => {
                    for (option, levels) in options {
                        add(&at.key(option), format!("{key}.{option}"), levels);
                    }
                }
            }
        }
        axes
    }
}

fn zip(
    at: &At<'_>,
    written: &[Vec<String>],
    axes: &IndexMap<String, Vec<Level>>,
    problems: &mut Problems<'_>,
) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    for (index, group) in written.iter().enumerate() {
        let at = at.index(index);
        let mut lengths = Vec::new();
        for (index, axis) in group.iter().enumerate() {
            let at = at.index(index);
            match axes.get(axis) {
                None => reference(problems, &at, "axis", axis, axes.keys(), false),
                Some(levels) => lengths.push(format!("{axis} has {}", levels.len())),
            }
            if !seen.insert(axis) {
                problems.value(&at, format!("axis `{axis}` is zipped twice"), None);
            }
        }
        let counts: BTreeSet<usize> =
            group.iter().filter_map(|axis| axes.get(axis)).map(Vec::len).collect();
        if counts.len() > 1 {
            let message = format!("zipped axes need as many levels each: {}", lengths.join(", "));
            problems.value(&at, message, None);
        }
        if group.len() < 2 {
            problems.value(&at, "a zip pairs two or more axes", None);
        }
    }
    written.to_vec()
}

/// Reads selections of cells: `{ axis = level, … }`.
pub(super) struct Selections<'c> {
    pub checker: &'c Levels<'c>,
    pub axes: &'c IndexMap<String, Vec<Level>>,
    pub fixed: &'c IndexMap<String, Level>,
}

impl Selections<'_> {
    /// One selection; with `existing`, its levels must be among those of the matrix.
    pub(super) fn one(
        &self,
        at: &At<'_>,
        written: &IndexMap<String, Scalar>,
        existing: bool,
        problems: &mut Problems<'_>,
    ) -> IndexMap<String, Level> {
        let mut selection = IndexMap::new();
        for (axis, value) in written {
            let at = at.key(axis);
            let Some(levels) = self.axes.get(axis) else {
                if self.fixed.contains_key(axis) {
                    let message = format!("`{axis}` is fixed in this experiment, not an axis");
                    problems.key(&at, message, None);
                } else {
                    reference(problems, &at, "axis", axis, self.axes.keys(), true);
                }
                continue;
            };
            let Some(level) = self.checker.level(&at, axis, value, problems) else { continue };
            if existing && !levels.contains(&level) {
                let shown = factor::show(axis, &level);
                let known: Vec<String> = levels.iter().map(|l| factor::show(axis, l)).collect();
                let help = suggest(&shown, known.iter().map(String::as_str));
                problems.value(&at, format!("axis `{axis}` has no level `{shown}`"), help);
            }
            selection.insert(axis.clone(), level);
        }
        selection
    }

    fn list(
        &self,
        at: &At<'_>,
        written: &[IndexMap<String, Scalar>],
        problems: &mut Problems<'_>,
    ) -> Vec<IndexMap<String, Level>> {
        written
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                let at = at.index(index);
                if cell.is_empty() {
                    problems.value(&at, "an empty selection matches every cell", None);
                }
                self.one(&at, cell, true, problems)
            })
            .collect()
    }

    /// Added cells give a level for every axis; the levels may be new.
    fn additions(
        &self,
        at: &At<'_>,
        written: &[IndexMap<String, Scalar>],
        problems: &mut Problems<'_>,
    ) -> Vec<IndexMap<String, Level>> {
        written
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                let at = at.index(index);
                let missing: Vec<&str> = self
                    .axes
                    .keys()
                    .filter(|axis| !cell.contains_key(*axis))
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() {
                    let message = format!("an added cell needs a level for {}", missing.join(", "));
                    problems.value(&at, message, None);
                }
                self.one(&at, cell, false, problems)
            })
            .collect()
    }

    fn overrides(
        &self,
        at: &At<'_>,
        written: &[written::Override],
        problems: &mut Problems<'_>,
    ) -> Vec<Override> {
        written
            .iter()
            .enumerate()
            .map(|(index, body)| {
                let at = at.index(index);
                if body.set.is_empty() {
                    problems.value(&at, "an override needs something to `set`", None);
                }
                Override {
                    when: self.one(&at.key("when"), &body.when, true, problems),
                    set: self.one(&at.key("set"), &body.set, false, problems),
                }
            })
            .collect()
    }
}

fn probes(at: &At<'_>, written: &written::Probes, problems: &mut Problems<'_>) -> Probes {
    let mut sampled = |key: &'static str, probe: &Option<Sampled>| {
        let at = at.key(key);
        let interval = std::time::Duration::from_millis(100);
        match probe {
            None | Some(Sampled::Switch(false)) => None,
            Some(Sampled::Switch(true)) => Some(SampledProbe { interval, required: false }),
            Some(Sampled::Settings(settings)) => {
                let interval = settings.interval.as_ref().map_or(Some(interval), |written| {
                    duration(&at.key("interval"), written, problems)
                })?;
                if interval < std::time::Duration::from_millis(1) {
                    let message = "an interval below 1ms would measure the probe itself";
                    problems.value(&at.key("interval"), message, None);
                }
                Some(SampledProbe { interval, required: settings.required })
            }
        }
    };
    let gpu = sampled("gpu", &written.gpu);
    let host = sampled("host", &written.host);
    let loop_lag = written
        .loop_lag
        .as_ref()
        .and_then(|lag| duration(&at.key("loop_lag"), lag, problems))
        .inspect(|lag| {
            if lag.is_zero() {
                problems.value(&at.key("loop_lag"), "a sleep of 0 would never yield", None);
            }
        });
    Probes { loop_lag, chunks: written.chunks, gpu, host, flamegraph: written.flamegraph }
}

/// Every cell needs a scenario, and every agent a model.
fn needs(
    at: &At<'_>,
    setting: &Setting<'_>,
    axes: &IndexMap<String, Vec<Level>>,
    fixed: &IndexMap<String, Level>,
    include: &[IndexMap<String, Level>],
    problems: &mut Problems<'_>,
) {
    let has = |name: &str| fixed.contains_key(name) || axes.contains_key(name);
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
    for scenario in scenarios_of(axes, fixed, include) {
        for agent in setting.scenarios.get(scenario).into_iter().flatten() {
            let simulated = matches!(
                setting.common.endpoints.get(&agent.endpoint),
                Some(Endpoint::Simulated(_)) | None
            );
            if agent.model.is_none() && !simulated {
                let message = format!(
                    "agent `{}` of scenario `{scenario}` has no model in this experiment",
                    agent.agent
                );
                let help = "put `model` into the matrix, or write `model = \"…\"` here";
                problems.key(at, message, Some(help.into()));
            }
        }
    }
}

fn scenarios_of<'l>(
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

/// Options that only a server's start can set change nothing on an OpenAI endpoint: say so.
fn warn_server_side(
    setting: &Setting<'_>,
    experiment: &str,
    written: &written::Experiment,
    axes: &IndexMap<String, Vec<Level>>,
    fixed: &IndexMap<String, Level>,
    warnings: &mut Vec<String>,
) {
    let scenarios = scenarios_of(axes, fixed, &[]);
    let agents: Vec<&ScenarioAgent> =
        scenarios.iter().filter_map(|name| setting.scenarios.get(*name)).flatten().collect();
    let mut ineffective = BTreeSet::new();
    for agent in agents {
        let endpoint = setting.common.endpoints.get(&agent.endpoint);
        if !matches!(endpoint, Some(Endpoint::OpenAi { .. })) {
            continue;
        }
        let own = agent.options.iter().flat_map(|options| options.keys());
        let varied = axes.keys().chain(written.fixed.keys());
        for name in own.chain(varied) {
            let option = name.rsplit('.').next().unwrap_or(name);
            if factor::SERVER_SIDE.contains(&option) {
                ineffective.insert((option.to_owned(), agent.endpoint.clone()));
            }
        }
    }
    for (option, endpoint) in ineffective {
        warnings.push(format!(
            "experiment `{experiment}`: `{option}` is set when an OpenAI-compatible server starts; \
             requests to endpoint `{endpoint}` cannot change it"
        ));
    }
}
