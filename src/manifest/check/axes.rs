//! Checks of factors and their levels: known, of the right type, used where they mean something.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::experiment::Setting;
use super::names::{NAME_HELP, is_name, reference};
use super::tokenize::tokenizer_level;
use crate::manifest::factor::{self, Factor, Place};
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{ExperimentKind, Level};
use crate::manifest::template::{self, Template};
use crate::manifest::written::{self, Axis, Scalar};

/// Reads the levels of one experiment.
pub(super) struct Levels<'c> {
    pub setting: &'c Setting<'c>,
    pub kind: &'c ExperimentKind,
    pub written: &'c written::Experiment,
}

impl Levels<'_> {
    /// The built-in factor of an axis; `None` in a command experiment, where every name is free.
    fn factor(&self, axis: &str) -> Option<Factor> {
        match self.kind {
            ExperimentKind::Command(_) => None,
            _ => factor::lookup(axis),
        }
    }

    /// Whether the name may be an axis; reports why not.
    pub(super) fn axis(&self, at: &At<'_>, axis: &str, problems: &mut Problems<'_>) -> bool {
        if let ExperimentKind::Command(command) = self.kind {
            if template::Place::named(axis).is_some() {
                let message =
                    format!("`{{{axis}}}` has a meaning of its own: it cannot be an axis");
                problems.key(at, message, Some("give the axis another name".to_owned()));
                return false;
            }
            let used = command.words.iter().chain(&command.cwd).flat_map(Template::axes);
            let used = used.into_iter().any(|own| own == axis);
            if !used {
                let help = format!("write {{{axis}}} where its level belongs");
                problems.key(at, format!("the command does not use the axis `{axis}`"), Some(help));
            }
            return used;
        }
        if self.kind.is_import() {
            return free_axis(at, axis, problems);
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
            Place::Runtime => true,
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

    /// One level, normalised.
    pub(super) fn level_of(&self, axis: &str, written: &Scalar) -> Result<Level, String> {
        match self.factor(axis) {
            Some(factor) => factor.level(written),
            None => factor::free_level(written),
        }
    }

    /// One level, normalised, its references checked and the profile's model names applied.
    pub(super) fn level(
        &self,
        at: &At<'_>,
        axis: &str,
        written: &Scalar,
        problems: &mut Problems<'_>,
    ) -> Option<Level> {
        let level = match self.level_of(axis, written) {
            Ok(level) => level,
            Err(message) => {
                problems.value(at, format!("`{axis}`: {message}"), None);
                return None;
            }
        };
        match (&level, axis) {
            (Level::Number(number), _) if self.kind.is_command() => {
                // What the program gets is what was written: 3.10 may be a version.
                let text = problems.source().float_at(at);
                if let Some(text) = text.filter(|text| *text != factor::show_free(&level)) {
                    return Some(Level::Written { number: *number, text });
                }
            }
            _ if self.kind.is_import() => {}
            (Level::Text(name), "model") => {
                let name = self.setting.common.models.get(name).unwrap_or(name);
                return Some(Level::Text(name.clone()));
            }
            _ if self.kind.is_command() => {}
            (Level::Text(name), "scenario") => {
                let known = self.setting.scenarios.keys();
                reference(problems, at, "scenario", name, known, false);
            }
            (Level::Text(name), "endpoint") => {
                let known = self.setting.common.endpoints.keys();
                reference(problems, at, "endpoint", name, known, false);
            }
            (Level::Text(name), "runtime") => {
                let built_in = ["rust".to_owned(), "python".to_owned()];
                let known = built_in.iter().chain(self.setting.runtimes.keys());
                reference(problems, at, "runtime", name, known, false);
            }
            (Level::Text(name), "tokenizer") => {
                tokenizer_level(at, name, self.setting.tokenizers, problems);
            }
            (Level::Text(name), "corpus") => {
                let known = self.setting.corpora.keys();
                reference(problems, at, "corpus", name, known, false);
            }
            _ => {}
        }
        Some(level)
    }

    pub(super) fn axes(
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
                        let help = alike(&parsed, &level).map(|other| {
                            format!(
                                "`{other}` is the same number; if these are names, write \"{other}\" \
                                 and \"{shown}\""
                            )
                        });
                        problems.value(&at, format!("axis `{name}` has `{shown}` twice"), help);
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

/// Axes of earlier results have any names that tables and file names can carry.
fn free_axis(at: &At<'_>, axis: &str, problems: &mut Problems<'_>) -> bool {
    let reserved = ["experiment", "cell", "repeats", "agent", "where"].contains(&axis);
    if reserved {
        let message = format!("`{axis}` has a meaning of its own: it cannot be an axis");
        problems.key(at, message, Some("give the axis another name".to_owned()));
    } else if !is_name(axis) {
        problems.key(at, format!("{axis:?} cannot be an axis"), Some(NAME_HELP.to_owned()));
        return false;
    }
    !reserved
}

/// The same number among other levels, as it is written there if that is in another way.
fn alike(levels: &[Level], level: &Level) -> Option<String> {
    let other = factor::show_free(levels.iter().find(|other| *other == level)?);
    (level.number().is_some() && other != factor::show_free(level)).then_some(other)
}

pub(super) fn zip(
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
