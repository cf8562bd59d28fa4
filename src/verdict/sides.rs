//! Two selections of cells side by side: as pairs where repeats were interleaved, else as independent
//! samples; run by run where each holds one cell, and cell by cell where one holds several.

use std::collections::{BTreeMap, HashMap};

use super::cells::{self, Cell, Center, Datum};
use super::guard;
use super::judge::Question;
use crate::manifest::criterion::Cells;
use crate::metrics::{self, MetricInfo, Scale};
use crate::stats::{self, Sample};
use crate::store::blocks::{self, Began, OutOfTurn};

/// Two samples of one metric.
pub(super) struct Sides<'a> {
    pub one: Sample,
    pub other: Sample,
    /// The cells that they are of.
    pub ones: Vec<&'a Cell<'a>>,
    pub others: Vec<&'a Cell<'a>>,
    pub metric: MetricInfo<'a>,
    /// The values belong together one by one.
    pub paired: bool,
    /// Each value is a cell's, not a run's.
    pub of_cells: bool,
    /// Why they are paired, or why not.
    pub why: String,
    /// Why their difference may be nothing but time passing.
    pub drift: Option<String>,
    pub notes: Vec<String>,
}

impl Sides<'_> {
    pub fn n(&self) -> String {
        match (self.paired, self.of_cells) {
            (true, false) => format!("{} pairs", self.one.n()),
            (true, true) => format!("{} pairs of cells", self.one.n()),
            (false, false) => format!("{} and {} runs", self.one.n(), self.other.n()),
            (false, true) => format!("{} and {} cells", self.one.n(), self.other.n()),
        }
    }

    /// What a number of values counts.
    pub fn unit(&self) -> &'static str {
        match (self.paired, self.of_cells) {
            (true, false) => "pairs",
            (true, true) => "pairs of cells",
            (false, false) => "runs per side",
            (false, true) => "cells per side",
        }
    }

    /// Ratios are what is natural to compare, and are defined.
    pub fn is_ratio_scale(&self) -> bool {
        metrics::scale(&self.metric) == Scale::Ratio
            && self.one.min() > 0.0
            && self.other.min() > 0.0
    }
}

/// The sides of a criterion. Where the means of cells are compared they are geometric for a metric whose
/// ratios are compared (`geometric`).
pub(super) fn sides<'a>(
    question: &Question<'a>,
    one: &Cells,
    other: &Cells,
    metric: &str,
    geometric: bool,
) -> Result<Sides<'a>, String> {
    let Question { cells, interleaved, declared, .. } = *question;
    let (ones, others) = (cells::select(cells, one)?, cells::select(cells, other)?);
    let both: Vec<&Cell> = ones.iter().chain(&others).copied().collect();
    cells::same_circumstances(&both)?;
    let left = cells::values(&ones, metric, declared)?;
    let right = cells::values(&others, metric, declared)?;
    let all: Vec<Datum> = left.iter().chain(&right).copied().collect();
    let mut notes = cells::notes(&both, metric, &all);
    notes.extend(cells::recorded_differences(&ones, &others));
    let of_cells = ones.len() > 1 || others.len() > 1;
    let partners = partners(&ones, &others, one, other);
    let matched = if of_cells {
        let positive = all.iter().all(|datum| datum.value > 0.0);
        let center = if geometric && positive { Center::Geometric } else { Center::Arithmetic };
        let (left, right) = (cells::centers(&left, center)?, cells::centers(&right, center)?);
        let pairs = partners.and_then(|partners| cell_pairs(&partners, &left, &right));
        Matched { pairs, left, right, why: "a pair is one cell of each side, alike in all else" }
    } else {
        let pairs = if interleaved {
            partners.and_then(|partners| pairs(&partners, &left, &right))
        } else {
            Err("repeats are not interleaved".to_owned())
        };
        let why = "repeats are interleaved: a pair is one repeat of both";
        Matched { pairs, left, right, why }
    };
    // what this version computes was looked up before
    let metric = metrics::find(declared, metric).ok_or("unknown metric")?;
    let sides = |one, other, paired, why, notes| {
        let drift = if in_turn(&ones, &others, paired) {
            None
        } else {
            guard::drift(question, &ones, &others)
        };
        let (ones, others) = (ones.clone(), others.clone());
        Sides { one, other, ones, others, metric, paired, of_cells, why, drift, notes }
    };
    let apart = match matched.pairs {
        Err(why) => why,
        Ok((of, to)) => {
            let alone = matched.left.len() + matched.right.len() - of.len() - to.len();
            let (of, to) = (cells::sample(&of)?, cells::sample(&to)?);
            if stats::pairs_tell(&of, &to) {
                if alone > 0 {
                    let what = if of_cells { "cell(s)" } else { "run(s)" };
                    notes.push(format!("{alone} {what} have no partner and are left out"));
                }
                return Ok(sides(of, to, true, matched.why.to_owned(), notes));
            }
            "the differences of the pairs do not vary".to_owned()
        }
    };
    let (of, to) = (cells::sample(&matched.left)?, cells::sample(&matched.right)?);
    Ok(sides(of, to, false, apart, notes))
}

/// Values of both sides, and the same as pairs or why they are none.
struct Matched<'a> {
    pairs: Result<Pairs<'a>, String>,
    left: Vec<Datum<'a>>,
    right: Vec<Datum<'a>>,
    why: &'static str,
}

type Pairs<'a> = (Vec<Datum<'a>>, Vec<Datum<'a>>);

/// The cells of both sides that have the same levels on the axes that neither side names, by their ids.
pub(super) fn partners<'a>(
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

/// The values of partners, in the order of the first side.
fn cell_pairs<'a>(
    partners: &[(&str, &str)],
    left: &[Datum<'a>],
    right: &[Datum<'a>],
) -> Result<Pairs<'a>, String> {
    let of = |values: &[Datum<'a>], id: &str| values.iter().find(|own| own.cell.id == id).copied();
    let pairs: Vec<_> =
        partners.iter().filter_map(|(a, b)| Some((of(left, a)?, of(right, b)?))).collect();
    if pairs.len() < 2 {
        return Err("fewer than two cells are known on both sides".to_owned());
    }
    Ok(pairs.into_iter().unzip())
}

/// The values of each repeat that both partners have, if they were measured block by block.
fn pairs<'a>(
    partners: &[(&str, &str)],
    left: &[Datum<'a>],
    right: &[Datum<'a>],
) -> Result<Pairs<'a>, String> {
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
        let began = |value: Datum<'a>| Began::one(value.run.began());
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

/// Whether every cell of one side was measured in turn with every cell of the other, repeat by repeat: then
/// what drifts, drifts in both. Where no pairs are taken, runs that have no counterpart count as well.
fn in_turn(ones: &[&Cell], others: &[&Cell], paired: bool) -> bool {
    let by_repeat = |cell: &Cell| -> BTreeMap<u32, String> {
        cell.runs.iter().map(|run| (run.repeat, run.began().to_owned())).collect()
    };
    ones.iter().all(|one| {
        let one = by_repeat(one);
        let one: BTreeMap<u32, &str> = one.iter().map(|(k, v)| (*k, v.as_str())).collect();
        others.iter().all(|other| {
            let other = by_repeat(other);
            let other: BTreeMap<u32, &str> = other.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let pairs = blocks::pairs(&one, &other, Began::one);
            let alike = paired || one.keys().eq(other.keys());
            alike && pairs.is_ok_and(|pairs| pairs.len() >= 2)
        })
    })
}
