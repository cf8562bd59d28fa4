//! What a template can ask of comparisons.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};

use super::family::Families;
use super::winners::Axes;
use super::{
    ComparisonError, baseline, direction, frontier, normalised, ranking, replicas, shares,
};
use super::{success, winners};
use crate::report::data::Data;
use crate::report::functions::{selection, wanted, wanted_levels};
use crate::report::select;

impl From<ComparisonError> for Error {
    fn from(error: ComparisonError) -> Self {
        Error::new(ErrorKind::InvalidOperation, error.to_string())
    }
}

/// Adds the functions to an environment.
pub fn add(env: &mut Environment, data: &Arc<Data>) {
    let families = Arc::new(Families::default());
    let known = Arc::new(Known { rows: Mutex::default(), families: Arc::clone(&families) });
    let (own, tables) = (Arc::clone(data), Arc::clone(&known));
    env.add_function(
        "against_baseline",
        move |metric: &str, baseline: Option<Value>, kwargs: Kwargs| -> Result<Value, Error> {
            let rows = tables.rows(&own, metric, baseline.as_ref(), &kwargs)?;
            Ok(Value::from(Serde(rows.as_slice())))
        },
    );
    let own = Arc::clone(data);
    env.add_function(
        "success_rate",
        move |metric: &str, baseline: Option<Value>, kwargs: Kwargs| -> Result<Value, Error> {
            let better = direction(&select::metric(&own, metric)?, None)?;
            let rows = known.rows(&own, metric, baseline.as_ref(), &kwargs)?;
            Ok(Value::from(Serde(success::success(&rows, better))))
        },
    );
    let own = Arc::clone(data);
    env.add_function("recorded_differences", move |kwargs: Kwargs| -> Result<Value, Error> {
        let selection = selection(&own, &kwargs, &[])?;
        Ok(Value::from(Serde(baseline::recorded_differences(&selection, &own)?)))
    });
    let (own, ranked) = (Arc::clone(data), Arc::clone(&families));
    env.add_function(
        "ranking",
        move |metric: &str, better: Option<String>, kwargs: Kwargs| -> Result<Value, Error> {
            let metric = select::metric(&own, metric)?;
            let better = direction(&metric, better.as_deref())?;
            let selection = selection(&own, &kwargs, &[])?;
            Ok(Value::from(Serde(ranking::ranking(&own, &ranked, &metric, better, &selection))))
        },
    );
    let own = Arc::clone(data);
    env.add_function(
        "normalised",
        move |metric: &str,
              axis: &str,
              level: Option<Value>,
              kwargs: Kwargs|
              -> Result<Value, Error> {
            let metric = select::metric(&own, metric)?;
            let level = level.as_ref().map(|level| wanted(axis, level)).transpose()?;
            let selection = selection(&own, &kwargs, &[])?;
            let level = level.as_ref();
            let table = normalised::normalised(&own, &families, &metric, axis, level, &selection)?;
            Ok(Value::from(Serde(table)))
        },
    );
    let own = Arc::clone(data);
    env.add_function(
        "winners",
        move |metric: &str,
              contestant: &str,
              boxes: Vec<String>,
              better: Option<String>,
              kwargs: Kwargs|
              -> Result<Value, Error> {
            let metric = select::metric(&own, metric)?;
            let better = direction(&metric, better.as_deref())?;
            let (rows, columns) = match boxes.as_slice() {
                [rows] => (rows, None),
                [rows, columns] => (rows, Some(columns.as_str())),
                _ => return Err(ComparisonError::Boxes { found: boxes.len() }.into()),
            };
            let axes = Axes { contestant, rows, columns };
            let selection = selection(&own, &kwargs, &[])?;
            Ok(Value::from(Serde(winners::winners(&own, &metric, better, axes, &selection)?)))
        },
    );
    let own = Arc::clone(data);
    env.add_function("replicas", move |kwargs: Kwargs| -> Result<Value, Error> {
        Ok(Value::from(Serde(replicas::table(&own, &selection(&own, &kwargs, &[])?))))
    });
    let own = Arc::clone(data);
    env.add_function("frontier", move |x: &str, y: &str, kwargs: Kwargs| -> Result<Value, Error> {
        let (x, y) = (select::metric(&own, x)?, select::metric(&own, y)?);
        let selection = selection(&own, &kwargs, &[])?;
        Ok(Value::from(Serde(frontier::frontier(&own, &x, &y, &selection)?)))
    });
    let own = Arc::clone(data);
    env.add_function(
        "shares",
        move |metric: &str,
              sign: &str,
              bound: f64,
              axes: Option<Vec<String>>,
              kwargs: Kwargs|
              -> Result<Value, Error> {
            let (metric, sign) = (select::metric(&own, metric)?, shares::sign(sign)?);
            let selection = selection(&own, &kwargs, &[])?;
            let axes = axes.unwrap_or_default();
            let rows = shares::shares(&own, &metric, sign, bound, &axes, &selection)?;
            Ok(Value::from(Serde(rows)))
        },
    );
}

/// Tables against the baseline, which several parts of a report ask for.
#[derive(Debug)]
struct Known {
    rows: Mutex<HashMap<Asked, Rows>>,
    families: Arc<Families>,
}

/// Metric, baseline and selection, in words.
type Asked = (String, String, String);
type Rows = Arc<Vec<baseline::BaselineRow>>;

impl Known {
    fn rows(
        &self,
        data: &Data,
        metric: &str,
        baseline: Option<&Value>,
        kwargs: &Kwargs,
    ) -> Result<Rows, Error> {
        let metric = select::metric(data, metric)?;
        let baseline = baseline.map(wanted_levels).transpose()?.unwrap_or_default();
        let selection = selection(data, kwargs, &[])?;
        let asked = (metric.name.to_owned(), format!("{baseline:?}"), selection.said.clone());
        // tables are only ever added whole
        let known = || self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = known().get(&asked) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(baseline::rows(data, &self.families, &metric, &baseline, &selection)?);
        known().insert(asked, Arc::clone(&rows));
        Ok(rows)
    }
}
