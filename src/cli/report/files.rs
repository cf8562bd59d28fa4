//! Writing a report's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure;
use crate::cli::{Failure, StudyArgs, exit};
use crate::report::{Data, Report, cells};
use crate::store::Store;

/// Writes the Markdown, the page and the figures; returns where the first two are.
pub fn report(report: &Report, study: &str, store: &Store) -> Result<[PathBuf; 2], Failure> {
    let folder = store.layout().root().join("report");
    for figure in report.figures() {
        let path = folder.join("figures").join(format!("{}.svg", figure.name));
        write(&path, &figure.standalone())?;
    }
    let (markdown, html) =
        (folder.join(format!("{study}.md")), folder.join(format!("{study}.html")));
    write(&markdown, &report.markdown())?;
    write(&html, &report.html())?;
    Ok([markdown, html])
}

/// One `summary.md` per cell that has a folder.
pub fn summaries(data: &Arc<Data>, store: &Store, study: &StudyArgs) -> Result<(), Failure> {
    let pages = cells(data).map_err(|error| failure(error, study))?;
    for (cell, page) in data.cells.iter().zip(pages) {
        let run = cell.runs.keys().next();
        let folder = run.and_then(|repeat| store.folder(&cell.id, *repeat)?.parent());
        if let Some(folder) = folder {
            write(&folder.join("summary.md"), &page)?;
        }
    }
    Ok(())
}

/// Leaves a file alone that says the same already.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| {
            let message = format!("cannot create {}: {error}", parent.display());
            Failure::new(exit::INTERNAL, message, None)
        })?;
    }
    // never seen half written; not synced, since it can be rendered again
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Failure::new(exit::INTERNAL, message, None)
    })
}
