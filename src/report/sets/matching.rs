//! Which cell of one set is which of the other.

use std::collections::HashMap;

use serde::Serialize;

use super::SetCell;

/// What makes two cells the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// They ask for the same.
    #[default]
    Id,
    /// Their manifests call them the same; what they ask for may differ (another model, another kind of
    /// server).
    Name,
}

/// Cells of both sides, in the order of the first.
#[derive(Debug)]
pub struct Matches<'a> {
    pub both: Vec<(&'a SetCell, &'a SetCell)>,
    pub only_a: Vec<&'a SetCell>,
    pub only_b: Vec<&'a SetCell>,
    /// Their key is not theirs alone on one of the sides.
    pub ambiguous: Vec<&'a SetCell>,
}

pub fn matches<'a>(by: By, a: &[&'a SetCell], b: &[&'a SetCell]) -> Matches<'a> {
    let key = |cell: &'a SetCell| match by {
        By::Id => cell.id.as_str(),
        By::Name => cell.name.as_str(),
    };
    let group = |cells: &[&'a SetCell]| {
        let mut groups: HashMap<&'a str, Vec<&'a SetCell>> = HashMap::new();
        for cell in cells {
            groups.entry(key(cell)).or_default().push(cell);
        }
        groups
    };
    let (in_a, in_b) = (group(a), group(b));
    let mut matches =
        Matches { both: Vec::new(), only_a: Vec::new(), only_b: Vec::new(), ambiguous: Vec::new() };
    for cell in a {
        match (in_a.get(key(cell)).map(Vec::as_slice), in_b.get(key(cell)).map(Vec::as_slice)) {
            (_, None) => matches.only_a.push(cell),
            (Some([_]), Some([other])) => matches.both.push((cell, other)),
            _ => matches.ambiguous.push(cell),
        }
    }
    for cell in b {
        match (in_a.get(key(cell)), in_b.get(key(cell)).map(Vec::as_slice)) {
            (None, _) => matches.only_b.push(cell),
            (Some(others), Some([_])) if others.len() == 1 => {}
            _ => matches.ambiguous.push(cell),
        }
    }
    matches
}
