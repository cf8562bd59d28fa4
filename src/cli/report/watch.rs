//! `runner report --watch`: renders again whenever the manifest, the template or the stored runs
//! change, until ctrl-C.
//!
//! It looks at times and lengths of three files a few times a second, which costs nothing and works on
//! every file system.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::{Args, render_and_write, template_file};
use crate::cli::{CommandResult, Failure, exit, output};
use crate::store::Layout;

const INTERVAL: Duration = Duration::from_millis(250);

/// When a file was written and how long it is; `None`: it is not there.
type Stamp = Option<(SystemTime, u64)>;

pub fn run(args: &Args) -> CommandResult {
    let ended = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&ended);
    ctrlc::set_handler(move || handler.store(true, Ordering::SeqCst))
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let mut files = vec![args.study.manifest.clone()];
    let mut seen: Option<Vec<Stamp>> = None;
    while !ended.load(Ordering::SeqCst) {
        let now: Vec<Stamp> = files.iter().map(stamp).collect();
        if seen.as_ref() != Some(&now) {
            match render_and_write(args) {
                Ok(paths) => {
                    for path in paths {
                        output::say(format!("rendered {}", path.display()));
                    }
                }
                Err(failure) => output::say_styled(failure),
            }
            // a broken manifest names no files; then those of before are watched on
            if let Ok(found) = watched(args) {
                files = found;
            }
            // Stamps from before rendering: what changed meanwhile is seen next.
            seen = Some(if now.len() == files.len() {
                now
            } else {
                files.iter().map(stamp).collect()
            });
            output::say(format!("watching {}; ctrl-C ends", names(&files)));
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(exit::DONE)
}

/// The manifest, the journal of the study, and the template if it is a file.
fn watched(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let study = args.study.study()?;
    let layout = Layout::new(&args.study.results, &study.results_name())
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    let mut files = vec![args.study.manifest.clone(), layout.journal()];
    files.extend(template_file(args.template.as_deref(), &study));
    Ok(files)
}

fn stamp(path: &PathBuf) -> Stamp {
    let facts = fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
