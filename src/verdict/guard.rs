//! What forbids a verdict, whatever the figures say: attempts that failed, runs that are still to come, and
//! sides that were measured one after the other.

use super::cells::Cell;
use super::judge::Question;
use super::{Finding, Verdict};
use crate::store::blocks;

/// More failed attempts than this share leave what answered to be a selection of its own.
const MOST_FAILED: f64 = 0.1;

/// The finding without its verdict where there must be none, and what a reader should know of the attempts.
/// `sides` are the cells of each selection of the criterion.
pub(super) fn guarded(question: &Question, finding: Finding, sides: &[&[&Cell]]) -> Finding {
    let mut finding = finding;
    finding.notes.extend(sides.iter().filter_map(|side| failures(side)));
    if !question.terms.despite_failures
        && let Some(reason) = sides.iter().find_map(|side| too_many_failed(side))
    {
        return finding.without_verdict(Verdict::NoData, reason);
    }
    if finding.verdict != Verdict::NoData
        && let Some(reason) = interim(sides)
    {
        return finding.without_verdict(Verdict::Inconclusive, reason);
    }
    finding
}

/// Failed attempts and all attempts.
fn attempts(side: &[&Cell]) -> (usize, usize) {
    let failed: usize = side.iter().map(|cell| cell.failed.len()).sum();
    let made: usize = side.iter().map(|cell| cell.runs.len() + cell.stale).sum();
    (failed, failed + made)
}

fn names(side: &[&Cell]) -> String {
    match side {
        [one] => format!("of {} ({})", one.name, one.id),
        several => format!("of {} cells", several.len()),
    }
}

fn failures(side: &[&Cell]) -> Option<String> {
    let (failed, all) = attempts(side);
    (failed > 0).then(|| format!("{failed} of {all} attempts {} failed", names(side)))
}

/// Of the side as a whole, and of each of its cells: good cells do not make up for one that hardly answers. One
/// failure in one of several cells is no pattern yet.
fn too_many_failed(side: &[&Cell]) -> Option<String> {
    let alone = side.len() == 1;
    let cells = side.iter().filter(|cell| alone || cell.failed.len() > 1).map(std::slice::from_ref);
    std::iter::once(side).chain(cells).find_map(failed_too_often)
}

fn failed_too_often(side: &[&Cell]) -> Option<String> {
    let (failed, all) = attempts(side);
    let share = failed as f64 / all as f64;
    (share > MOST_FAILED).then(|| {
        format!(
            "{failed} of {all} attempts {} failed, so the runs that are left are those that happened to \
             succeed; `despite_failures = true` judges all the same",
            names(side)
        )
    })
}

/// Fewer runs than were planned, and the others neither made nor failed: who judges now may stop where it
/// suits.
fn interim(sides: &[&[&Cell]]) -> Option<String> {
    let cells = || sides.iter().copied().flatten();
    let open: usize = cells().map(|cell| cell.open.len()).sum();
    (open > 0).then(|| {
        let planned: u32 = cells().map(|cell| cell.planned).sum();
        format!(
            "interim: {open} of {planned} planned runs are still to be made; it is judged when they are, \
             or at looks that are declared before the data (`looks`)"
        )
    })
}

/// Why the difference of two sides that are no pairs may be nothing but time passing.
pub(super) fn drift(question: &Question, ones: &[&Cell], others: &[&Cell]) -> Option<String> {
    if question.terms.despite_drift {
        return None;
    }
    let (ones, others) = (starts(ones), starts(others));
    let earlier = blocks::precedence(&ones, &others)?;
    (!blocks::is_mixed(earlier, ones.len(), others.len())).then(|| {
        format!(
            "the sides were measured one after the other (in {:.0} % of all pairs of runs the one began \
             before the other): a drift of the machine is in their difference; measure them in common \
             blocks, or judge all the same with `despite_drift = true`",
            100.0 * earlier.max(1.0 - earlier)
        )
    })
}

fn starts<'a>(side: &[&Cell<'a>]) -> Vec<&'a str> {
    side.iter().flat_map(|cell| &cell.runs).map(|run| run.began()).collect()
}
