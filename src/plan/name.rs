//! Readable folder names of cells. For people only: runs are found by identity.

use crate::manifest::factor;
use crate::manifest::study::Level;

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

/// The name from a pattern (checked when the manifest was), or from the cell's own levels.
pub(super) fn name(
    pattern: Option<&str>,
    value: impl Fn(&str) -> String,
    levels: &[(&str, &Level)],
) -> String {
    let parts = pattern.and_then(|pattern| crate::manifest::pattern(pattern).ok());
    let name = match parts {
        Some(parts) => parts
            .into_iter()
            .map(|part| match part {
                Ok(text) => text,
                Err((factor, true)) => slug(&value(&factor)),
                Err((factor, false)) => value(&factor),
            })
            .collect(),
        None if levels.is_empty() => "cell".to_owned(),
        None => levels
            .iter()
            .map(|(axis, level)| format!("{axis}-{}", slug(&factor::show(axis, level))))
            .collect::<Vec<_>>()
            .join("_"),
    };
    safe(&name)
}

/// Longest part of a name that an agent's name takes.
const LONGEST_AGENT: usize = 40;

/// The name of a control: a cell's with only this agent.
pub(super) fn solo(cell: &str, agent: &str) -> String {
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
