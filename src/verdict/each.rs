//! A criterion of several cells that must hold in each of them.

use std::collections::BTreeMap;

use super::cells::{self, Cell};
use super::judge::{Question, once};
use super::sides::partners;
use super::{Finding, Verdict, compound};
use crate::manifest::criterion::{Criterion, Over, Terms};

/// The cells of which each is judged by itself: one cell, or one of each side. One group or none: there is
/// nothing to take apart.
pub(super) fn groups<'a>(question: &Question<'a>) -> Result<Vec<Vec<Cell<'a>>>, String> {
    let selections = question.criterion.selections();
    let selected = |place: usize| cells::select(question.cells, selections[place]);
    match selections.len() {
        1 => Ok(selected(0)?.into_iter().map(|cell| vec![cell.clone()]).collect()),
        2 => {
            let (ones, others) = (selected(0)?, selected(1)?);
            let pairs = partners(&ones, &others, selections[0], selections[1])?;
            let known: BTreeMap<&str, &Cell> =
                ones.iter().chain(&others).map(|cell| (cell.id, *cell)).collect();
            let pair = |(one, other): (&str, &str)| {
                [one, other]
                    .iter()
                    .filter_map(|id| known.get(id))
                    .map(|cell| (*cell).clone())
                    .collect()
            };
            Ok(pairs.into_iter().map(pair).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Supported when every group is, at alpha; refuted when one is, at alpha ÷ groups.
pub(super) fn judge(question: &Question, groups: &[Vec<Cell<'_>>]) -> Finding {
    let terms = Terms { over: Over::Cells, ..question.terms };
    let at = |alpha: f64| -> Vec<Finding> {
        let one = |cells: &Vec<Cell>| once(&Question { terms, alpha, cells, ..*question });
        groups.iter().map(one).collect()
    };
    let names = groups.iter().map(|cells| name(cells, question.criterion)).collect();
    let (plain, strict) = (at(question.alpha), at(question.alpha / groups.len() as f64));
    let test = "every cell at alpha";
    compound::combined(names, plain, strict, (Verdict::Supported, Verdict::Refuted), test)
}

fn name(cells: &[Cell], criterion: &Criterion) -> String {
    let names: Vec<String> =
        cells.iter().map(|cell| format!("{} ({})", cell.name, cell.id)).collect();
    let between = if matches!(criterion, Criterion::Ratio { .. }) { " ÷ " } else { " against " };
    names.join(between)
}
