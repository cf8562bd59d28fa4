//! What a template can ask of the data: functions and filters.
//!
//! Every function takes a metric and a selection: `experiment = "…"`, any factor by its name
//! (`throttle = "60 tok/s"`), and `where = {"insight.num_ctx": 512}` for names that are no
//! identifiers.

use std::sync::Arc;

use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;

use super::completeness::fresh;
use super::context::RunRow;
use super::data::Data;
use super::select::{self, EXPERIMENT, SelectError, Selection};
use super::{ceiling, cell_table, comparison, escape, format, mark};
use crate::cells::Wanted;
use crate::metrics::{self, Better, MetricInfo};
use crate::stats::Sample;

/// How a value reads that the data do not have (an sd of one run).
const NO_VALUE: &str = "–";
/// How a figure of a partial report reads whose runs do not exist.
const NO_DATA: &str = "no data";
const LEVEL: f64 = 0.95;
const DIGITS: usize = 4;

/// A metric as templates see it.
#[derive(Debug, Serialize)]
struct MetricRow {
    name: String,
    unit: String,
    clock: &'static str,
    better: Option<&'static str>,
    formula: String,
    meaning: String,
    /// The smallest effect of interest with its unit, where there is one.
    matters_from: Option<String>,
}

impl From<MetricInfo<'_>> for MetricRow {
    fn from(info: MetricInfo<'_>) -> Self {
        Self {
            name: info.name.to_owned(),
            unit: info.unit.to_owned(),
            clock: info.clock.name(),
            better: info.better.map(Better::name),
            formula: info.formula.to_owned(),
            meaning: info.meaning.to_owned(),
            matters_from: metrics::smallest_effect(&info).map(|effect| effect.text(info.unit)),
        }
    }
}

/// Adds everything to an environment. With `partial`, a figure without data is the text "no data",
/// which passes through the filters; otherwise it is an error.
pub fn add(env: &mut Environment, data: &Arc<Data>, partial: bool) {
    let scalar = |statistic: fn(&Sample) -> Option<f64>| {
        let data = Arc::clone(data);
        move |metric: &str, kwargs: Kwargs| -> Result<Value, Error> {
            let Some(sample) = sample(&data, metric, &kwargs, partial)? else {
                return Ok(Value::from(NO_DATA));
            };
            Ok(statistic(&sample).map_or(Value::from(()), Value::from))
        }
    };
    env.add_function("mean", scalar(|sample| Some(sample.mean())));
    env.add_function("median", scalar(|sample| Some(sample.median())));
    env.add_function("sd", scalar(Sample::sd));
    env.add_function("cv", scalar(Sample::cv));
    env.add_function("smallest", scalar(|sample| Some(sample.min())));
    env.add_function("largest", scalar(|sample| Some(sample.max())));

    let own = Arc::clone(data);
    env.add_function("ci", move |metric: &str, kwargs: Kwargs| -> Result<Value, Error> {
        let Some(sample) = sample(&own, metric, &kwargs, partial)? else {
            return Ok(Value::from(NO_DATA));
        };
        let interval = sample.mean_ci(LEVEL);
        Ok(interval.map_or(Value::from(()), |ci| Value::from(vec![ci.low, ci.high])))
    });
    let own = Arc::clone(data);
    env.add_function("n", move |metric: &str, kwargs: Kwargs| -> Result<usize, Error> {
        let metric = select::metric(&own, metric)?;
        let selection = selection(&own, &kwargs, &[])?;
        let runs = selection.cells.iter().copied().flat_map(fresh);
        Ok(runs.filter(|run| select::value(run, metric.name).is_some()).count())
    });
    let own = Arc::clone(data);
    env.add_function("runs", move |kwargs: Kwargs| -> Result<Value, Error> {
        let selection = selection(&own, &kwargs, &[])?;
        let runs = match selection.runs() {
            Err(SelectError::NoRuns { .. }) if partial => Vec::new(),
            runs => runs?,
        };
        let rows: Vec<RunRow> = runs.iter().map(|(cell, run)| RunRow::new(cell, run)).collect();
        Ok(Value::from(Serde(rows)))
    });
    let own = Arc::clone(data);
    env.add_function("control_runs", move || {
        let controls = own.cells.iter().filter(|cell| cell.control);
        let rows: Vec<RunRow> =
            controls.flat_map(|cell| fresh(cell).map(move |run| RunRow::new(cell, run))).collect();
        Value::from(Serde(rows))
    });
    let own = Arc::clone(data);
    env.add_function("by_cell", move |metric: &str, kwargs: Kwargs| -> Result<Value, Error> {
        let metric = select::metric(&own, metric)?;
        Ok(Value::from(Serde(cell_table::rows(&own, &metric, &selection(&own, &kwargs, &[])?))))
    });
    let own = Arc::clone(data);
    env.add_function(
        "ceiling",
        move |metric: &str, limit: f64, factors: Vec<String>, kwargs: Kwargs| {
            let metric = select::metric(&own, metric)?;
            let selection = selection(&own, &kwargs, &[])?;
            let failed = own.failed.iter().filter_map(|attempt| attempt.cell.as_deref()).collect();
            let found = ceiling::ceiling(&selection, &metric, limit, &factors, &failed);
            let found = found.map_err(|factor| {
                let message = format!("`{factor}` is not a number in every cell");
                Error::new(ErrorKind::InvalidOperation, message)
            })?;
            Ok::<Value, Error>(Value::from(Serde(found)))
        },
    );
    let own = Arc::clone(data);
    env.add_function("main_metrics", move |kwargs: Kwargs| -> Result<Value, Error> {
        let (first, _) = cell_table::main_metrics(&own, &selection(&own, &kwargs, &[])?);
        Ok(Value::from(Serde(first.into_iter().map(MetricRow::from).collect::<Vec<_>>())))
    });
    let own = Arc::clone(data);
    env.add_function("further_metrics", move |kwargs: Kwargs| -> Result<Value, Error> {
        let (_, others) = cell_table::main_metrics(&own, &selection(&own, &kwargs, &[])?);
        Ok(Value::from(Serde(others.into_iter().map(MetricRow::from).collect::<Vec<_>>())))
    });
    let own = Arc::clone(data);
    env.add_function("metric", move |name: &str| -> Result<Value, Error> {
        let info = select::metric(&own, name)?;
        Ok(Value::from(Serde(MetricRow::from(info))))
    });
    comparison::functions::add(env, data);
    add_filters(env);
}

fn add_filters(env: &mut Environment) {
    env.add_filter("num", |value: Value, digits: Option<usize>| {
        number(&value, |value| format::significant(value, digits.unwrap_or(DIGITS)))
    });
    env.add_filter("fixed", |value: Value, decimals: usize| {
        number(&value, |value| format!("{value:.*}", decimals.min(17)))
    });
    env.add_filter("pct", |value: Value, decimals: Option<usize>| {
        number(&value, |value| format!("{value:.*} %", decimals.unwrap_or(1).min(17)))
    });
    env.add_filter("unit", |value: Value, unit: &str| {
        number(&value, |value| format!("{} {unit}", format::significant(value, DIGITS)))
    });
    // a p is never 0, and its fourth decimal is as far as anyone should look
    env.add_filter("p", |value: Value| match absent(&value) {
        Some(absent) => Ok(absent),
        None if f64::try_from(value.clone())? < 1e-4 => Ok(Value::from("< 0.0001")),
        None => number(&value, |value| format::significant(value, 3)),
    });
    env.add_filter("interval", |value: Value, digits: Option<usize>| interval(&value, digits));
    env.add_filter("code", |value: Value| {
        let code =
            if value.is_none() { "unknown".into() } else { escape::code(&value.to_string()) };
        Value::from_safe_string(code)
    });
    // tools show twelve digits of a digest
    env.add_filter("short_digest", |value: Value| {
        let text = if value.is_none() { String::new() } else { value.to_string() };
        let digits: String = text.trim_start_matches("sha256:").chars().take(12).collect();
        let shown = if digits.is_empty() { "unknown".into() } else { escape::code(&digits) };
        Value::from_safe_string(shown)
    });
    env.add_filter("cut", |text: &str, length: usize| {
        let mut cut: String = text.chars().take(length).collect();
        if cut.len() < text.len() {
            cut.push('…');
        }
        cut
    });
    env.add_filter("prose", |text: &str| Value::from_safe_string(escape::prose(text)));
    env.add_filter("link", |path: &str| Value::from_safe_string(escape::link(path)));
    env.add_filter("shell", |word: &str| Value::from_safe_string(escape::shell(word)));
}

/// The values of a metric; `None` only with `partial`, when there is no data.
fn sample(
    data: &Data,
    metric: &str,
    kwargs: &Kwargs,
    partial: bool,
) -> Result<Option<Sample>, Error> {
    let metric = select::metric(data, metric)?;
    match selection(data, kwargs, &[])?.sample(&metric) {
        Err(SelectError::NoRuns { .. } | SelectError::NoValues { .. }) if partial => Ok(None),
        sample => Ok(Some(sample?)),
    }
}

/// What the arguments of a function select; `other` arguments are not about that.
pub fn selection<'a>(
    data: &'a Data,
    kwargs: &Kwargs,
    other: &[&str],
) -> Result<Selection<'a>, Error> {
    let mut experiment: Option<String> = None;
    let mut levels = Vec::new();
    for name in kwargs.args().filter(|name| !other.contains(name)) {
        let value: Value = kwargs.get(name)?;
        match name {
            EXPERIMENT => experiment = Some(kwargs.get::<&str>(name)?.to_owned()),
            "where" => levels.extend(wanted_levels(&value)?),
            name => levels.push((name.to_owned(), wanted(name, &value)?)),
        }
    }
    Ok(select::cells(data, experiment.as_deref(), &levels)?)
}

/// The levels of a map from names of axes or factors.
pub fn wanted_levels(map: &Value) -> Result<Vec<(String, Wanted)>, Error> {
    let level = |key: Value| {
        let name = key.to_string();
        let level = wanted(&name, &map.get_item(&key)?)?;
        Ok((name, level))
    };
    map.try_iter()?.map(level).collect()
}

/// A level of this axis or factor as a template writes it.
pub fn wanted(name: &str, value: &Value) -> Result<Wanted, Error> {
    match value.kind() {
        ValueKind::Number => Ok(Wanted::number(f64::try_from(value.clone())?)),
        ValueKind::String | ValueKind::Bool => {
            let text = value.to_string();
            // What is no level of the factor may be one of a command's axis of that name.
            Ok(Wanted::written(name, &text).unwrap_or_else(|_| Wanted::free(&text)))
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a level is a text, a number or a bool, not {kind}"),
        )),
    }
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        Error::new(ErrorKind::InvalidOperation, error.to_string())
    }
}

fn number(value: &Value, show: impl FnOnce(f64) -> String) -> Result<Value, Error> {
    if let Some(absent) = absent(value) {
        return Ok(absent);
    }
    let value = f64::try_from(value.clone())?;
    // numbers need no escaping, and a minus sign must not get one
    Ok(Value::from_safe_string(mark::number(value, &show(value))))
}

fn absent(value: &Value) -> Option<Value> {
    if value.is_none() {
        return Some(Value::from(NO_VALUE));
    }
    (value.as_str() == Some(NO_DATA)).then(|| value.clone())
}

/// `[low, high]` → `low to high`.
fn interval(value: &Value, digits: Option<usize>) -> Result<Value, Error> {
    if let Some(absent) = absent(value) {
        return Ok(absent);
    }
    let bounds: Vec<f64> = value.try_iter()?.map(f64::try_from).collect::<Result<_, _>>()?;
    let bounds: Vec<String> = bounds
        .into_iter()
        .map(|bound| mark::number(bound, &format::significant(bound, digits.unwrap_or(DIGITS))))
        .collect();
    Ok(Value::from_safe_string(bounds.join(" to ")))
}
