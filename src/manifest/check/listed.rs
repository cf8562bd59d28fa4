//! Checks of cells that are listed in a file and not multiplied.

use std::path::Path;

use indexmap::IndexMap;

use super::axes::Levels;
use crate::encoding;
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Level, ListedCell};
use crate::manifest::written;

/// The column of a row's own number of repeats.
pub(super) const REPEATS: &str = "repeats";

/// The cells of a list, with their axes.
pub(super) struct Listed {
    /// With the levels that occur.
    pub axes: IndexMap<String, Vec<Level>>,
    pub labels: Vec<String>,
    pub cells: Vec<ListedCell>,
}

/// Reads the file that lists the cells; `None`: there is none, or it cannot be read (problems say why).
pub(super) fn listed(
    at: &At<'_>,
    checker: &Levels<'_>,
    fixed: &IndexMap<String, Level>,
    problems: &mut Problems<'_>,
) -> Option<Listed> {
    let written = checker.written;
    let Some(file) = &written.cells else {
        if written.axes.is_some() {
            let message = "`axes` says which columns of `cells` are axes, and there are no `cells`";
            problems.key(&at.key("axes"), message, None);
        }
        return None;
    };
    for (key, given) in [("matrix", !written.matrix.is_empty()), ("zip", !written.zip.is_empty())] {
        if given {
            let message =
                format!("`{key}` multiplies cells, and `cells` lists them: write one of the two");
            problems.key(&at.key(key), message, None);
        }
    }
    let at_cells = at.key("cells");
    let table = match table(&checker.setting.dir.join(file)) {
        Ok(table) => table,
        Err(reason) => {
            let message = format!("cannot read the cells of {file}: {reason}");
            let help =
                "a CSV file beside the manifest: a header with the axes, and one row per cell";
            problems.value(&at_cells, message, Some(help.to_owned()));
            return None;
        }
    };
    let before = problems.len();
    let mut own = read(at, file, &table, checker, fixed, problems);
    own.labels = labels(at, written, &own, problems);
    (problems.len() == before).then_some(own)
}

/// A CSV file: its header, and its rows with their lines.
struct Table {
    header: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
}

fn table(path: &Path) -> Result<Table, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = encoding::decode(bytes).map_err(|reason| format!("{reason}; {}", encoding::HELP))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = texts(reader.headers().map_err(|error| error.to_string())?);
    let rows = reader.records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        Ok((line, texts(&record)))
    });
    Ok(Table { header, rows: rows.collect::<Result<_, String>>()? })
}

fn read(
    at: &At<'_>,
    file: &str,
    table: &Table,
    checker: &Levels<'_>,
    fixed: &IndexMap<String, Level>,
    problems: &mut Problems<'_>,
) -> Listed {
    let at_cells = at.key("cells");
    let mut axes: IndexMap<String, Vec<Level>> = IndexMap::new();
    // A command's axes are those that it uses.
    let own_repeats = table.header.iter().any(|name| name == REPEATS);
    for name in table.header.iter().filter(|name| *name != REPEATS) {
        if fixed.contains_key(name) {
            let message = format!("`{name}` is fixed and also a column of {file}");
            problems.value(&at_cells, message, None);
        }
        if name.is_empty() || axes.insert(name.clone(), Vec::new()).is_some() {
            let message = if name.is_empty() {
                format!("{file} has a column without a name")
            } else {
                format!("{file} has two columns `{name}`")
            };
            problems.value(&at_cells, message, None);
        } else {
            checker.axis(&at_cells, name, problems);
        }
    }
    let mut cells: Vec<ListedCell> = Vec::new();
    for (line, row) in &table.rows {
        let mut levels = Vec::with_capacity(axes.len());
        let mut repeats = None;
        for (name, text) in table.header.iter().zip(row) {
            if own_repeats && name == REPEATS {
                repeats = match text.parse() {
                    Ok(number @ 1..) => Some(number),
                    _ if text.is_empty() => None,
                    _ => {
                        let message =
                            format!("{file}, line {line}: `{text}` is no number of repeats");
                        problems.value(
                            &at_cells,
                            message,
                            Some("write a whole number from 1, or nothing".to_owned()),
                        );
                        None
                    }
                };
                continue;
            }
            match checker.level_of(name, &factor::scalar(name, text)) {
                Ok(level) => {
                    if let Some(known) = axes.get_mut(name).filter(|known| !known.contains(&level))
                    {
                        known.push(level.clone());
                    }
                    levels.push(level);
                }
                Err(message) => {
                    problems.value(
                        &at_cells,
                        format!("{file}, line {line}: `{name}`: {message}"),
                        None,
                    );
                }
            }
        }
        if cells.iter().any(|other| other.levels == levels) {
            let message = format!("{file}, line {line}: the same cell stands above");
            problems.value(&at_cells, message, None);
        }
        cells.push(ListedCell { levels, repeats });
    }
    if cells.is_empty() {
        problems.value(&at_cells, format!("{file} lists no cell"), None);
    }
    Listed { axes, labels: Vec::new(), cells }
}

/// The columns that are no axes.
fn labels(
    at: &At<'_>,
    written: &written::Experiment,
    own: &Listed,
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let at_axes = at.key("axes");
    let Some(axes) = &written.axes else { return Vec::new() };
    for (index, name) in axes.iter().enumerate() {
        if !own.axes.contains_key(name) {
            let message = format!("there is no column `{name}`");
            let help = suggest(name, own.axes.keys().map(String::as_str));
            problems.value(&at_axes.index(index), message, help);
        }
    }
    own.axes.keys().filter(|name| !axes.contains(name)).cloned().collect()
}
