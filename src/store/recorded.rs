//! Levels that imported runs recorded beyond those of their cells.

use std::collections::{BTreeMap, BTreeSet};

use super::record::RunRecord;

/// A recorded level that is not the same in two sets of runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedDifference {
    pub name: String,
    /// Every value that was met, joined by ` or `.
    pub one: String,
    pub other: String,
}

impl std::fmt::Display for RecordedDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, one, other } = self;
        write!(f, "`{name}` is {one} on one side and {other} on the other")
    }
}

/// The levels that both sides recorded and in which they differ; what a side did not record is unknown.
#[must_use]
pub fn recorded_differences<'r>(
    one: impl IntoIterator<Item = &'r RunRecord>,
    other: impl IntoIterator<Item = &'r RunRecord>,
) -> Vec<RecordedDifference> {
    level_differences(one.into_iter().flat_map(recorded), other.into_iter().flat_map(recorded))
}

/// The same of any levels, each a name and a value.
#[must_use]
pub fn level_differences<'l>(
    one: impl IntoIterator<Item = (&'l str, &'l str)>,
    other: impl IntoIterator<Item = (&'l str, &'l str)>,
) -> Vec<RecordedDifference> {
    let (one, other) = (values(one), values(other));
    let both = one.into_iter().filter_map(|(name, one)| {
        let other = other.get(name).filter(|other| **other != one)?;
        let said =
            |values: &BTreeSet<&str>| values.iter().copied().collect::<Vec<_>>().join(" or ");
        Some(RecordedDifference { name: name.to_owned(), one: said(&one), other: said(other) })
    });
    both.collect()
}

/// Name and value of what a run recorded beyond the levels of its cell.
pub fn recorded(run: &RunRecord) -> impl Iterator<Item = (&str, &str)> {
    let levels = run.imported.iter().flat_map(|own| &own.recorded);
    levels.map(|(name, value)| (name.as_str(), value.as_str()))
}

fn values<'l>(
    levels: impl IntoIterator<Item = (&'l str, &'l str)>,
) -> BTreeMap<&'l str, BTreeSet<&'l str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in levels {
        values.entry(name).or_default().insert(value);
    }
    values
}
