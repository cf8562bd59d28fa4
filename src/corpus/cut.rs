//! Parts of a text: its lines, and pieces of the size in which a stream delivers text.

use std::ops::Range;

use super::draw::Draw;

/// Most parts that a text is cut into; of more, this many are taken, evenly spaced through the text.
pub const PARTS: usize = 10_000;

/// Longest piece, characters.
const LONGEST: usize = 200;

/// Lines with something on them, each with its line feed.
#[must_use]
pub fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let all = text.split_inclusive('\n').filter_map(|line| {
        let range = start..start + line.len();
        start = range.end;
        (!line.trim().is_empty()).then_some(range)
    });
    evenly(all.collect())
}

/// Pieces of 1 to 200 characters, every length as often as every other. The cuts are the same for
/// the same text.
#[must_use]
pub fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut draw = Draw::new(0);
    let mut all = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let length = draw.between(1, LONGEST);
        let bytes = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        all.push(start..start + bytes);
        start += bytes;
    }
    evenly(all)
}

fn evenly(all: Vec<Range<usize>>) -> Vec<Range<usize>> {
    if all.len() <= PARTS {
        return all;
    }
    (0..PARTS).map(|place| all[place * all.len() / PARTS].clone()).collect()
}
