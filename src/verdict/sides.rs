//! Two selections of cells side by side: as pairs where repeats were interleaved, else as independent
//! samples.

use std::collections::{BTreeMap, HashMap};

use super::cells::{self, Cell, Datum};
use super::judge::{Question, unit_of};
use crate::manifest::criterion::Cells;
use crate::stats::{self, Sample};
use crate::store::blocks::{self, Began, OutOfTurn};

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
    let both: Vec<&Cell> = ones.iter().chain(&others).copied().collect();
    cells::same_circumstances(&both)?;
    let left = cells::values(&ones, metric, declared)?;
    let right = cells::values(&others, metric, declared)?;
    let all: Vec<Datum> = left.iter().chain(&right).copied().collect();
    let mut notes = cells::notes(&both, metric, &all);
    let matched = if interleaved {
        partners(&ones, &others, one, other).and_then(|partners| pairs(&partners, &left, &right))
    } else {
        Err("repeats are not interleaved".to_owned())
    };
    let sides = |one, other, paired, why, notes| Sides {
        one,
        other,
        unit_of_metric: unit_of(metric, declared),
        paired,
        why,
        notes,
    };
    let apart = match matched {
        Err(why) => why,
        Ok((left, right)) => {
            let alone = all.len() - left.len() - right.len();
            let (of, to) = (cells::sample(&left)?, cells::sample(&right)?);
            if stats::pairs_tell(&of, &to) {
                if alone > 0 {
                    notes.push(format!("{alone} run(s) have no partner and are left out"));
                }
                let why = "repeats are interleaved: a pair is one repeat of both".to_owned();
                return Ok(sides(of, to, true, why, notes));
            }
            "the differences of the pairs do not vary".to_owned()
        }
    };
    if ones.len() + others.len() > 2 {
        notes.push(format!(
            "the two sides hold {} and {} cells, whose runs count alike",
            ones.len(),
            others.len()
        ));
    }
    Ok(sides(cells::sample(&left)?, cells::sample(&right)?, false, apart, notes))
}

/// The cells of both sides that have the same levels on the axes that neither side names.
fn partners<'a>(
    ones: &[&'a Cell<'a>],
    others: &[&'a Cell<'a>],
    one: &Cells,
    other: &Cells,
) -> Result<Vec<(&'a str, &'a str)>, String> {
    let rest = |cell: &Cell| -> Vec<String> {
        let named = |axis: &String| one.0.contains_key(axis) || other.0.contains_key(axis);
        let rest = cell.levels.iter().filter(|own| !named(&own.name));
        rest.map(|own| format!("{} {}", own.name, own.level)).collect()
    };
    let unlike = || "cells of the two sides do not match one to one".to_owned();
    let mut free: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    for cell in others {
        if free.insert(rest(cell), cell.id).is_some() {
            return Err(unlike());
        }
    }
    let partner = |cell: &&'a Cell| Some((cell.id, free.remove(&rest(cell))?));
    let partners: Option<Vec<_>> = ones.iter().map(partner).collect();
    partners.filter(|_| free.is_empty()).ok_or_else(unlike)
}

/// The values of each repeat that both partners have, if they were measured block by block.
fn pairs<'a>(
    partners: &[(&str, &str)],
    left: &[Datum<'a>],
    right: &[Datum<'a>],
) -> Result<(Vec<Datum<'a>>, Vec<Datum<'a>>), String> {
    let by_cell = |values: &[Datum<'a>]| -> HashMap<&'a str, BTreeMap<u32, Datum<'a>>> {
        let mut cells: HashMap<&str, BTreeMap<u32, Datum<'a>>> = HashMap::new();
        for value in values {
            cells.entry(value.cell.id).or_default().insert(value.run.repeat, *value);
        }
        cells
    };
    let (lefts, rights) = (by_cell(left), by_cell(right));
    let mut pairs = Vec::new();
    for (one, other) in partners {
        let (Some(ones), Some(others)) = (lefts.get(one), rights.get(other)) else { continue };
        let began = |value: Datum<'a>| Began::one(&value.run.started);
        let found = blocks::pairs(ones, others, began);
        pairs.extend(found.map_err(|OutOfTurn { repeat, next }| {
            format!("repeats {repeat} and {next} were not measured one after the other")
        })?);
    }
    if pairs.len() < 2 && left.len() >= 2 && right.len() >= 2 {
        return Err("fewer than two repeats were measured on both sides".to_owned());
    }
    Ok(pairs.into_iter().unzip())
}
