//! Whether repeats of two sides were measured block by block, so that they can be taken as pairs.
//!
//! A plan may ask for interleaved repeats, but runs can have been made at any time: a level that was added
//! later, a run that was repeated. What counts is when the stored runs began.

use std::collections::BTreeMap;

/// When the runs of one repeat on one side began; RFC 3339, UTC. The two are the same for one run.
#[derive(Debug, Clone, Copy)]
pub struct Began<'a> {
    pub first: &'a str,
    pub last: &'a str,
}

impl<'a> Began<'a> {
    #[must_use]
    pub fn one(started: &'a str) -> Self {
        Self { first: started, last: started }
    }
}

/// Two successive repeats of which the later began before all runs of the earlier had begun: between such
/// partners lies more than the difference of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfTurn {
    pub repeat: u32,
    pub next: u32,
}

/// What both sides have, by repeat; an error unless every repeat began before the next.
pub fn pairs<'a, T: Copy>(
    one: &BTreeMap<u32, T>,
    other: &BTreeMap<u32, T>,
    began: impl Fn(T) -> Began<'a>,
) -> Result<Vec<(T, T)>, OutOfTurn> {
    let common: Vec<(u32, T, T)> = one
        .iter()
        .filter_map(|(repeat, left)| Some((*repeat, *left, *other.get(repeat)?)))
        .collect();
    for pair in common.windows(2) {
        let [(repeat, a, b), (next, next_a, next_b)] = *pair else { continue };
        let last = began(a).last.max(began(b).last);
        let first = began(next_a).first.min(began(next_b).first);
        if first <= last {
            return Err(OutOfTurn { repeat, next });
        }
    }
    Ok(common.into_iter().map(|(_, left, right)| (left, right)).collect())
}
