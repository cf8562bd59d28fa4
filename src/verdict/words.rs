//! Criteria in words.

use crate::manifest::criterion::{Across, Bound, Cells, Criterion, Over, Terms};
use crate::manifest::factor;

/// A criterion as a sentence fragment.
#[must_use]
pub fn criterion(criterion: &Criterion) -> String {
    match criterion {
        Criterion::Correlation { x, y, cells, across, bound } => {
            let (side, value) = match bound {
                Bound::Above(value) => ("at least", value),
                Bound::Below(value) => ("at most", value),
            };
            let cells = place("over", cells);
            let across = if *across == Across::Cells { " across cells" } else { "" };
            format!("correlation of {x} with {y}{cells}{across} is {side} {value}")
        }
        Criterion::Difference { metric, at, than, bound } => {
            let (side, by) = match bound {
                Bound::Above(by) => ("greater", *by),
                Bound::Below(by) => ("less", -*by),
            };
            let by = if by == 0.0 { String::new() } else { format!(" by more than {by}") };
            format!("{metric}{} is {side} than{}{by}", place("at", at), place("at", than))
        }
        Criterion::Ratio { metric, of, to, bound } => {
            let ends = format!("{metric}{} ÷{}", place("at", of), place("at", to));
            format!("{ends} is {}", bounded(*bound))
        }
        Criterion::Equivalent { metric, at, to, margin } => format!(
            "{metric}{} is the same as{}, within ±{margin}",
            place("at", at),
            place("at", to)
        ),
        Criterion::Threshold { metric, cells, statistic, bound } => {
            format!("{} {metric}{} is {}", statistic.name(), place("over", cells), bounded(*bound))
        }
        Criterion::Steadier { metric, at, than, below } => {
            let (at, than) = (place("at", at), place("at", than));
            let by = if below.total_cmp(&1.0).is_eq() {
                String::new()
            } else {
                format!(", by a ratio below {below}")
            };
            format!("{metric}{at} is spread less than{than}{by}")
        }
        Criterion::All(parts) => join(parts, " and "),
        Criterion::Any(parts) => join(parts, " or "),
    }
}

/// What of its terms is not the default, to stand behind the criterion: `, tested by rank, in each cell`.
#[must_use]
pub fn terms(terms: Terms) -> String {
    let mut words = String::new();
    if let Some(test) = terms.test {
        words = format!(", tested by {}", test.name());
    }
    if terms.over == Over::Each {
        words.push_str(", in each cell");
    }
    if terms.despite_failures {
        words.push_str(", despite failures");
    }
    if terms.despite_drift {
        words.push_str(", despite drift");
    }
    words
}

/// Selected levels: `throttle 60 tok/s, model a`; empty where everything is selected.
pub(super) fn levels(cells: &Cells) -> String {
    let level = |(name, level): (&String, _)| format!("{name} {}", factor::show(name, level));
    cells.0.iter().map(level).collect::<Vec<_>>().join(", ")
}

pub(super) fn place(preposition: &str, cells: &Cells) -> String {
    if cells.0.is_empty() { String::new() } else { format!(" {preposition} {}", levels(cells)) }
}

fn bounded(bound: Bound) -> String {
    match bound {
        Bound::Above(value) => format!("above {value}"),
        Bound::Below(value) => format!("below {value}"),
    }
}

fn join(parts: &[Criterion], word: &str) -> String {
    let parts: Vec<String> = parts.iter().map(|part| format!("({})", criterion(part))).collect();
    parts.join(word)
}
