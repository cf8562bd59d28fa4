//! What stands beside a claim about load balance.
//!
//! Efficiency and speed-up of agents only see how evenly they are loaded: both agents may be slower than
//! alone. A verdict on them says what became of the work done over the same runs, asked for or not.

use super::Question;
use super::cells::short;
use super::judge::{estimate, unit_of};
use super::sides::sides;
use crate::manifest::criterion::Criterion;

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
    let sides = sides(question, one, other, WORK).ok()?;
    let found = estimate(&sides).ok()?;
    let interval = found.interval(1.0 - question.alpha).ok()?;
    let change = match (interval.low > 0.0, interval.high < 0.0) {
        (true, _) => "rises",
        (_, true) => "falls",
        _ => "does not clearly change",
    };
    Some(format!(
        "{metric} is load balance; over the same runs the work done, {WORK}, {change}: difference of \
         means {} {}, {} % interval {} to {}",
        short(found.value, 4),
        unit_of(WORK, question.declared),
        short(100.0 * (1.0 - question.alpha), 4),
        short(interval.low, 4),
        short(interval.high, 4),
    ))
}
