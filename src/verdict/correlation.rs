//! Whether two metrics go together.
//!
//! Over the runs within each cell, the cells' means taken out: two metrics that differ between cells go together
//! over all runs whatever they do within. Or, where the question is about the cells, over their means.

use std::collections::HashMap;

use super::cells::{self, Cell, Center, Datum};
use super::guard::guarded;
use super::judge::{Question, lean, side, undefined};
use super::{Finding, Verdict};
use crate::manifest::criterion::{Across, Bound, Cells, Test};
use crate::stats::{self, Correlation, Interval, Sample, Undefined};

/// With fewer values than these Fisher's transformation is no longer close to normal for skewed data.
const FEWEST: usize = 6;

pub(super) fn judge(
    question: &Question,
    (x, y): (&str, &str),
    wanted: &Cells,
    across: Across,
    bound: Bound,
) -> Result<Finding, String> {
    let selected = cells::select(question.cells, wanted)?;
    cells::same_circumstances(&selected)?;
    let (xs, ys) = both_known(question, &selected, x, y)?;
    let mut notes = cells::notes(&selected, x, &xs);
    for note in cells::notes(&selected, y, &ys) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    let points = match across {
        Across::Cells => of_cells(&xs, &ys)?,
        Across::Runs => within_cells(&xs, &ys)?,
    };
    notes.extend(points.note.clone());
    let level = 1.0 - question.alpha;
    let finding = match points.judge(question, bound, level) {
        Ok(judged) => Finding {
            verdict: side(judged.interval, bound),
            leaning: lean(judged.value, bound),
            test: judged.test,
            effect: Some(judged.value),
            interval: Some(judged.interval),
            level,
            p: Some(judged.p),
            needed: stats::correlation_runs(judged.value, bound.value(), question.alpha).ok(),
            needed_unit: points.unit,
            ..Finding::new(Verdict::NoData)
        },
        Err(error) => {
            let flat = [(x, &points.x), (y, &points.y)];
            let flat = flat.into_iter().find(|(_, sample)| !sample.varies());
            match (&error, flat) {
                (Undefined::NoSpread, Some((name, _))) => Finding::open(
                    Verdict::Inconclusive,
                    format!(
                        "`{name}` does not vary over {}: without variation there is no \
                             correlation",
                        points.n()
                    ),
                ),
                _ => undefined(&error, points.unit, "a correlation"),
            }
        }
    };
    let finding = Finding { quantity: "correlation".into(), n: points.n(), notes, ..finding };
    let selected: &[&Cell] = &selected;
    Ok(guarded(question, finding, &[selected]))
}

/// The values of the runs that know both metrics, in one order.
fn both_known<'a>(
    question: &Question<'a>,
    selected: &[&'a Cell<'a>],
    x: &str,
    y: &str,
) -> Result<(Vec<Datum<'a>>, Vec<Datum<'a>>), String> {
    let xs = cells::values(selected, x, question.declared)?;
    let ys = cells::values(selected, y, question.declared)?;
    let run = |value: &Datum<'_>| std::ptr::from_ref(value.run);
    let others: HashMap<_, _> = ys.iter().map(|value| (run(value), *value)).collect();
    let (xs, ys): (Vec<_>, Vec<_>) =
        xs.iter().filter_map(|one| Some((*one, *others.get(&run(one))?))).unzip();
    if xs.is_empty() {
        return Err(format!("no run knows both `{x}` and `{y}`"));
    }
    Ok((xs, ys))
}

/// Pairs of values to correlate.
struct Points {
    x: Sample,
    y: Sample,
    /// Groups whose means were taken out.
    groups: usize,
    unit: &'static str,
    note: Option<String>,
}

fn of_cells(xs: &[Datum], ys: &[Datum]) -> Result<Points, String> {
    let centers = |values| cells::sample(&cells::centers(values, Center::Arithmetic)?);
    let note = "over the means of the cells, each one value".to_owned();
    Ok(Points { x: centers(xs)?, y: centers(ys)?, groups: 1, unit: "cells", note: Some(note) })
}

fn within_cells(xs: &[Datum], ys: &[Datum]) -> Result<Points, String> {
    let same = |a: &Datum, b: &Datum| a.cell.id == b.cell.id;
    let groups: Vec<&[Datum]> = xs.chunk_by(same).filter(|own| own.len() > 1).collect();
    if groups.len() <= 1 {
        let (x, y) = (cells::sample(xs)?, cells::sample(ys)?);
        return Ok(Points { x, y, groups: 1, unit: "runs", note: None });
    }
    let centred = |values: &[Datum]| -> Result<Sample, String> {
        let mut all = Vec::with_capacity(values.len());
        // a cell with one run has nothing within it
        for own in values.chunk_by(same).filter(|own| own.len() > 1) {
            let mean = cells::sample(own)?.mean();
            all.extend(own.iter().map(|datum| Datum { value: datum.value - mean, ..*datum }));
        }
        cells::sample(&all)
    };
    let note = format!("within {} cells, each around its own mean", groups.len());
    Ok(Points {
        x: centred(xs)?,
        y: centred(ys)?,
        groups: groups.len(),
        unit: "runs",
        note: Some(note),
    })
}

struct Judged {
    value: f64,
    interval: Interval,
    p: f64,
    test: String,
}

impl Points {
    fn n(&self) -> String {
        format!("{} {}", self.x.n(), self.unit)
    }

    /// By Pearson's and Spearman's correlation together: on skewed data and on data with heavy tails the first
    /// alone is wrong in up to 20 % of all samples.
    fn judge(&self, question: &Question, bound: Bound, level: f64) -> Result<Judged, Undefined> {
        let spearman = stats::spearman(&self.x, &self.y)?.within(self.groups);
        if spearman.n < FEWEST {
            return Err(Undefined::TooFew { needed: FEWEST, found: spearman.n });
        }
        let ranks = of_order(spearman, bound, level)?;
        if question.terms.test == Some(Test::Rank) {
            return ranks.ok_or(Undefined::Exact);
        }
        let pearson = stats::pearson(&self.x, &self.y)?.within(self.groups);
        let (interval, p) = (pearson.interval(level)?, pearson.p(bound.value())?);
        let test = "Pearson's r and Spearman's, Fisher's intervals: both must decide".to_owned();
        let value = pearson.value;
        Ok(match ranks {
            None => Judged { value, interval, p, test },
            Some(ranks) => Judged {
                value,
                interval: Interval {
                    low: interval.low.min(ranks.interval.low),
                    high: interval.high.max(ranks.interval.high),
                },
                p: p.max(ranks.p),
                test,
            },
        })
    }
}

/// `None` where the order is the same on both sides, or turned round, and the bound is on the nearer side: the
/// ranks have nothing against it.
fn of_order(found: Correlation, bound: Bound, level: f64) -> Result<Option<Judged>, Undefined> {
    let test = "Spearman's correlation, interval of Bonett & Wright".to_owned();
    match (found.interval(level), found.p(bound.value())) {
        (Err(Undefined::Exact), _) | (_, Err(Undefined::Exact)) => Ok(None),
        (interval, p) => Ok(Some(Judged { value: found.value, interval: interval?, p: p?, test })),
    }
}
