//! Checks of command experiments: the words and their places, what surrounds them, and the metrics
//! that are picked from files.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use indexmap::IndexMap;

use super::names::name_of_key;
use super::probes::only_aa;
use crate::manifest::command::{self, Command, ENV, Input, Matters, Pick, PickFrom, STDOUT, Stat};
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Experiment, Level};
use crate::manifest::template::{Place, Template};
use crate::manifest::written::{self, Scalar};

/// Checks the command of an experiment and what surrounds it.
pub(super) fn command(
    at: &At<'_>,
    words: &[String],
    written: &written::Experiment,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<Command> {
    let at_command = at.key("command");
    if words.first().is_none_or(String::is_empty) {
        problems.key(&at_command, "the command is empty", None);
        return None;
    }
    meaningless(at, written, problems);
    let parse = |at: &At<'_>, word: &str, problems: &mut Problems<'_>| {
        Template::parse(word).map_err(|message| problems.value(at, message, None)).ok()
    };
    let parsed: Vec<Template> = words
        .iter()
        .enumerate()
        .filter_map(|(index, word)| parse(&at_command.index(index), word, problems))
        .collect();
    let cwd = written.cwd.as_ref().and_then(|cwd| parse(&at.key("cwd"), cwd, problems));
    let picks = metrics(at, &written.metric, problems);
    let mut outputs: Vec<String> = Vec::new();
    for (index, file) in written.outputs.iter().enumerate() {
        let at = at.key("outputs");
        let at = at.index(index);
        if is_below(file) {
            outputs.push(file.clone());
        } else {
            problems.value(&at, format!("`{file}` is no file below {{out}}"), Some(BELOW.into()));
        }
    }
    for pick in picks.iter().filter(|pick| pick.file != STDOUT) {
        if !outputs.contains(&pick.file) {
            outputs.push(pick.file.clone());
        }
    }
    let uses_out = parsed
        .iter()
        .chain(&cwd)
        .any(|word| word.parts.contains(&crate::manifest::template::Part::Place(Place::Out)));
    if parsed.len() == words.len() && !outputs.is_empty() && !uses_out {
        let message = "the command is to leave files, but is not told where: it does not use {out}";
        let help = "pass {out} to it, or write `cwd = \"{out}\"`";
        problems.key(&at_command, message, Some(help.into()));
    }
    Some(Command {
        words: parsed,
        cwd,
        env: environment(at, written.env.as_deref(), problems),
        inputs: inputs(at, &written.inputs, dir, problems),
        outputs,
        metrics: picks,
        line: problems.source().line_of(&at_command).unwrap_or(1),
    })
}

/// What belongs to a command, in an experiment that has none.
pub(super) fn foreign(at: &At<'_>, written: &written::Experiment, problems: &mut Problems<'_>) {
    for (key, given) in [
        ("cwd", written.cwd.is_some()),
        ("env", written.env.is_some()),
        ("inputs", !written.inputs.is_empty()),
        ("outputs", !written.outputs.is_empty()),
        ("metric", !written.metric.is_empty()),
    ] {
        if given {
            let message = format!("`{key}` belongs to a `command`, and there is none");
            problems.key(&at.key(key), message, None);
        }
    }
}

/// What means nothing for a program that the runner only starts.
fn meaningless(at: &At<'_>, written: &written::Experiment, problems: &mut Problems<'_>) {
    let probes = &written.probes;
    let at_probes = at.key("probes");
    for (at, key, given) in [
        (at, "warmup", written.warmup.is_some()),
        (at, "max_tokens", written.max_tokens.is_some()),
        (at, "vary_prompt", written.vary_prompt.is_some()),
        (at, "vary_seed", written.vary_seed.is_some()),
        (at, "accept_context_full", written.accept_context_full.is_some()),
        (&at_probes, "loop_lag", probes.loop_lag.is_some()),
        (&at_probes, "chunks", probes.chunks),
        (&at_probes, "wire", probes.wire.is_some()),
    ] {
        if given {
            let help = match key {
                "warmup" => "every run is a process of its own; what it warms up is its own affair",
                _ => "it is for agents that call endpoints",
            };
            let message = format!("`{key}` means nothing for a command");
            problems.key(&at.key(key), message, Some(help.into()));
        }
    }
    only_aa(at, written, "for a command", problems);
}

/// Every place of the words must be an axis or a fixed factor.
pub(super) fn places(
    at: &At<'_>,
    command: &Command,
    axes: &IndexMap<String, Vec<Level>>,
    fixed: &IndexMap<String, Level>,
    problems: &mut Problems<'_>,
) {
    let at_command = at.key("command");
    let at_cwd = at.key("cwd");
    let words = (0..).zip(&command.words).map(|(index, word)| (at_command.index(index), word));
    let mut said = BTreeSet::new();
    for (at, word) in words.chain(command.cwd.iter().map(|cwd| (at_cwd, cwd))) {
        for axis in word.axes().filter(|axis| !axes.contains_key(*axis)) {
            if fixed.contains_key(axis) || !said.insert(axis.to_owned()) {
                continue;
            }
            let known = axes.keys().chain(fixed.keys()).map(String::as_str);
            let help = suggest(axis, known.chain(Place::ALL.map(Place::name)))
                .unwrap_or_else(|| "put it into the matrix or under `fixed`".to_owned());
            problems.value(&at, format!("there is no axis `{axis}`"), Some(help));
        }
    }
}

/// Metrics of one name mean one thing in the whole study.
pub(super) fn agreement(experiments: &[Experiment], problems: &mut Problems<'_>) {
    let mut known: IndexMap<&str, (&str, &Pick)> = IndexMap::new();
    for experiment in experiments {
        for pick in experiment.picks() {
            let (first, other) =
                *known.entry(pick.name.as_str()).or_insert((experiment.name.as_str(), pick));
            let meaning = |pick: &Pick| (pick.unit.clone(), pick.better, pick.smallest_effect);
            if meaning(other) != meaning(pick) {
                let section = At::ROOT.key("experiment");
                let at = section.key(&experiment.name);
                let at = at.key("metric");
                let message = format!(
                    "metric `{}` has another `unit`, `better` or `smallest_effect` than in experiment `{first}`",
                    pick.name
                );
                let help = "give it the same, or another name";
                problems.key(&at.key(&pick.name), message, Some(help.into()));
            }
        }
    }
}

fn metrics(
    at: &At<'_>,
    written: &IndexMap<String, written::Picked>,
    problems: &mut Problems<'_>,
) -> Vec<Pick> {
    let section = at.key("metric");
    let mut picks = Vec::new();
    for (name, body) in written {
        let at = section.key(name);
        name_of_key(problems, &at, name);
        let unit = body.unit.clone().unwrap_or_default();
        if unit.chars().any(|c| c.is_control() || c == '|') || unit.chars().count() > 20 {
            let message = "a unit is a short text without `|`";
            problems.value(&at.key("unit"), message, None);
        }
        let smallest_effect = body.smallest_effect.as_ref().and_then(|written| {
            let found = matters(written, &unit);
            let at = at.key("smallest_effect");
            found.map_err(|(message, help)| problems.value(&at, message, Some(help))).ok()
        });
        if let Some((file, from)) = origin(&at, body, problems) {
            let (name, better) = (name.clone(), body.better);
            picks.push(Pick { name, file, from, unit, better, smallest_effect });
        }
    }
    picks
}

/// A share such as `2 %`, or a number in the unit; or what is wrong and what to write.
fn matters(written: &Scalar, unit: &str) -> Result<Matters, (String, String)> {
    let help = || {
        let unit = if unit.is_empty() { "its unit" } else { unit };
        format!("write a share such as \"2 %\", or a number from 0 of {unit}, such as 0.5")
    };
    let (number, share) = match written {
        Scalar::Integer(number) => (Some(*number as f64), false),
        Scalar::Float(number) => (Some(*number), false),
        Scalar::Text(text) => match text.trim().strip_suffix('%') {
            Some(number) => (number.trim().parse().ok(), true),
            None => (None, false),
        },
        Scalar::Bool(_) => (None, false),
    };
    match number.filter(|number: &f64| number.is_finite() && *number >= 0.0) {
        None => Err((format!("`{written}` is no smallest effect"), help())),
        Some(number) if share && ["%", "pp"].contains(&unit) => Err((
            format!("`{written}` of a metric in {unit} may be a share of it or percentage points"),
            format!("write {number} for {number} percentage points"),
        )),
        Some(number) if share => Ok(Matters::FromShare(number / 100.0)),
        Some(number) => Ok(Matters::From(number)),
    }
}

fn origin(
    at: &At<'_>,
    body: &written::Picked,
    problems: &mut Problems<'_>,
) -> Option<(String, PickFrom)> {
    let at_from = at.key("from");
    let (file, pointer) = match body.from.split_once('#') {
        Some((file, pointer)) => (file, Some(pointer)),
        None => (body.from.as_str(), None),
    };
    if file != STDOUT && !is_below(file) {
        let message = format!("`{file}` is no file below {{out}}");
        problems.value(&at_from, message, Some(BELOW.into()));
        return None;
    }
    let from = match (pointer, &body.column, &body.stat) {
        (Some(pointer), None, None) => {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let message = format!("`{pointer}` is no JSON pointer");
                let help = format!("write `{file}#/{pointer}`");
                problems.value(&at_from, message, Some(help));
                return None;
            }
            PickFrom::Json(pointer.to_owned())
        }
        (None, Some(column), Some(stat)) => {
            let Some(stat) = Stat::parse(stat) else {
                let known = ["mean", "median", "sd", "min", "max", "sum", "count", "first", "last"];
                let message = format!("`{stat}` is no statistic of a column");
                let help = format!("one of {}, p50, p99, …", known.join(", "));
                problems.value(&at.key("stat"), message, Some(help));
                return None;
            };
            PickFrom::Csv { column: column.clone(), stat }
        }
        _ => {
            let message =
                "a metric comes from a value of a JSON file or from a column of a CSV file";
            let help = "write `from = \"summary.json#/path\"`, or `from = \"rows.csv\", column = \
                        \"…\", stat = \"mean\"`";
            problems.key(at, message, Some(help.into()));
            return None;
        }
    };
    Some((file.to_owned(), from))
}

const BELOW: &str = "write its path below {out}, such as `summary.json` or `data/rows.csv`";

/// A relative path that stays where it starts.
fn is_below(file: &str) -> bool {
    !file.is_empty()
        && !file.contains(['\\', '{', '}'])
        && !file.chars().any(char::is_control)
        && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
}

fn environment(
    at: &At<'_>,
    written: Option<&[String]>,
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let Some(written) = written else { return ENV.iter().map(|name| (*name).to_owned()).collect() };
    let at_env = at.key("env");
    let mut names: Vec<String> = Vec::new();
    for (index, name) in written.iter().enumerate() {
        let at = at_env.index(index);
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{name:?} is no name of an environment variable");
            let help = "list names only: their values come from the environment of exec";
            problems.value(&at, message, Some(help.into()));
        } else if names.contains(name) {
            problems.value(&at, format!("`{name}` is listed twice"), None);
        } else {
            names.push(name.clone());
        }
    }
    names
}

fn inputs(at: &At<'_>, written: &[String], dir: &Path, problems: &mut Problems<'_>) -> Vec<Input> {
    let at_inputs = at.key("inputs");
    let mut inputs: Vec<Input> = Vec::new();
    for (index, path) in written.iter().enumerate() {
        let at = at_inputs.index(index);
        if inputs.iter().any(|input| input.path == *path) {
            problems.value(&at, format!("`{path}` is listed twice"), None);
            continue;
        }
        match command::digest(&dir.join(path)) {
            Ok(digest) => inputs.push(Input { path: path.clone(), digest }),
            Err((path, error)) => {
                let message = format!("cannot read the input {}: {error}", path.display());
                let help = "paths start at the manifest's folder";
                problems.value(&at, message, Some(help.into()));
            }
        }
    }
    inputs
}
