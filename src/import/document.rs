//! A file of earlier results as a document: JSON, JSON Lines, CSV or a table with bars.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use crate::encoding;
use crate::manifest::import::Format;
use crate::shown;
use crate::store::record::Origin;

/// Bytes of a file that is read.
pub const LARGEST: u64 = 256 << 20;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Document {
    pub value: Arc<Value>,
    /// Without a place.
    pub origin: Origin,
}

/// The files below a root, each read once.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    read: Mutex<Known>,
}

/// What was read, by path and format; or why it cannot be.
type Known = BTreeMap<(String, Option<u8>), Result<Document, String>>;

impl Files {
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), read: Mutex::new(BTreeMap::new()) }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file at a path below the root, with `/`; the error is a sentence fragment.
    pub fn read(&self, path: &str, format: Option<Format>) -> Result<Document, String> {
        let key = (path.to_owned(), format.map(|format| format as u8));
        if let Some(known) = self.lock().get(&key) {
            return known.clone();
        }
        let read = load(&self.root, path, format);
        // Two that read at the same time read the same.
        self.lock().entry(key).or_insert(read).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(root: &Path, path: &str, format: Option<Format>) -> Result<Document, String> {
    let place = path.split('/').fold(root.to_owned(), |place, part| place.join(part));
    let bytes = bytes(&place)?;
    let origin = Origin {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        sha256: formats::digest::of_bytes(&bytes),
        place: None,
    };
    let text = encoding::decode_any(bytes).map_err(|reason| format!("is not UTF-8: {reason}"))?;
    let format = format.or_else(|| by_extension(path)).unwrap_or(Format::Json);
    let value = match format {
        Format::Json => json(&text)?,
        Format::JsonLines => lines(&text)?,
        Format::Csv => csv(&text)?,
        Format::Table => table(&text)?,
    };
    Ok(Document { value: Arc::new(value), origin })
}

/// The bytes of a regular file that is no link.
pub fn bytes(place: &Path) -> Result<Vec<u8>, String> {
    let found = place.symlink_metadata().map_err(|error| error.to_string())?;
    if found.is_symlink() {
        return Err(
            "is a symbolic link, which may lead out of the root: put the file itself there"
                .to_owned(),
        );
    }
    if !found.is_file() {
        return Err("is no regular file".to_owned());
    }
    if found.len() > LARGEST {
        return Err(format!(
            "has {} MiB, more than the {} MiB that are read",
            found.len() >> 20,
            LARGEST >> 20
        ));
    }
    let mut bytes = Vec::new();
    File::open(place)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn by_extension(path: &str) -> Option<Format> {
    let (_, extension) = path.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "json" => Some(Format::Json),
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| not_json(&error, text))
}

fn not_json(error: &serde_json::Error, text: &str) -> String {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let words = ["NaN", "Infinity", "nan", "inf"];
    let word = words
        .into_iter()
        .find(|word| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|own| own == *word));
    let deep = error.to_string().contains("recursion limit");
    match word {
        _ if deep => "is nested too deep: more than 127 levels".to_owned(),
        Some(word) => format!(
            "is not JSON: line {}, column {}: `{word}` is no number of JSON; have it written as null",
            error.line(),
            error.column()
        ),
        None => format!("is not JSON: {}", shown::excerpt(&error.to_string(), 200)),
    }
}

fn lines(text: &str) -> Result<Value, String> {
    let mut list = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(line).map_err(|error| {
            format!("line {number} is not JSON: {}", shown::excerpt(&error.to_string(), 200))
        })?;
        list.push(value);
    }
    Ok(Value::Array(list))
}

fn csv(text: &str) -> Result<Value, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| not_csv(&error))?.clone();
    let mut list = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| not_csv(&error))?;
        list.push(row(header.iter(), record.iter()));
    }
    Ok(Value::Array(list))
}

fn not_csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => format!(
            "line {} has {len} fields, and the header {expected_len}",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        _ => format!("is no CSV: {}", shown::excerpt(&error.to_string(), 200)),
    }
}

fn row<'t>(header: impl Iterator<Item = &'t str>, cells: impl Iterator<Item = &'t str>) -> Value {
    let cells = header.zip(cells).map(|(name, cell)| (name.to_owned(), Value::from(cell)));
    Value::Object(cells.collect::<Map<String, Value>>())
}

/// Cells between bars; the rule under the header is no row, and lines without bars are none.
fn table(text: &str) -> Result<Value, String> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let line = line.trim();
        let inside = line.strip_prefix('|').unwrap_or(line);
        let inside = inside.strip_suffix('|').unwrap_or(inside);
        line.contains('|').then(|| inside.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    let is_rule = |row: &[String]| {
        row.iter().all(|cell| {
            !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':' | '=' | '+'))
        })
    };
    let mut header: Option<Vec<String>> = None;
    let mut list = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(cells) = cells(line).filter(|row| !is_rule(row)) else { continue };
        let Some(header) = &header else {
            header = Some(cells);
            continue;
        };
        if cells.len() != header.len() {
            return Err(format!(
                "line {number} has {} cells, and the header {}",
                cells.len(),
                header.len()
            ));
        }
        list.push(row(header.iter().map(String::as_str), cells.iter().map(String::as_str)));
    }
    if header.is_none() {
        Err("has no table: no line has bars".to_owned())
    } else {
        Ok(Value::Array(list))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_csv_and_tables_are_objects() {
        let csv = csv("a, power [W]\n1, 53.5 W\n").unwrap();
        assert_eq!(csv, json!([{ "a": "1", "power [W]": "53.5 W" }]));
        let table = table("Title\n| a | b |\n|---|--:|\n| 1 | x |\n").unwrap();
        assert_eq!(table, json!([{ "a": "1", "b": "x" }]));
        let bare = self::table("a | b\n--|--\n1 | 2").unwrap();
        assert_eq!(bare, json!([{ "a": "1", "b": "2" }]));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        assert!(
            csv("a,b\n1,2\n3\n").unwrap_err().contains("line 3 has 1 fields, and the header 2")
        );
        assert!(json("{\n \"a\": NaN}").unwrap_err().contains("line 2"));
        assert!(json("{\n \"a\": NaN}").unwrap_err().contains("`NaN` is no number"));
        assert!(lines("{}\n{").unwrap_err().contains("line 2"));
        assert!(json(&"[".repeat(500)).unwrap_err().contains("too deep"));
        assert!(table("nothing").is_err());
    }
}
