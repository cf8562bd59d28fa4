//! Writing a report's files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure;
use crate::cli::{Failure, StudyArgs, exit};
use crate::os::files;
use crate::report::{Data, Figure, Report, cells};
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
    // last, so that no page ever misses a figure
    remove_stale(&folder.join("figures"), report)?;
    Ok([markdown, html])
}

/// Removes the figures that an earlier report wrote and this one does not have. What is not a figure of
/// ours is left alone.
fn remove_stale(folder: &Path, report: &Report) -> Result<(), Failure> {
    let failed = |action: &str, path: &Path, error: &std::io::Error| {
        let message = format!("cannot {action} {}: {error}", path.display());
        Failure::new(exit::INTERNAL, message, None)
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| failed("read", folder, &error))?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_current = report.figures().iter().any(|figure| figure.name == name);
        let is_svg = path.extension().is_some_and(|extension| extension == "svg");
        if is_svg && !is_current && is_ours(&path) {
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
    }
    Ok(())
}

fn is_ours(path: &Path) -> bool {
    let mut start = vec![0; Figure::START.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    // A link is somebody else's, whatever it leads to.
    let is_file = path.symlink_metadata().is_ok_and(|facts| facts.is_file());
    is_file && read.is_ok() && start == Figure::START.as_bytes()
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
    files::write(&partial, text.as_bytes()).and_then(|()| fs::rename(&partial, path)).map_err(
        |error| {
            let message = format!("cannot write {}: {error}", path.display());
            Failure::new(exit::INTERNAL, message, None)
        },
    )
}
