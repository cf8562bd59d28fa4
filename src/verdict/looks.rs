//! Looks at data before all runs are there, declared before the first.
//!
//! Whoever looks at 3, 5, 10 and 20 repeats and stops when it suits is wrong in 15 % of all studies in which
//! nothing is there. Declared looks share alpha among them, so that any of them is wrong in no more than that.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::cells::Cell;
use super::judge::{Question, once};
use super::{Finding, Verdict};
use crate::stats::{self, Undefined};
use crate::store::record::RunRecord;

/// Judges at each look whose runs are there, in their order, and stays with the first decision.
pub(super) fn judge(question: &Question) -> Finding {
    let Some((last, _)) = question.looks.split_last().filter(|(_, earlier)| !earlier.is_empty())
    else {
        return once(question);
    };
    let levels = match levels(question.looks, question.alpha) {
        Ok(levels) => levels,
        Err(error) => return Finding::open(Verdict::Inconclusive, error.to_string()),
    };
    let of = question.looks.len();
    let mut latest = None;
    for ((look, alpha), number) in question.looks.iter().zip(levels).zip(1..) {
        let cells: Vec<Cell> = question.cells.iter().map(|cell| up_to(cell, *look)).collect();
        let concerned = |cell: &&Cell| question.criterion.concerns(&cell.levels);
        if cells.iter().filter(concerned).any(|cell| !cell.open.is_empty()) {
            break;
        }
        let mut finding = once(&Question { alpha, cells: &cells, ..*question });
        finding.notes.push(format!(
            "look {number} of {of} that were declared, at {look} of {last} repeats and alpha {alpha:.2e}"
        ));
        // what is not inferred may change with every further run
        let is_final = finding.verdict.is_decided() && finding.p.is_some();
        if is_final || number == of {
            // what it is held against in the family is what it may spend in all
            finding.p = finding.p.map(|p| spent(p, alpha, question.alpha));
            return finding;
        }
        latest = Some((number, finding));
    }
    match latest {
        None => once(question),
        Some((number, finding)) => {
            let next = question.looks.get(number).copied().unwrap_or(*last);
            let reason =
                format!("undecided at look {number} of {of}; the next is at {next} repeats");
            match finding.verdict {
                Verdict::NoData => finding,
                _ => finding.without_verdict(Verdict::Inconclusive, reason),
            }
        }
    }
}

/// What each look may spend. Found once for the same looks: a criterion of many cells asks for it in each.
pub(super) fn levels(looks: &[u32], alpha: f64) -> Result<Vec<f64>, Undefined> {
    type Known = HashMap<(Vec<u32>, u64), Vec<f64>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    // levels are only ever added whole
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (looks.to_vec(), alpha.to_bits());
    if let Some(levels) = known().get(&key) {
        return Ok(levels.clone());
    }
    let last = looks.last().copied().unwrap_or(1);
    let information: Vec<f64> =
        looks.iter().map(|look| f64::from(*look) / f64::from(last)).collect();
    let levels = stats::obrien_fleming(&information, alpha)?;
    known().insert(key, levels.clone());
    Ok(levels)
}

/// A p at a look, on the scale of the whole: below alpha exactly where the look decides.
fn spent(p: f64, at_look: f64, alpha: f64) -> f64 {
    (p / at_look * alpha).min(1.0)
}

/// The cell as it was after so many repeats.
fn up_to<'a>(cell: &Cell<'a>, look: u32) -> Cell<'a> {
    let made = |run: &&&RunRecord| run.repeat <= look;
    Cell {
        planned: cell.planned.min(look),
        open: cell.open.iter().copied().filter(|repeat| *repeat <= look).collect(),
        runs: cell.runs.iter().filter(made).copied().collect(),
        failed: cell.failed.iter().copied().filter(|repeat| *repeat <= look).collect(),
        ..cell.clone()
    }
}
