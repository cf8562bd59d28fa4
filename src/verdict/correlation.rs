//! Whether two metrics go together over runs.

use std::collections::HashMap;

use super::cells;
use super::judge::{Question, lean, side, undefined};
use super::{Finding, Verdict};
use crate::manifest::criterion::{Bound, Cells};
use crate::stats::{self, Undefined};

pub(super) fn judge(
    question: &Question,
    x: &str,
    y: &str,
    wanted: &Cells,
    bound: Bound,
) -> Result<Finding, String> {
    let selected = cells::select(question.cells, wanted)?;
    cells::same_circumstances(&selected)?;
    let xs = cells::values(&selected, x, question.declared)?;
    let ys = cells::values(&selected, y, question.declared)?;
    let run = |value: &cells::Datum<'_>| std::ptr::from_ref(value.run);
    let others: HashMap<_, _> = ys.iter().map(|value| (run(value), *value)).collect();
    let (xs, ys): (Vec<_>, Vec<_>) =
        xs.iter().filter_map(|one| Some((*one, *others.get(&run(one))?))).unzip();
    if xs.is_empty() {
        return Err(format!("no run knows both `{x}` and `{y}`"));
    }
    let mut notes = cells::notes(&selected, x, &xs);
    for note in cells::notes(&selected, y, &ys) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if selected.len() > 1 {
        notes.push(format!(
            "over the runs of {} cells: a difference between cells counts as going together",
            selected.len()
        ));
    }
    let (of_x, of_y) = (cells::sample(&xs)?, cells::sample(&ys)?);
    let level = 1.0 - question.alpha;
    let n = format!("{} runs", of_x.n());
    let judged = stats::pearson(&of_x, &of_y)
        .and_then(|found| Ok((found, found.interval(level)?, found.p(bound.value())?)));
    let (found, interval, p) = match judged {
        Ok(judged) => judged,
        Err(error) => {
            let flat = [(x, &of_x), (y, &of_y)].into_iter().find(|(_, sample)| !sample.varies());
            let finding = match (&error, flat) {
                (Undefined::NoSpread, Some((name, sample))) => Finding::open(
                    Verdict::Inconclusive,
                    format!(
                        "`{name}` is {} in all {}: without variation there is no correlation",
                        cells::short(sample.mean(), cells::DIGITS),
                        n
                    ),
                ),
                _ => undefined(&error, "runs", "a correlation"),
            };
            return Ok(Finding { n, notes, ..finding });
        }
    };
    Ok(Finding {
        verdict: side(interval, bound),
        leaning: lean(found.value, bound),
        test: "Pearson's r, Fisher's interval".to_owned(),
        quantity: "correlation".into(),
        effect: Some(found.value),
        interval: Some(interval),
        level,
        p: Some(p),
        n,
        needed: stats::correlation_runs(found.value, bound.value(), question.alpha).ok(),
        needed_unit: "runs",
        notes,
        ..Finding::new(Verdict::NoData)
    })
}
