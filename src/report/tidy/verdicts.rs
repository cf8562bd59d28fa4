//! Hypotheses with their verdicts, published numbers with what was recomputed, and outliers, as rows.

use serde_json::Value;

use super::{Table, interval, number, run, words};
use crate::report::data::Data;

/// `part` counts from 1 within a compound hypothesis, and is empty for a hypothesis itself. `survives` is 0
/// or 1; empty where there is no decision or no p. `family` counts the criteria that `p_adjusted` is corrected
/// for; `notes` are separated by semicolons.
const VERDICTS: [&str; 27] = [
    "experiment",
    "hypothesis",
    "part",
    "claim",
    "criterion",
    "verdict",
    "survives",
    "reason",
    "test",
    "quantity",
    "unit",
    "effect",
    "ci_low",
    "ci_high",
    "confidence_percent",
    "alpha",
    "p",
    "p_adjusted",
    "family",
    "n",
    "needed",
    "work",
    "notes",
    "declared",
    "withdrawn",
    "post_hoc",
    "replaced",
];

pub fn verdicts(data: &Data) -> Table {
    let percent = |text: &str| number(text.parse().ok());
    let mut rows = Vec::new();
    for own in &data.hypotheses {
        let [low, high] = interval(own.interval);
        rows.push(vec![
            own.experiment.as_str().into(),
            own.name.as_str().into(),
            Value::Null,
            own.claim.as_str().into(),
            own.criterion.as_str().into(),
            own.verdict.into(),
            own.survives.map(u8::from).into(),
            own.reason.as_deref().into(),
            own.test.as_str().into(),
            own.quantity.as_str().into(),
            own.unit.as_str().into(),
            number(own.effect),
            low,
            high,
            percent(&own.confidence),
            number(Some(own.alpha)),
            number(own.p),
            number(own.adjusted_p),
            own.family.into(),
            own.n.as_str().into(),
            own.needed.as_deref().into(),
            own.work.as_deref().into(),
            own.notes.join("; ").into(),
            own.declared.as_deref().into(),
            own.withdrawn.as_deref().into(),
            own.post_hoc.as_deref().into(),
            own.replaced.as_deref().into(),
        ]);
        for (place, part) in (1..).zip(&own.parts) {
            let [low, high] = interval(part.interval);
            let mut row = vec![Value::Null; VERDICTS.len()];
            let place: u32 = place;
            let known: [(&str, Value); 15] = [
                ("experiment", own.experiment.as_str().into()),
                ("hypothesis", own.name.as_str().into()),
                ("part", place.into()),
                ("claim", own.claim.as_str().into()),
                ("criterion", part.criterion.as_str().into()),
                ("verdict", part.verdict.into()),
                ("reason", part.reason.as_deref().into()),
                ("quantity", part.quantity.as_str().into()),
                ("unit", part.unit.as_str().into()),
                ("effect", number(part.effect)),
                ("ci_low", low),
                ("ci_high", high),
                ("confidence_percent", percent(&part.confidence)),
                ("p", number(part.p)),
                ("n", part.n.as_str().into()),
            ];
            for (name, value) in known {
                if let Some(place) = VERDICTS.iter().position(|column| *column == name) {
                    row[place] = value;
                }
            }
            rows.push(row);
        }
    }
    Table { columns: words(&VERDICTS), rows }
}

const CLAIMS: [&str; 13] = [
    "claim",
    "result",
    "quantity",
    "unit",
    "relation",
    "published",
    "recomputed",
    "allowed",
    "runs",
    "cells",
    "source",
    "reason",
    "notes",
];

pub fn claims(data: &Data) -> Table {
    let row = |own: &crate::verdict::Checked| {
        vec![
            own.name.as_str().into(),
            own.result.name().into(),
            own.quantity.as_str().into(),
            own.unit.as_str().into(),
            own.relation.sign().into(),
            number(Some(own.published)),
            number(own.recomputed),
            number(Some(own.allowed)),
            own.runs.into(),
            own.cells.into(),
            own.source.as_str().into(),
            own.reason.as_deref().into(),
            own.notes.join("; ").into(),
        ]
    };
    Table { columns: words(&CLAIMS), rows: data.claims.iter().map(row).collect() }
}

/// `rerun` is the run that was made because of it, `n` the number of runs that it was flagged among, and
/// `clean_flagged_percent` the share of n clean normal values that the rule flags.
const OUTLIERS: [&str; 12] = [
    "cell",
    "repeat",
    "run",
    "name",
    "metric",
    "value",
    "median",
    "mad",
    "distance_mads",
    "n",
    "clean_flagged_percent",
    "rerun",
];

pub fn outliers(data: &Data) -> Table {
    let rows = data.outliers.runs.iter().map(|own| {
        vec![
            own.id.as_str().into(),
            own.outlier.repeat.into(),
            run(&own.id, own.outlier.repeat).into(),
            own.cell_name.as_str().into(),
            own.outlier.metric.as_str().into(),
            number(Some(own.outlier.value)),
            number(Some(own.outlier.median)),
            number(Some(own.outlier.mad)),
            number(own.outlier.distance),
            own.outlier.n.into(),
            number(Some(100.0 * own.outlier.flagged_of_clean)),
            own.rerun_repeat.map(|repeat| run(&own.id, repeat)).into(),
        ]
    });
    Table { columns: words(&OUTLIERS), rows: rows.collect() }
}
