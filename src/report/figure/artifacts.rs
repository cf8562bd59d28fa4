//! Which runs' files a figure reads: one run per cell, and no file that is not shown.

use std::path::Path;

use formats::protocol::{AgentRecord, RECORD_FILE};
use serde::de::DeserializeOwned;

use super::groups::labels;
use super::{FigureError, Request};
use crate::metrics;
use crate::os::files;
use crate::report::completeness::fresh;

/// Cells that one picture of raw files shows.
const MOST_CELLS: usize = 6;

/// A run whose files are read.
#[derive(Debug)]
pub struct Shown<'a> {
    /// `<id8>/<repeat>`.
    pub run: String,
    /// The cell, and the run.
    pub label: String,
    pub folder: &'a Path,
}

/// The runs that a picture shows, and how many cells have the file.
#[derive(Debug)]
pub struct Choice<'a> {
    pub runs: Vec<Shown<'a>>,
    pub cells: usize,
}

impl Choice<'_> {
    /// What the caption says of them.
    pub fn said(&self) -> String {
        let left_out = if self.cells > self.runs.len() {
            format!(" (of {} cells with the file)", self.cells)
        } else {
            String::new()
        };
        let runs: Vec<&str> = self.runs.iter().map(|shown| shown.run.as_str()).collect();
        format!("Runs shown{left_out}: {}.", runs.join(", "))
    }
}

/// Of each cell the first run that is not stale and has the file; or the one that is asked for.
pub fn choose<'a>(request: &Request<'a>, file: &str) -> Result<Choice<'a>, FigureError> {
    let wanted = request.text("run")?;
    let cells = &request.selection.cells;
    let mut choice = Choice { runs: Vec::new(), cells: 0 };
    let mut met = false;
    for (cell, label) in cells.iter().copied().zip(labels(request.selection, &[])) {
        let id = |repeat: u32| format!("{}/{repeat}", cell.short());
        let mut runs =
            fresh(cell).filter(|run| wanted.is_none_or(|wanted| wanted == id(run.repeat)));
        let run = match wanted {
            Some(_) => runs.next().inspect(|_| met = true),
            None => runs.find(|run| run.files.contains_key(file)),
        };
        let run = run.filter(|run| run.files.contains_key(file));
        let Some((run, folder)) =
            run.and_then(|run| Some((run, cell.folders.get(&run.repeat)?.path.as_path())))
        else {
            continue;
        };
        choice.cells += 1;
        if choice.runs.len() < MOST_CELLS {
            let run = id(run.repeat);
            let label = if label.is_empty() { run.clone() } else { format!("{label} (run {run})") };
            choice.runs.push(Shown { run, label, folder });
        }
    }
    match wanted {
        Some(run) if !met => Err(FigureError::UnknownRun {
            kind: request.kind.name,
            said: request.selection.said.clone(),
            run: run.to_owned(),
        }),
        _ => Ok(choice),
    }
}

/// The rows of a CSV file; the error says which file and why, without the machine's paths.
pub fn rows<T: DeserializeOwned>(shown: &Shown, file: &str) -> Result<Vec<T>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{file} of run {}: {error}", shown.run);
    let opened = files::open(&shown.folder.join(file)).map_err(|error| failed(&error))?;
    let mut reader = csv::Reader::from_reader(std::io::BufReader::new(opened));
    reader.deserialize().collect::<Result<Vec<T>, _>>().map_err(|error| failed(&error))
}

/// What the agents recorded.
pub fn record(shown: &Shown) -> Result<AgentRecord, String> {
    metrics::read_record(&shown.folder.join(RECORD_FILE))
        .map_err(|error| format!("{RECORD_FILE} of run {}: {}", shown.run, error.reason))
}
