//! Checks of what selects cells: `{ axis = level, … }`.

use indexmap::IndexMap;

use super::axes::Levels;
use super::listed::REPEATS;
use super::names::reference;
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Level, Override};
use crate::manifest::written::{self, Scalar};

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
            let known = levels.iter().find(|known| **known == level);
            if existing && known.is_none() {
                let shown = factor::show(axis, &level);
                let help = nearest_level(axis, &level, levels.iter());
                problems.value(&at, format!("axis `{axis}` has no level `{shown}`"), help);
            }
            // As the matrix writes it, where it is one of its levels.
            let own = known.filter(|_| existing).cloned();
            selection.insert(axis.clone(), own.unwrap_or(level));
        }
        selection
    }

    pub(super) fn list(
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
    pub(super) fn additions(
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

    pub(super) fn overrides(
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
                let (at_set, mut set) = (at.key("set"), body.set.clone());
                let repeats = (!self.axes.contains_key(REPEATS))
                    .then(|| set.shift_remove(REPEATS))
                    .flatten()
                    .and_then(|own| self::repeats(&at_set.key(REPEATS), &own, problems));
                Override {
                    when: self.one(&at.key("when"), &body.when, true, problems),
                    set: self.one(&at_set, &set, false, problems),
                    repeats,
                }
            })
            .collect()
    }
}

fn repeats(at: &At<'_>, written: &Scalar, problems: &mut Problems<'_>) -> Option<u32> {
    let number = match written {
        Scalar::Integer(number) => u32::try_from(*number).ok().filter(|number| *number > 0),
        _ => None,
    };
    if number.is_none() {
        let help = "write a whole number from 1";
        problems.value(at, format!("`{written}` is no number of repeats"), Some(help.to_owned()));
    }
    number
}

/// What may be meant by a level that there is not.
pub(super) fn nearest_level<'l>(
    axis: &str,
    level: &Level,
    known: impl Iterator<Item = &'l Level>,
) -> Option<String> {
    let shown = factor::show(axis, level);
    let known: Vec<String> = known.map(|own| factor::show(axis, own)).collect();
    if known.contains(&shown) {
        let (own, not) = match level {
            Level::Text(_) => ("a number: write it without quotes", "a text"),
            _ => ("a text: write it in quotes", "a number"),
        };
        return Some(format!("the level is {own}, and this is {not}"));
    }
    suggest(&shown, known.iter().map(String::as_str))
}
