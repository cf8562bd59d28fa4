//! Two selections of cells side by side: as pairs where repeats were interleaved, else as independent
//! samples.

use std::collections::BTreeMap;

use super::cells::{self, Cell, Datum};
use super::judge::{Question, unit_of};
use crate::manifest::criterion::Cells;
use crate::stats::Sample;

/// Two samples of one metric.
pub(super) struct Sides {
    pub one: Sample,
    pub other: Sample,
    /// Of the metric.
    pub unit_of_metric: String,
    /// The values belong together one by one.
    pub paired: bool,
    /// Why they are paired, or why not.
    pub why: String,
    pub notes: Vec<String>,
}

impl Sides {
    pub fn n(&self) -> String {
        if self.paired {
            format!("{} pairs", self.one.n())
        } else {
            format!("{} and {} runs", self.one.n(), self.other.n())
        }
    }

    /// What a number of runs counts.
    pub fn unit(&self) -> &'static str {
        if self.paired { "pairs" } else { "runs per side" }
    }
}

pub(super) fn sides(
    question: &Question,
    one: &Cells,
    other: &Cells,
    metric: &str,
) -> Result<Sides, String> {
    let Question { cells, interleaved, declared, .. } = *question;
    let (ones, others) = (cells::select(cells, one)?, cells::select(cells, other)?);
    let left = cells::values(&ones, metric, declared)?;
    let right = cells::values(&others, metric, declared)?;
    let both: Vec<&Cell> = ones.iter().chain(&others).copied().collect();
    let all: Vec<Datum> = left.iter().chain(&right).copied().collect();
    let mut notes = cells::notes(&both, metric, &all);
    let matched = pairs(&ones, &others, one, other, &left, &right);
    let matched = matched.and_then(|pairs| blocks(pairs, interleaved));
    let apart = match matched {
        Err(why) => why,
        Ok(pairs) => {
            let alone = all.len() - 2 * pairs.len();
            if alone > 0 {
                notes.push(format!("{alone} run(s) have no partner and are left out"));
            }
            let (left, right): (Vec<Datum>, Vec<Datum>) = pairs.into_iter().unzip();
            return Ok(Sides {
                one: cells::sample(&left)?,
                other: cells::sample(&right)?,
                unit_of_metric: unit_of(metric, declared),
                paired: true,
                why: "repeats are interleaved: a pair is one repeat of both".to_owned(),
                notes,
            });
        }
    };
    Ok(Sides {
        one: cells::sample(&left)?,
        other: cells::sample(&right)?,
        unit_of_metric: unit_of(metric, declared),
        paired: false,
        why: apart,
        notes,
    })
}

type Pair<'a> = (Datum<'a>, Datum<'a>);

/// Same repeat, same levels on the axes that neither side names.
fn pairs<'a>(
    ones: &[&Cell],
    others: &[&Cell],
    one: &Cells,
    other: &Cells,
    left: &[Datum<'a>],
    right: &[Datum<'a>],
) -> Result<Vec<Pair<'a>>, String> {
    let rest = |cell: &Cell| -> Vec<String> {
        let named = |axis: &String| one.0.contains_key(axis) || other.0.contains_key(axis);
        let rest = cell.levels.iter().filter(|(axis, _)| !named(axis));
        rest.map(|(axis, level)| format!("{axis} {}", level.json())).collect()
    };
    let mut partners: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    for cell in others {
        if partners.insert(rest(cell), cell.id).is_some() {
            return Err("cells of the two sides do not match one to one".to_owned());
        }
    }
    let mut matched = std::collections::BTreeSet::new();
    for cell in ones {
        match partners.get(&rest(cell)) {
            Some(id) if matched.insert(*id) => {}
            _ => return Err("cells of the two sides do not match one to one".to_owned()),
        }
    }
    if matched.len() != partners.len() {
        return Err("cells of the two sides do not match one to one".to_owned());
    }
    let found: BTreeMap<(&str, u32), Datum> =
        right.iter().map(|value| ((value.cell.id, value.run.repeat), *value)).collect();
    let pairs: Vec<Pair> = left
        .iter()
        .filter_map(|value| {
            let partner = partners.get(&rest(value.cell))?;
            Some((*value, *found.get(&(*partner, value.run.repeat))?))
        })
        .collect();
    if pairs.len() < 2 && left.len() >= 2 && right.len() >= 2 {
        return Err("fewer than two repeats were measured on both sides".to_owned());
    }
    Ok(pairs)
}

/// The pairs, if each was measured in one block of time.
fn blocks(pairs: Vec<Pair>, interleaved: bool) -> Result<Vec<Pair>, String> {
    if !interleaved {
        return Err("repeats are not interleaved".to_owned());
    }
    match out_of_turn(&pairs) {
        Some((one, next)) => {
            Err(format!("repeats {one} and {next} were not measured one after the other"))
        }
        None => Ok(pairs),
    }
}

/// Two repeats of a pair of cells of which the later began before both runs of the earlier had begun:
/// between such partners lies more than the difference of their cells.
fn out_of_turn(pairs: &[Pair]) -> Option<(u32, u32)> {
    let mut by_cell: BTreeMap<&str, Vec<&Pair>> = BTreeMap::new();
    for pair in pairs {
        by_cell.entry(pair.0.cell.id).or_default().push(pair);
    }
    for pairs in by_cell.values_mut() {
        pairs.sort_by_key(|(one, _)| one.run.repeat);
        for next in pairs.windows(2) {
            let (before, after) = (next[0], next[1]);
            let last = before.0.run.started.as_str().max(&before.1.run.started);
            let first = after.0.run.started.as_str().min(&after.1.run.started);
            if first < last {
                return Some((before.0.run.repeat, after.0.run.repeat));
            }
        }
    }
    None
}
