//! Metrics that a manifest picks from the files of a command.
//!
//! The files are sealed with the run, so a figure can be picked again at any time; what was declared
//! after a run was made is known of it all the same.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::manifest::command::{Pick, PickFrom, STDOUT, Stat};
use crate::stats::Sample;
use crate::store::record::Metrics;

/// The folder for a command's own files, in the run's folder.
pub const OUT_DIR: &str = "out";
/// What a command printed, in the run's folder.
pub const STDOUT_FILE: &str = "stdout.txt";

/// A metric that cannot be picked.
#[derive(Debug, thiserror::Error)]
#[error("metric `{metric}`: {reason}")]
pub struct PickError {
    pub metric: String,
    pub reason: String,
}

/// Where a pick's file lies in a run's folder.
#[must_use]
pub fn path(run: &Path, file: &str) -> PathBuf {
    if file == STDOUT { run.join(STDOUT_FILE) } else { run.join(OUT_DIR).join(file) }
}

/// Picks a metric from the files in a run's folder. `None`: the file says that it is unknown (null,
/// no values in the column).
pub fn pick(run: &Path, pick: &Pick) -> Result<Option<f64>, PickError> {
    let picked = match &pick.from {
        PickFrom::Json(pointer) => json(&path(run, &pick.file), pointer),
        PickFrom::Csv { column, stat } => csv(&path(run, &pick.file), column, *stat),
    };
    picked.map_err(|reason| PickError {
        metric: pick.name.clone(),
        reason: format!("{}: {reason}", pick.file),
    })
}

/// Declared metrics of a run; one that cannot be picked is unknown.
#[must_use]
pub fn known(run: &Path, picks: &[Pick]) -> Metrics {
    let value = |own: &Pick| (own.name.clone(), pick(run, own).ok().flatten());
    picks.iter().map(value).collect()
}

fn json(path: &Path, pointer: &str) -> Result<Option<f64>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let document: serde_json::Value = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| format!("is not JSON: {error}"))?;
    match document.pointer(pointer) {
        None => Err(format!("there is nothing at `{pointer}`")),
        Some(serde_json::Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => {
                Err(format!("`{}` at `{pointer}` is not a number", excerpt(&value.to_string())))
            }
        },
    }
}

fn csv(path: &Path, column: &str, stat: Stat) -> Result<Option<f64>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut reader = csv::Reader::from_reader(BufReader::new(file));
    let headers = reader.headers().map_err(|error| error.to_string())?;
    let index = headers.iter().position(|name| name.trim() == column).ok_or_else(|| {
        let names: Vec<&str> = headers.iter().collect();
        format!("it has no column `{column}`; its header is `{}`", excerpt(&names.join(",")))
    })?;
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let text = record.get(index).unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let line = record.position().map_or(0, csv::Position::line);
        values.push(value.ok_or_else(|| {
            format!("line {line}: `{}` in the column `{column}` is not a number", excerpt(text))
        })?);
    }
    Ok(aggregate(&values, stat))
}

/// `None` where there are too few values.
fn aggregate(values: &[f64], stat: Stat) -> Option<f64> {
    let sample = Sample::new(values.to_vec()).ok();
    let sample = sample.as_ref();
    match stat {
        Stat::Count => Some(values.len() as f64),
        Stat::First => values.first().copied(),
        Stat::Last => values.last().copied(),
        Stat::Sum => sample.map(|_| values.iter().sum()),
        Stat::Mean => sample.map(Sample::mean),
        Stat::Median => sample.map(Sample::median),
        Stat::Sd => sample.and_then(Sample::sd),
        Stat::Min => sample.map(Sample::min),
        Stat::Max => sample.map(Sample::max),
        Stat::Percentile(percent) => sample.map(|sample| sample.percentile(percent)),
    }
}

/// The start of a text, fit for a message.
fn excerpt(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick_of(file: &str, from: PickFrom) -> Pick {
        let (name, unit) = ("m".to_owned(), String::new());
        Pick { name, file: file.to_owned(), from, unit, better: None }
    }

    #[test]
    fn figures_come_from_json_and_from_columns() {
        let run = tempfile::tempdir().unwrap();
        let out = run.path().join(OUT_DIR);
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("s.json"), r#"{"a": {"b/c": [1, 98.5]}, "n": null, "t": "x"}"#)
            .unwrap();
        std::fs::write(out.join("r.csv"), "ms, name\n1,a\n,b\n3,c\n2,d\n").unwrap();
        std::fs::write(out.join("bad.csv"), "ms\n1\nNaN\n").unwrap();
        std::fs::write(run.path().join(STDOUT_FILE), "{\"v\": 7}\n").unwrap();

        let json = |file: &str, pointer: &str| {
            pick(run.path(), &pick_of(file, PickFrom::Json(pointer.to_owned())))
        };
        assert_eq!(json("s.json", "/a/b~1c/1").unwrap(), Some(98.5));
        assert_eq!(json("s.json", "/n").unwrap(), None);
        assert_eq!(json(STDOUT, "/v").unwrap(), Some(7.0));
        let message = |result: Result<Option<f64>, PickError>| result.unwrap_err().to_string();
        assert_eq!(message(json("s.json", "/x")), "metric `m`: s.json: there is nothing at `/x`");
        assert!(message(json("s.json", "/t")).contains("is not a number"));
        assert!(message(json("r.csv", "/t")).contains("is not JSON"));

        let csv = |file: &str, column: &str, stat: &str| {
            let (column, stat) = (column.to_owned(), Stat::parse(stat).unwrap());
            pick(run.path(), &pick_of(file, PickFrom::Csv { column, stat }))
        };
        for (stat, expected) in [
            ("mean", 2.0),
            ("median", 2.0),
            ("p99", 2.98),
            ("sum", 6.0),
            ("count", 3.0),
            ("first", 1.0),
            ("last", 2.0),
            ("sd", 1.0),
        ] {
            let found = csv("r.csv", "ms", stat).unwrap().unwrap();
            assert!((found - expected).abs() < 1e-12, "{stat}: {found}");
        }
        assert!(message(csv("r.csv", "us", "max")).contains("its header is `ms"));
        assert!(message(csv("bad.csv", "ms", "max")).contains("line 3: `NaN`"));
        assert!(["", "p", "p101", "p-1", "pinf", "mode"].iter().all(|s| Stat::parse(s).is_none()));
    }
}
