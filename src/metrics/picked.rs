//! Metrics that a manifest picks from the files of a command.
//!
//! The files are sealed with the run, so a figure can be picked again at any time; what was declared
//! after a run was made is known of it all the same.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde_json::Value;

use crate::encoding::{self, NotUtf8};
use crate::manifest::command::{Pick, PickFrom, STDOUT, Stat};
use crate::os::files;
use crate::shown;
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

/// A figure as its file tells it.
#[derive(Debug, Clone, PartialEq)]
pub enum Picked {
    Value(f64),
    /// The file says that nobody knows it; with the place, where it is worth a word.
    Unknown(Option<String>),
}

impl Picked {
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Picked::Value(value) => Some(*value),
            Picked::Unknown(_) => None,
        }
    }
}

/// Picks metrics from the files in a run's folder, in their order. Each file is read once, however many figures
/// come from it, and one is held at a time: they may be large.
#[must_use]
pub fn all(run: &Path, picks: &[Pick]) -> Vec<Result<Picked, PickError>> {
    all_by(picks, |file| files::read(&path(run, file)))
}

fn all_by(
    picks: &[Pick],
    mut read: impl FnMut(&str) -> io::Result<Vec<u8>>,
) -> Vec<Result<Picked, PickError>> {
    let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, pick) in picks.iter().enumerate() {
        by_file.entry(&pick.file).or_default().push(place);
    }
    let mut found = Vec::with_capacity(picks.len());
    for (file, places) in by_file {
        let mut content = Content::new(read(file));
        for place in places {
            let Pick { name, from, .. } = &picks[place];
            let picked = content.pick(from).map_err(|reason| PickError {
                metric: name.clone(),
                reason: format!("{file}: {reason}"),
            });
            found.push((place, picked));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, picked)| picked).collect()
}

/// Declared metrics of a run; one that cannot be picked is unknown.
#[must_use]
pub fn known(run: &Path, picks: &[Pick]) -> Metrics {
    let values = all(run, picks).into_iter().map(|picked| picked.ok().and_then(|own| own.value()));
    picks.iter().map(|pick| pick.name.clone()).zip(values).collect()
}

/// One file, and what was made of it so far.
struct Content {
    bytes: Result<Vec<u8>, String>,
    document: Option<Result<Value, String>>,
    /// Cells by column.
    columns: BTreeMap<String, Result<Vec<Cell>, String>>,
}

/// A value, or why there is none.
type Cell = Result<f64, String>;

impl Content {
    fn new(bytes: io::Result<Vec<u8>>) -> Self {
        let bytes = bytes.map_err(|error| error.to_string());
        Self { bytes, document: None, columns: BTreeMap::new() }
    }

    fn pick(&mut self, from: &PickFrom) -> Result<Picked, String> {
        let bytes = self.bytes.as_ref().map_err(Clone::clone)?;
        match from {
            PickFrom::Json(pointer) => {
                let read = || document(bytes.clone());
                let document = self.document.get_or_insert_with(read).as_ref();
                at(document.map_err(Clone::clone)?, pointer)
            }
            PickFrom::Csv { column, stat } => {
                let read = || cells(bytes, column);
                let cells = self.columns.entry(column.clone()).or_insert_with(read).as_ref();
                Ok(aggregate(cells.map_err(Clone::clone)?, *stat))
            }
        }
    }
}

fn not_utf8(reason: &NotUtf8) -> String {
    format!("is not UTF-8: {reason}; have the program write UTF-8")
}

fn document(bytes: Vec<u8>) -> Result<Value, String> {
    let text = encoding::decode(bytes).map_err(|reason| not_utf8(&reason))?;
    serde_json::from_str(&text)
        .or_else(|error| serde_json::from_str(&with_nulls(&text)).map_err(|_| error))
        .map_err(|error| format!("is not JSON: {error}"))
}

fn at(document: &Value, pointer: &str) -> Result<Picked, String> {
    match document.pointer(pointer) {
        None => Err(format!("there is nothing at `{pointer}`")),
        Some(Value::Null) => Ok(Picked::Unknown(None)),
        Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Picked::Value(number)),
            None => Err(format!(
                "`{}` at `{pointer}` is not a number",
                shown::excerpt(&value.to_string(), 80)
            )),
        },
    }
}

/// JSON with null where the writers of several languages put NaN and infinities, which JSON lacks, and
/// numbers that no double holds (`1e400`): what is no number is unknown, and elsewhere in the document it is
/// nobody's affair.
fn with_nulls(text: &str) -> String {
    let is_none = |word: &str| word.parse::<f64>().is_ok_and(|number| !number.is_finite());
    let known = |word: &str| if is_none(word) { "null" } else { word }.to_owned();
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if !quoted && (c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')) {
            word.push(c);
            continue;
        }
        out.push_str(&known(&word));
        word.clear();
        out.push(c);
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    out + &known(&word)
}

fn cells(bytes: &[u8], column: &str) -> Result<Vec<Cell>, String> {
    // In other columns there may be anything.
    let text = encoding::decode_lossy(bytes).map_err(|reason| not_utf8(&reason))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?;
    let mut named = (0..).zip(headers).filter(|(_, name)| name.trim() == column);
    let index = match (named.next(), named.next()) {
        (Some((index, _)), None) => index,
        (Some(_), Some(_)) => {
            return Err(format!("it has more than one column `{column}`: which is meant?"));
        }
        (None, _) => return Err(no_column(column, headers)),
    };
    let mut cells = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let text = record.get(index).unwrap_or_default().trim();
        let line = record.position().map_or(0, csv::Position::line);
        let value = match text.parse::<f64>() {
            _ if text.is_empty() => {
                Err(format!("line {line} has nothing in the column `{column}`"))
            }
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(format!("line {line} has `{text}` in the column `{column}`")),
            Err(_) => {
                let text = shown::excerpt(text, 80);
                return Err(format!(
                    "line {line}: `{text}` in the column `{column}` is not a number"
                ));
            }
        };
        cells.push(value);
    }
    Ok(cells)
}

fn no_column(column: &str, headers: &StringRecord) -> String {
    let names: Vec<&str> = headers.iter().collect();
    let names = names.join(",");
    let separator = [(';', "semicolons"), ('\t', "tabs")]
        .into_iter()
        .find(|(separator, _)| headers.len() == 1 && names.contains(*separator))
        .map(|(_, name)| format!(": it is separated by {name}, write commas (and decimal points)"));
    let names = shown::excerpt(&names, 80);
    format!("it has no column `{column}`; its header is `{names}`{}", separator.unwrap_or_default())
}

/// Of cells. What an unknown value enters is unknown, too: the mean of
/// the others would be that of those that went well.
fn aggregate(cells: &[Cell], stat: Stat) -> Picked {
    let entering = match stat {
        Stat::Count => &[],
        Stat::First => cells.get(..1).unwrap_or(&[]),
        Stat::Last => cells.last_chunk::<1>().map_or(&[][..], |last| last),
        _ => cells,
    };
    if let Some(reason) = entering.iter().find_map(|cell| cell.as_ref().err()) {
        return Picked::Unknown(Some(reason.clone()));
    }
    let value = statistic(cells.iter().flatten().copied().collect(), stat);
    // Too few values.
    value.map_or(Picked::Unknown(None), Picked::Value)
}

/// A statistic of values in their order; `None` where they are too few for it.
pub(crate) fn statistic(values: Vec<f64>, stat: Stat) -> Option<f64> {
    if stat == Stat::Count {
        return Some(values.len() as f64);
    }
    let sample = Sample::new(values).ok()?;
    let values = sample.values();
    match stat {
        Stat::Count => None,
        Stat::First => values.first().copied(),
        Stat::Last => values.last().copied(),
        Stat::Sum => Some(values.iter().sum()),
        Stat::Mean => Some(sample.mean()),
        Stat::Median => Some(sample.median()),
        Stat::Sd => sample.sd(),
        Stat::Min => Some(sample.min()),
        Stat::Max => Some(sample.max()),
        Stat::Percentile(percent) => Some(sample.percentile(percent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick_of(file: &str, from: PickFrom) -> Pick {
        let (name, unit) = ("m".to_owned(), String::new());
        Pick { name, file: file.to_owned(), from, unit, better: None, smallest_effect: None }
    }

    fn pick(run: &Path, pick: &Pick) -> Result<Picked, PickError> {
        all(run, std::slice::from_ref(pick)).remove(0)
    }

    fn json(bytes: Vec<u8>, pointer: &str) -> Result<Picked, String> {
        Content::new(Ok(bytes)).pick(&PickFrom::Json(pointer.to_owned()))
    }

    fn csv(bytes: &[u8], column: &str, stat: Stat) -> Result<Picked, String> {
        Content::new(Ok(bytes.to_vec())).pick(&PickFrom::Csv { column: column.to_owned(), stat })
    }

    #[test]
    fn a_file_is_read_once_however_many_figures_come_from_it() {
        let json = |pointer: &str| PickFrom::Json(pointer.to_owned());
        let csv = |column: &str, stat| PickFrom::Csv { column: column.to_owned(), stat };
        let picks = [
            pick_of("s.json", json("/a")),
            pick_of("r.csv", csv("ms", Stat::Max)),
            pick_of("gone.json", json("/a")),
            pick_of("s.json", json("/none")),
            pick_of("r.csv", csv("us", Stat::Sum)),
            pick_of("r.csv", csv("ms", Stat::Count)),
            pick_of("s.json", json("/b")),
            pick_of("gone.json", json("/b")),
            pick_of("r.csv", csv("none", Stat::Max)),
        ];
        let mut read = Vec::new();
        let found = all_by(&picks, |file| {
            read.push(file.to_owned());
            match file {
                "s.json" => Ok(br#"{"a": 1, "b": 2}"#.to_vec()),
                "r.csv" => Ok(b"ms,us\n3,4\n1,2\n".to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        });
        read.sort();
        assert_eq!(read, ["gone.json", "r.csv", "s.json"]);
        let values: Vec<Option<f64>> =
            found.iter().map(|own| own.as_ref().ok().and_then(Picked::value)).collect();
        let (one, two) = (Some(1.0), Some(2.0));
        assert_eq!(values, [one, Some(3.0), None, None, Some(6.0), two, two, None, None]);
    }

    #[test]
    fn figures_come_from_json_and_from_columns() {
        let run = tempfile::tempdir().unwrap();
        let out = run.path().join(OUT_DIR);
        std::fs::create_dir(&out).unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(out.join(name), content).unwrap();
        write("s.json", br#"{"a": {"b/c": [1, 98.5]}, "n": null, "t": "x"}"#);
        write("r.csv", b"ms, name\n1,a\n3,c\n2,d\n");
        std::fs::write(run.path().join(STDOUT_FILE), "{\"v\": 7}\n").unwrap();

        let json = |file: &str, pointer: &str| {
            pick(run.path(), &pick_of(file, PickFrom::Json(pointer.to_owned())))
        };
        assert_eq!(json("s.json", "/a/b~1c/1").unwrap(), Picked::Value(98.5));
        assert_eq!(json("s.json", "/n").unwrap(), Picked::Unknown(None));
        assert_eq!(json(STDOUT, "/v").unwrap(), Picked::Value(7.0));
        let message = |result: Result<Picked, PickError>| result.unwrap_err().to_string();
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
            let found = csv("r.csv", "ms", stat).unwrap().value().unwrap();
            assert!((found - expected).abs() < 1e-12, "{stat}: {found}");
        }
        assert!(message(csv("r.csv", "us", "max")).contains("its header is `ms"));
        assert!(["", "p", "p101", "p-1", "pinf", "mode"].iter().all(|s| Stat::parse(s).is_none()));
    }

    #[test]
    fn json_as_other_languages_write_it() {
        for (content, expected) in [
            (&b"\xef\xbb\xbf{\"v\": 1.5}"[..], Some(1.5)),
            (b"{\"v\": 1.5, \"other\": [NaN, -Infinity, inf, -nan]}", Some(1.5)),
            (b"{\"v\": NaN}", None),
            (b"{\"v\": -Infinity, \"t\": \"a \\\" NaN\"}", None),
            (b"{\"v\": 1.5e+1, \"other\": [1e400, -1E+999, NaN]}", Some(15.0)),
            (b"{\"v\": -1.0e400, \"t\": \"1e400\"}", None),
            (b"{\"x\": NaN, \"v\": 1e-2, \"t\": \"\\\\\"}", Some(0.01)),
        ] {
            let shown = String::from_utf8_lossy(content).into_owned();
            let picked = json(content.to_vec(), "/v").unwrap_or_else(|e| panic!("{shown}: {e}"));
            assert_eq!(picked.value(), expected, "{shown}");
        }
        // A text that reads like one stays a text, and what is no JSON anyhow is refused as it stands.
        let text = json(b"{\"x\": NaN, \"v\": \"NaN\"}".to_vec(), "/v").unwrap_err();
        assert_eq!(text, "`\"NaN\"` at `/v` is not a number");
        let huge = format!("{{\"v\": 1{}}}", "0".repeat(400));
        assert_eq!(json(huge.into_bytes(), "/v").unwrap(), Picked::Unknown(None));
        assert!(json(b"{\"v\": 1e400e}".to_vec(), "/v").unwrap_err().contains("is not JSON"));
        assert!(json(b"{\"v\": nothing}".to_vec(), "/v").unwrap_err().contains("is not JSON"));
        let wide: Vec<u8> = "{\"v\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(json(wide, "/v").unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn a_column_with_an_unknown_value() {
        let stat =
            |content: &str, stat: &str| csv(content.as_bytes(), "ms", Stat::parse(stat).unwrap());
        for (cell, place) in [("nan", "line 3 has `nan`"), ("inf", "`inf`"), ("", "has nothing in")]
        {
            let content = format!("\u{feff}step,ms\n1,2\n2,{cell}\n3,4\n");
            for of_all in ["mean", "median", "p50", "sum", "min", "max", "sd"] {
                let picked = stat(&content, of_all).unwrap();
                let Picked::Unknown(Some(reason)) = picked else { panic!("{of_all}: {picked:?}") };
                assert!(reason.contains(place), "{reason}");
            }
            // None of them depends on it.
            for (own, expected) in [("count", 2.0), ("first", 2.0), ("last", 4.0)] {
                assert_eq!(stat(&content, own).unwrap(), Picked::Value(expected), "{own}");
            }
        }
        assert_eq!(stat("ms\n", "mean").unwrap(), Picked::Unknown(None));
        assert_eq!(stat("ms,x\nnan,1\n", "first").unwrap().value(), None);
        assert!(stat("ms\n1\nx\n", "max").unwrap_err().contains("line 3: `x`"));
    }

    #[test]
    fn the_column_that_is_meant() {
        let mean = |content: &[u8]| csv(content, "ms", Stat::Mean);
        assert!(mean(b"ms,ms\n1,100\n").unwrap_err().contains("more than one column `ms`"));
        assert_eq!(mean(b"a,a,ms\n1,2,3\n").unwrap(), Picked::Value(3.0));
        assert!(mean(b"step;ms\n1;2,5\n").unwrap_err().contains("separated by semicolons"));
        // Latin-1 in a column that nobody asks for.
        assert_eq!(mean(b"ms,name\n3,caf\xe9\n").unwrap(), Picked::Value(3.0));
    }
}
