//! Whether two metrics go together.
//!
//! Over the runs within each cell, with the means of the cells taken out: two metrics that differ between cells go
//! together over all runs whatever they do within. Of runs in blocks the means of the blocks are taken out, too, and
//! so is a line over the order in which the runs began. Or, where the question is about the cells, over their means.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use jiff::Timestamp;

use super::cells::{self, Cell, Center, Datum};
use super::guard::guarded;
use super::judge::{Question, lean, side, undefined};
use super::{Finding, Verdict};
use crate::manifest::criterion::{Across, Bound, Cells, Test};
use crate::stats::{self, Interval, Sample, Undefined};
use crate::store::blocks;

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
        Across::Cells => of_cells(question, &xs, &ys)?,
        Across::Runs => within_cells(question, &xs, &ys)?,
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
    /// Parameters that were taken out: of one sample its mean.
    taken: usize,
    unit: &'static str,
    note: Option<String>,
}

fn of_cells(question: &Question, xs: &[Datum], ys: &[Datum]) -> Result<Points, String> {
    let centers = |values: &[Datum]| cells::sample(&cells::centers(values, Center::Arithmetic)?);
    let (x, y) = (centers(xs)?, centers(ys)?);
    let note = "over the means of the cells, each one value".to_owned();
    if question.terms.despite_drift || in_blocks(question, xs) {
        return Ok(Points { x, y, taken: 1, unit: "cells", note: Some(note) });
    }
    let order = order(xs);
    let places: Vec<Datum> =
        xs.iter().zip(order).map(|(own, value)| Datum { value, ..*own }).collect();
    let places = centers(&places)?;
    let design = Design::new(vec![0; x.n()], None, Some(places.values()));
    Ok(Points {
        x: design.residuals(x.values())?,
        y: design.residuals(y.values())?,
        taken: design.parameters,
        unit: "cells",
        note: Some(format!("{note}, around a line over the order in which they were measured")),
    })
}

/// What a cell has of its own is no part of it, nor what all cells of a block share, nor what drifts: each of
/// them alone would make metrics go together that have nothing to do with each other.
fn within_cells(question: &Question, xs: &[Datum], ys: &[Datum]) -> Result<Points, String> {
    let blocks = in_blocks(question, xs);
    let (xs, ys) = in_company(xs, ys, blocks);
    let cells: Vec<usize> = numbered(xs.iter().map(|own| own.cell.id));
    let repeats: Vec<usize> = numbered(xs.iter().map(|own| own.run.repeat));
    let line = (!question.terms.despite_drift).then(|| order(&xs));
    let design = Design::new(cells, blocks.then_some(repeats), line.as_deref());
    let mut what = match design.cells {
        1 => Vec::new(),
        n => vec![format!("the means of {n} cells")],
    };
    if let Some(blocks) = design.blocks {
        what.push(format!("the means of {blocks} blocks"));
    }
    if design.line.is_some() {
        what.push("a line over the order in which the runs began".to_owned());
    }
    let of = |values: &[Datum]| {
        design.residuals(&values.iter().map(|own| own.value).collect::<Vec<f64>>())
    };
    Ok(Points {
        x: of(&xs)?,
        y: of(&ys)?,
        taken: design.parameters,
        unit: "runs",
        note: (!what.is_empty()).then(|| format!("of what is left without {}", what.join(", "))),
    })
}

/// Without what stands alone in its cell, or in its block where blocks count: it has nothing within it.
fn in_company<'a>(
    xs: &[Datum<'a>],
    ys: &[Datum<'a>],
    blocks: bool,
) -> (Vec<Datum<'a>>, Vec<Datum<'a>>) {
    let mut kept: Vec<(Datum, Datum)> = xs.iter().copied().zip(ys.iter().copied()).collect();
    loop {
        let before = kept.len();
        let (mut in_cell, mut in_block) = (HashMap::new(), HashMap::new());
        for (own, _) in &kept {
            *in_cell.entry(own.cell.id).or_insert(0) += 1;
            *in_block.entry(own.run.repeat).or_insert(0) += 1;
        }
        kept.retain(|(own, _)| {
            in_cell[own.cell.id] > 1 && (!blocks || in_block[&own.run.repeat] > 1)
        });
        if kept.len() == before {
            return kept.into_iter().unzip();
        }
    }
}

/// Whether the runs of several cells were made block by block.
fn in_blocks(question: &Question, values: &[Datum]) -> bool {
    let same = |a: &Datum, b: &Datum| a.cell.id == b.cell.id;
    let cells: Vec<BTreeMap<u32, &str>> = values
        .chunk_by(same)
        .map(|own| own.iter().map(|own| (own.run.repeat, own.run.began())).collect())
        .collect();
    question.interleaved && cells.len() > 1 && blocks::out_of_turn(&cells).is_empty()
}

/// By value, the place of its run in the order in which they began.
fn order(values: &[Datum]) -> Vec<f64> {
    let began = |place: &usize| values[*place].run.began().parse::<Timestamp>().ok();
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by_key(began);
    let mut order = vec![0.0; values.len()];
    for (at, place) in places.into_iter().enumerate() {
        order[place] = at as f64;
    }
    order
}

/// The same number for the same thing, from 0 on.
fn numbered<T: Eq + Hash>(things: impl Iterator<Item = T>) -> Vec<usize> {
    let mut known: HashMap<T, usize> = HashMap::new();
    things
        .map(|thing| {
            let next = known.len();
            *known.entry(thing).or_insert(next)
        })
        .collect()
}

/// What is taken out of values by least squares: the means of their cells, those of their blocks, and a line.
struct Design {
    /// By value, its cell and its block.
    cell: Vec<usize>,
    block: Option<Vec<usize>>,
    cells: usize,
    blocks: Option<usize>,
    /// What cells and blocks leave of the line; `None`: nothing, or it was not asked for.
    line: Option<Vec<f64>>,
    /// Of it all.
    parameters: usize,
}

/// Rounds of cells and blocks in turn, after which what they leave in each other is nothing that counts; where
/// every block has every cell the first does it.
const ROUNDS: usize = 200;

impl Design {
    fn new(cell: Vec<usize>, block: Option<Vec<usize>>, line: Option<&[f64]>) -> Self {
        let count = |of: &[usize]| of.iter().max().map_or(0, |most| most + 1);
        let cells = count(&cell);
        let blocks = block.as_deref().map(count);
        let parameters = cells + blocks.map_or(0, |blocks| blocks.saturating_sub(1));
        let mut design = Self { cell, block, cells, blocks, line: None, parameters };
        if let Some(line) = line {
            let rest = design.without_means(line.to_vec());
            let squares = |values: &[f64]| values.iter().map(|own| own * own).sum::<f64>();
            if squares(&rest) > 1e-9 * squares(line) {
                design.line = Some(rest);
                design.parameters += 1;
            }
        }
        design
    }

    fn residuals(&self, values: &[f64]) -> Result<Sample, String> {
        let mut rest = self.without_means(values.to_vec());
        if let Some(line) = &self.line {
            let along: f64 = line.iter().zip(&rest).map(|(line, own)| line * own).sum();
            let slope = along / line.iter().map(|own| own * own).sum::<f64>();
            for (own, line) in rest.iter_mut().zip(line) {
                *own -= slope * line;
            }
        }
        // what rounding leaves of values that lie on what was taken out is no spread
        let size = values.iter().fold(0.0_f64, |most, own| most.max(own.abs()));
        for own in &mut rest {
            if own.abs() <= 1e-12 * size {
                *own = 0.0;
            }
        }
        Sample::new(rest).map_err(|error| error.to_string())
    }

    fn without_means(&self, mut values: Vec<f64>) -> Vec<f64> {
        for _ in 0..ROUNDS {
            center(&mut values, &self.cell, self.cells);
            let Some((block, blocks)) = self.block.as_deref().zip(self.blocks) else { break };
            let moved = center(&mut values, block, blocks);
            let size = values.iter().fold(0.0_f64, |most, own| most.max(own.abs()));
            if moved <= 1e-12 * size {
                break;
            }
            // complete blocks leave the means of the cells at 0
            if self.cell.len() == self.cells * blocks {
                break;
            }
        }
        values
    }
}

/// Takes the mean of each group out of its values; gives the largest.
fn center(values: &mut [f64], group: &[usize], groups: usize) -> f64 {
    let mut sums = vec![(0.0, 0.0); groups];
    for (value, group) in values.iter().zip(group) {
        sums[*group].0 += value;
        sums[*group].1 += 1.0;
    }
    let means: Vec<f64> = sums.into_iter().map(|(sum, n): (f64, f64)| sum / n).collect();
    for (value, group) in values.iter_mut().zip(group) {
        *value -= means[*group];
    }
    means.iter().fold(0.0, |most, mean| most.max(mean.abs()))
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
        let needed = FEWEST + self.taken - 1;
        Undefined::unless(&self.x, needed)?;
        // the order alone never says more than that no two neighbours have changed places
        let spearman = stats::spearman(&self.x, &self.y)?.within(self.taken).short_of_exact();
        let of_ranks = (spearman.interval(level)?, spearman.p(bound.value())?);
        if question.terms.test == Some(Test::Rank) {
            let test = "Spearman's correlation, interval of Bonett & Wright".to_owned();
            let (interval, p) = of_ranks;
            return Ok(Judged { value: spearman.value, interval, p, test });
        }
        let pearson = stats::pearson(&self.x, &self.y)?.within(self.taken);
        let (interval, p) = (pearson.interval(level)?, pearson.p(bound.value())?);
        Ok(Judged {
            value: pearson.value,
            interval: Interval {
                low: interval.low.min(of_ranks.0.low),
                high: interval.high.max(of_ranks.0.high),
            },
            p: p.max(of_ranks.1),
            test: "Pearson's r and Spearman's, Fisher's intervals: both must decide".to_owned(),
        })
    }
}
