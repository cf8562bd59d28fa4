//! Which level of one axis wins in each box of two others.

use serde::Serialize;

use super::contrast::{Contrast, Judgement, judge};
use super::family::FamilyOf;
use super::measured::{Comparer, Measured, measured_rows};
use super::{ComparisonError, ahead, axis, experiment, text_of};
use crate::metrics::{Better, MetricInfo};
use crate::report::data::{Data, NamedLevel};
use crate::report::select::Selection;

/// One box per level of `rows` and of `columns`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Winners {
    /// The axis whose levels compete.
    pub contestant: String,
    pub columns: Vec<String>,
    pub rows: Vec<WinnerRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WinnerRow {
    pub level: String,
    /// One per column.
    pub boxes: Vec<WinnerBox>,
}

/// Who wins, and by how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WinnerBox {
    /// The level with the best mean; absent where fewer than two can be compared.
    pub winner: Option<String>,
    pub runner_up: Option<String>,
    /// The winner is told apart from every other contestant.
    pub clear: bool,
    pub mean: Option<f64>,
    /// The winner's lead over the second, in percent of the second's mean.
    pub lead_percent: Option<f64>,
    pub contestants: usize,
    /// Configurations on the remaining axes that every contestant has; a contestant's value in a repeat
    /// is the mean over them.
    pub configurations: usize,
    /// Repeats behind the winner's mean.
    pub n: usize,
    /// The winner against the second.
    #[serde(flatten)]
    pub lead: Contrast,
}

/// The axes of a matrix of winners; without `columns` there is one column.
#[derive(Debug, Clone, Copy)]
pub struct Axes<'s> {
    pub contestant: &'s str,
    pub rows: &'s str,
    pub columns: Option<&'s str>,
}

/// The matrix is one family, by the false discovery rate: of every pair of contestants in every
/// box, since who comes first was chosen by the same data.
pub fn winners<'a>(
    data: &'a Data,
    metric: &MetricInfo<'_>,
    better: Better,
    axes: Axes<'_>,
    selection: &Selection<'a>,
) -> Result<Winners, ComparisonError> {
    let experiment = experiment(selection, "a matrix of winners")?;
    let named: Vec<&str> = [axes.contestant, axes.rows].into_iter().chain(axes.columns).collect();
    for (place, name) in named.iter().enumerate() {
        axis(experiment, name)?;
        if named[..place].contains(name) {
            return Err(ComparisonError::AxisTwice { axis: (*name).to_owned() });
        }
    }
    let mut unlike = named.clone();
    unlike.extend(experiment.labels.iter().map(String::as_str));
    let cells = measured_rows(data, experiment, selection, metric);
    let columns = axes.columns.map_or_else(Vec::new, |name| levels(&cells, name));
    let comparer = Comparer::new(data);
    let mut boxes: Vec<Field<'_>> = Vec::new();
    let rows = levels(&cells, axes.rows);
    for row in &rows {
        for column in 0..columns.len().max(1) {
            let inside = |cell: &&Measured<'_>| {
                text_of(cell.levels, axes.rows) == Some(row)
                    && axes.columns.is_none_or(|name| {
                        text_of(cell.levels, name) == columns.get(column).map(String::as_str)
                    })
            };
            let cells: Vec<&Measured<'_>> = cells.iter().filter(inside).collect();
            boxes.push(Field::new(&cells, axes.contestant, &unlike, better, &comparer));
        }
    }
    let all = boxes.iter_mut().flat_map(|field| &mut field.contrasts);
    let mut family: Vec<_> = all.map(|(_, contrast)| (Some(better), contrast)).collect();
    judge(FamilyOf::Table, &mut family);
    let mut boxes = boxes.into_iter().map(Field::verdict);
    let width = columns.len().max(1);
    let rows = rows
        .into_iter()
        .map(|level| WinnerRow { level, boxes: boxes.by_ref().take(width).collect() })
        .collect();
    Ok(Winners { contestant: axes.contestant.to_owned(), columns, rows })
}

/// The levels of an axis that the cells have, in their order.
fn levels(cells: &[Measured<'_>], axis: &str) -> Vec<String> {
    let mut levels: Vec<String> = Vec::new();
    for text in cells.iter().filter_map(|cell| text_of(cell.levels, axis)) {
        if !levels.iter().any(|known| known == text) {
            levels.push(text.to_owned());
        }
    }
    levels
}

/// The contestants of one box, best first.
struct Field<'a> {
    contestants: Vec<(String, Measured<'a>, f64)>,
    configurations: usize,
    /// Of every pair: the better one's place, and it against the other.
    contrasts: Vec<(usize, Contrast)>,
    why: Option<&'static str>,
}

impl<'a> Field<'a> {
    fn new(
        cells: &[&Measured<'a>],
        contestant: &str,
        named: &[&str],
        better: Better,
        comparer: &Comparer<'_>,
    ) -> Self {
        let rest = |cell: &Measured<'_>| -> Vec<NamedLevel> {
            let others = cell.levels.iter().filter(|level| !named.contains(&level.name.as_str()));
            others.cloned().collect()
        };
        let mut sides: Vec<(String, Vec<&Measured<'a>>)> = Vec::new();
        for cell in cells {
            let Some(text) = text_of(cell.levels, contestant) else { continue };
            match sides.iter_mut().find(|(level, _)| level == text) {
                Some((_, own)) => own.push(cell),
                None => sides.push((text.to_owned(), vec![cell])),
            }
        }
        // only what every contestant was measured in can be compared
        let shared: Vec<Vec<NamedLevel>> = sides.first().map_or_else(Vec::new, |(_, first)| {
            let everywhere = |rest_of: &Vec<NamedLevel>| {
                sides.iter().all(|(_, own)| own.iter().any(|cell| rest(cell) == *rest_of))
            };
            first.iter().map(|cell| rest(cell)).filter(everywhere).collect()
        });
        let mut contestants: Vec<(String, Measured<'a>, f64)> = sides
            .iter()
            .filter_map(|(level, own)| {
                let own: Vec<Measured<'a>> = own
                    .iter()
                    .filter(|cell| shared.contains(&rest(cell)))
                    .map(|cell| (*cell).clone())
                    .collect();
                let whole = Measured::mean_of(&own)?;
                let mean = whole.sample()?.mean();
                Some((level.clone(), whole, mean))
            })
            .collect();
        contestants.sort_by(|(.., a), (.., b)| {
            if ahead(better, *a, *b) {
                std::cmp::Ordering::Less
            } else if ahead(better, *b, *a) {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        });
        let why = match (sides.len(), contestants.len()) {
            (0, _) => Some("the matrix has no such cell"),
            (1, _) => Some("there is one contestant only"),
            _ if shared.is_empty() => Some("the contestants share no configuration"),
            (_, 0) => Some("no data"),
            (_, 1) => Some("only one contestant has data"),
            _ => None,
        };
        let mut contrasts = Vec::new();
        for first in 0..contestants.len() {
            for other in first + 1..contestants.len() {
                let contrast = comparer.contrast(&contestants[first].1, &contestants[other].1);
                contrasts.push((first, contrast));
            }
        }
        Self { contestants, configurations: shared.len(), contrasts, why }
    }

    fn verdict(self) -> WinnerBox {
        let count = self.contestants.len();
        let of_first = || self.contrasts.iter().filter(|(place, _)| *place == 0);
        let clear =
            count > 1 && of_first().all(|(_, contrast)| contrast.judgement == Judgement::Better);
        let lead = of_first().next().map(|(_, contrast)| contrast.clone());
        let lead = lead.unwrap_or_else(|| Contrast::undefined(self.why.unwrap_or("no data")));
        let named = |place: usize| {
            self.contestants.get(place).filter(|_| count > 1).map(|(level, ..)| level.clone())
        };
        let second = self.contestants.get(1).map(|(.., mean)| *mean).filter(|mean| *mean > 0.0);
        WinnerBox {
            winner: named(0),
            runner_up: named(1),
            clear,
            mean: self.contestants.first().map(|(.., mean)| *mean),
            lead_percent: second.and_then(|second| Some(100.0 * lead.difference?.abs() / second)),
            contestants: count,
            configurations: self.configurations,
            n: self.contestants.first().map_or(0, |(_, whole, _)| whole.n()),
            lead,
        }
    }
}
