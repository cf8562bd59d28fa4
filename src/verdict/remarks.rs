//! What stands beside a verdict, asked for or not: what became of the work done, and settings that did not bind.
//!
//! Efficiency and speed-up of agents only see how evenly they are loaded: both agents may be slower than
//! alone. A verdict on them says what became of the work done over the same runs, asked for or not.

use super::Question;
use super::cells::{Cell, short};
use super::judge::unit_of;
use super::sides::sides;
use super::words;
use crate::manifest::criterion::Criterion;
use crate::stats;

const LOAD_BALANCE: [&str; 2] = ["efficiency_percent", "speedup"];
const WORK: &str = "aggregate_tokens_per_s";

/// The difference in the work done between the sides of a criterion about load balance. `None` for other
/// criteria, and where it is not known.
pub(super) fn work(question: &Question) -> Option<String> {
    let (metric, one, other) = match question.criterion {
        Criterion::Difference { metric, at, than, .. } => (metric, at, than),
        Criterion::Equivalent { metric, at, to, .. } => (metric, at, to),
        Criterion::Ratio { metric, of, to, .. } => (metric, of, to),
        _ => return None,
    };
    if !LOAD_BALANCE.contains(&metric.as_str()) {
        return None;
    }
    let sides = sides(question, one, other, WORK, false).ok()?;
    let found = stats::compare(&sides.one, &sides.other, sides.paired).ok()?;
    let interval = found.interval(1.0 - question.alpha).ok()?;
    let change = match (interval.low > 0.0, interval.high < 0.0) {
        (true, _) => "is higher",
        (_, true) => "is lower",
        _ => "is not clearly another",
    };
    Some(format!(
        "{metric} is load balance; over the same runs the work done, {WORK}, {change}{} than{}: difference of \
         means {} {}, {} % interval {} to {}",
        words::place("at", one),
        words::place("at", other),
        short(found.value, 4),
        unit_of(WORK, question.declared),
        short(100.0 * (1.0 - question.alpha), 4),
        short(interval.low, 4),
        short(interval.high, 4),
    ))
}

/// A stream is throttled where it would run faster than this share of its throttle.
const BINDS: f64 = 0.95;
/// What either runtime reads at once unless it is told otherwise, bytes.
const DEFAULT_READ: f64 = 65_536.0;
/// The rate of a stream as it comes, whatever the client does with it.
const STREAM: &str = "decode_tokens_per_s";

/// Settings of the criterion's cells that changed nothing: a throttle above the stream's own rate, a read buffer
/// that is the default's size.
pub(super) fn settings(question: &Question) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for cell in question.cells.iter().filter(|cell| question.criterion.concerns(&cell.levels)) {
        notes.extend(idle_throttle(cell).into_iter().chain(default_buffer(cell)));
    }
    notes.sort();
    notes.dedup();
    notes
}

fn idle_throttle(cell: &Cell) -> Option<String> {
    let throttle = level(cell, "throttle")?;
    let rates = cell.runs.iter().filter_map(|run| run.metrics.get(STREAM).copied().flatten());
    let fastest = rates.max_by(f64::total_cmp)?;
    (fastest < BINDS * throttle).then(|| {
        format!(
            "the throttle of {} tok/s did not bind in {} ({}): its streams came at {} tok/s at most",
            short(throttle, 4),
            cell.name,
            cell.id,
            short(fastest, 3)
        )
    })
}

fn default_buffer(cell: &Cell) -> Option<String> {
    let bytes = level(cell, "read_buffer")?;
    ((bytes - DEFAULT_READ).abs() < 0.5)
        .then(|| "a read buffer of 64 KiB is what the runtimes read by default".to_owned())
}

fn level(cell: &Cell, name: &str) -> Option<f64> {
    cell.levels.iter().find(|own| own.name == name)?.number
}
