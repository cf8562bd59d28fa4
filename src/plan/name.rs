//! Readable folder names of cells. For people only: runs are found by identity.

use indexmap::IndexMap;

use super::Plan;
use super::factors::set_option;
use super::spec::COMMAND_RUNTIME;
use crate::cells::NamedLevel;
use crate::corpus::Source;
use crate::manifest::study::{ExperimentKind, Level};
use crate::manifest::template::{Place, Template};
use crate::manifest::{factor, units};

/// Longest name; the id and a suffix must still fit into a file name.
const LONGEST: usize = 120;

/// A level or name as file names carry it: `gemma3:latest` → `gemma3_latest`, `0.8` → `0p8`.
#[must_use]
pub fn slug(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let digit = |index: Option<usize>| {
        index.and_then(|i| characters.get(i)).is_some_and(char::is_ascii_digit)
    };
    let mut slug = String::with_capacity(text.len());
    for (index, c) in characters.iter().enumerate() {
        match c {
            '.' if digit(index.checked_sub(1)) && digit(Some(index + 1)) => slug.push('p'),
            c if c.is_ascii_alphanumeric() || *c == '-' => slug.push(*c),
            _ if slug.ends_with('_') => {}
            _ => slug.push('_'),
        }
    }
    slug.trim_matches('_').to_owned()
}

impl Plan {
    /// Readable folder name, made of safe characters only, without the id. May have several parts
    /// joined by `/`, as the manifest's `cell_name` says.
    #[must_use]
    pub fn name(&self, cell: u32) -> String {
        self.name_with(cell, &IndexMap::new())
    }

    /// As [`Plan::name`], with some levels changed.
    pub(super) fn name_with(&self, cell: u32, changed: &IndexMap<String, Level>) -> String {
        let (index, row) = self.home(cell);
        let experiment = &self.study.experiments[index];
        let matrix = &self.matrices[index];
        let levels: Vec<(&str, &Level, bool)> = matrix
            .levels(row)
            .zip(&matrix.axes)
            .map(|((name, level), (_, levels))| match changed.get(name) {
                Some(level) => (name, level, true),
                None => (name, level, levels.len() > 1),
            })
            .chain(
                changed
                    .iter()
                    .filter(|(name, _)| matrix.axes.iter().all(|(axis, _)| axis != *name))
                    .map(|(name, level)| (name.as_str(), level, true)),
            )
            .collect();
        let value = |factor: &str| {
            let own = levels.iter().find(|(name, ..)| *name == factor).map(|(_, level, _)| *level);
            if factor == "runtime" && experiment.kind.is_command() {
                return COMMAND_RUNTIME.to_owned();
            }
            own.or_else(|| experiment.fixed.get(factor)).map_or_else(
                || {
                    set_option(&self.spec(cell), factor)
                        .and_then(|value| NamedLevel::of_values(factor, &[value]))
                        .map_or_else(|| "default".to_owned(), |level| level.text)
                },
                |level| factor::show(factor, level),
            )
        };
        let head = match &experiment.kind {
            ExperimentKind::Command(command) => program(&command.words),
            ExperimentKind::Tokenize(own) if levels.iter().all(|(axis, ..)| *axis != "corpus") => {
                let runtime = slug(&value("runtime"));
                format!("{runtime}_{}", slug(&corpus(&own.corpus)))
            }
            ExperimentKind::Import(import) => slug(&import.campaign),
            ExperimentKind::Tokenize(_) | ExperimentKind::Scenario => slug(&value("runtime")),
        };
        let pattern = experiment.settings.cell_name.as_deref();
        let name = name(pattern, &head, value, &levels);
        match self.solo_agent(cell) {
            Some(agent) => solo(&name, agent),
            None if self.is_replica(cell) => format!("{name}_aa"),
            None => name,
        }
    }
}

/// What stands at the head of a command's names: its program and, where an interpreter's first word
/// names one, the script. Other words are too many; the id tells them apart.
fn program(words: &[Template]) -> String {
    let file = |word: &Template| {
        // What differs from cell to cell stands in its levels, what differs from run to run nowhere.
        let fixed = word.axes().next().is_none() && !word.places().any(|own| own != Place::Study);
        let text = word.fill(|_| String::new());
        let file = text.rsplit(['/', '\\']).next().unwrap_or_default();
        (fixed && !file.is_empty() && !text.starts_with('-')).then(|| file.to_owned())
    };
    let program = words.first().and_then(file).unwrap_or_else(|| COMMAND_RUNTIME.to_owned());
    match words.get(1).and_then(file) {
        Some(script) => {
            let stem = script.rsplit_once('.').map_or(script.as_str(), |(stem, _)| stem);
            format!("{}-{}", slug(&program), slug(stem))
        }
        None => slug(&program),
    }
}

/// What tells the cells of two tokenizer experiments apart that have no axis for it.
fn corpus(source: &Source) -> String {
    match source {
        Source::Generated { bytes, seed } => {
            let size = match bytes {
                bytes if bytes.is_multiple_of(1_000_000) => format!("{}MB", bytes / 1_000_000),
                bytes if bytes.is_multiple_of(1_000) => format!("{}kB", bytes / 1_000),
                bytes => units::show_bytes(*bytes),
            };
            if *seed == 0 { size } else { format!("{size}-seed-{seed}") }
        }
        Source::File { path, .. } => {
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
        }
    }
}

/// The name from a pattern (checked when the manifest was), or from the cell's own levels after a
/// `head`: axis, level, and whether the axis has several.
fn name(
    pattern: Option<&str>,
    head: &str,
    value: impl Fn(&str) -> String,
    levels: &[(&str, &Level, bool)],
) -> String {
    let parts = pattern.and_then(|pattern| crate::manifest::pattern(pattern).ok());
    let name = match parts {
        Some(parts) => parts
            .into_iter()
            .map(|part| match part {
                Ok(text) => text,
                Err((factor, true)) => slug(&value(&factor)),
                // A slash in a level is no folder; one in the pattern is.
                Err((factor, false)) => value(&factor).replace('/', "_"),
            })
            .collect(),
        None => own_name(head, levels),
    };
    safe(&name)
}

/// The head and the levels that tell the cell from its neighbours, all of them where none does.
fn own_name(head: &str, levels: &[(&str, &Level, bool)]) -> String {
    let varied = levels.iter().any(|(.., varies)| *varies);
    let levels = levels
        .iter()
        .filter(|(axis, _, varies)| *axis != "runtime" && (*varies || !varied))
        .map(|(axis, level, _)| format!("{axis}-{}", slug(&factor::show(axis, level))));
    std::iter::once(head.to_owned()).chain(levels).collect::<Vec<_>>().join("_")
}

/// Longest part of a name that an agent's name takes.
const LONGEST_AGENT: usize = 40;

/// The name of a control: a cell's with only this agent.
fn solo(cell: &str, agent: &str) -> String {
    let mut agent = slug(agent);
    agent.truncate(LONGEST_AGENT);
    format!("{cell}_solo-{agent}")
}

/// Only characters that every file system takes; no part is empty or made of dots.
fn safe(name: &str) -> String {
    let parts: Vec<String> = name
        .split('/')
        .map(|part| {
            let part: String = part
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
                .collect();
            part.trim_start_matches('.').to_owned()
        })
        .filter(|part| !part.is_empty())
        .collect();
    let mut name = parts.join("/");
    name.truncate(LONGEST);
    if name.is_empty() { "cell".to_owned() } else { name.trim_end_matches('/').to_owned() }
}
