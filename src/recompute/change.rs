//! What differs between two records of one run.

use serde::Serialize;
use serde_json::Value;

use crate::store::record::{CallSummary, Metrics, RunRecord};

/// One figure that differs. `null` is unknown; absent: the record does not have it at all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `<agent>/<call>`; absent for a figure of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Name of the metric; `outcome`, `error` and `stage` of a call, `tokens` of a tokenizer and `calls`
    /// are no metrics, but follow from the artifacts as well.
    pub metric: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    pub kind: Kind,
}

/// What a difference means for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nobody counted it when the record was made; what the record says stands.
    New,
    /// It does not follow from the artifacts.
    Contradicted,
}

impl Change {
    /// A figure of which the record says nothing, or that nobody knows it. Texts and counts of calls are no
    /// such figures: records always had them.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        let lacks = self.before.as_ref().is_none_or(Value::is_null);
        lacks && self.after.as_ref().is_some_and(Value::is_number)
    }
}

/// Everything that differs, figures of the run first; all as contradictions.
#[must_use]
pub fn changes(before: &RunRecord, after: &RunRecord) -> Vec<Change> {
    let mut changes = Vec::new();
    metrics(None, &before.metrics, &after.metrics, &mut changes);
    if before.tokens != after.tokens {
        push(None, "tokens", json(&before.tokens), json(&after.tokens), &mut changes);
    }
    if before.calls.len() == after.calls.len() {
        for (before, after) in before.calls.iter().zip(&after.calls) {
            call(before, after, &mut changes);
        }
    } else {
        let count = |calls: &[CallSummary]| Some(calls.len().into());
        push(None, "calls", count(&before.calls), count(&after.calls), &mut changes);
    }
    changes
}

fn call(before: &CallSummary, after: &CallSummary, changes: &mut Vec<Change>) {
    let name = format!("{}/{}", before.agent, before.call);
    let now = format!("{}/{}", after.agent, after.call);
    let plain = |call: &CallSummary| CallSummary { metrics: Metrics::new(), ..call.clone() };
    if plain(before) != plain(after) {
        let texts = |call: &CallSummary, name: &str| {
            [
                ("call", Some(name.into())),
                ("warmup", Some(call.warmup.into())),
                ("stage", call.stage.map(|stage| stage.name().into())),
                ("outcome", Some(call.outcome.name().into())),
                ("error", call.error.as_deref().map(Value::from)),
            ]
        };
        for ((what, before), (_, after)) in texts(before, &name).into_iter().zip(texts(after, &now))
        {
            if before != after {
                push(Some(&name), what, before, after, changes);
            }
        }
    }
    metrics(Some(&name), &before.metrics, &after.metrics, changes);
}

fn metrics(call: Option<&str>, before: &Metrics, after: &Metrics, changes: &mut Vec<Change>) {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (before, after) = (before.get(name), after.get(name));
        // A metric that a record does not have is as unknown as one that it calls so.
        if before.copied().flatten() != after.copied().flatten() {
            let value = |known: Option<&Option<f64>>| known.map(|known| Value::from(*known));
            push(call, name, value(before), value(after), changes);
        }
    }
}

fn push(
    call: Option<&str>,
    metric: &str,
    before: Option<Value>,
    after: Option<Value>,
    changes: &mut Vec<Change>,
) {
    let (call, metric, kind) = (call.map(str::to_owned), metric.to_owned(), Kind::Contradicted);
    changes.push(Change { call, metric, before, after, kind });
}

fn json(value: &impl Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}
