//! `runner report`: what is stored of a study → a Markdown page and a summary per cell.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CommandResult, Failure, StudyArgs, exit};
use crate::manifest::Study;
use crate::plan::Plan;
use crate::report::{self, Data, Missing, RenderError, Stale, Template};
use crate::store::Store;

/// Cells that a message lists before it only counts.
const LISTED: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Render this template instead of the manifest's
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Print the report instead of writing files
    #[arg(long)]
    pub stdout: bool,
    /// Render although runs are missing or stale; the report says so
    #[arg(long)]
    pub partial: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let template = template(args.template.as_deref(), plan.study())?;
    let (data, store) = load(&args.study, &plan)?;
    let data = Arc::new(data);
    let text = report::study(&data, &template, args.partial)
        .map_err(|error| failure(error, &args.study))?;
    if args.stdout {
        print(text.as_bytes())?;
    } else {
        let folder = store.layout().root().join("report");
        let path = folder.join(format!("{}.md", plan.study().name));
        write(&path, &text)?;
        summaries(&data, &store, &args.study)?;
        print(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(exit::DONE)
}

/// The plan's data, from the results folder.
pub fn load(args: &StudyArgs, plan: &Plan) -> Result<(Data, Store), Failure> {
    let manifest = fs::read(&args.manifest).map_err(|error| {
        Failure::new(exit::USAGE, format!("cannot read {}: {error}", args.manifest.display()), None)
    })?;
    let store = Store::open(&args.results, &plan.study().results_name())
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    if let Some(damaged) = store.damaged().first() {
        let message = format!(
            "{} run folder(s) cannot be trusted, first {}: {}",
            store.damaged().len(),
            damaged.folder.display(),
            damaged.reason
        );
        return Err(Failure::new(exit::INTERNAL, message, Some("see `runner verify`")));
    }
    let data = report::collect(plan, &store, &crate::digest::of_bytes(&manifest), &args.filters)
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    Ok((data, store))
}

/// Writes to standard output; a reader that has enough is no error.
pub fn print(text: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::error(exit::INTERNAL, error))
        }
        _ => Ok(()),
    }
}

/// `--template`, or what the manifest names: a file beside it, or one in the binary.
pub fn template(file: Option<&Path>, study: &Study) -> Result<Template, Failure> {
    if let Some(file) = file {
        return read_template(file);
    }
    let Some(name) = &study.report else {
        return Template::builtin(report::GENERAL)
            .ok_or_else(|| Failure::new(exit::INTERNAL, "the general template is missing", None));
    };
    let beside = study.dir.join(name);
    if beside.is_file() {
        return read_template(&beside);
    }
    Template::builtin(name).ok_or_else(|| {
        let message = format!(
            "{}: report = {name:?} is neither a file beside the manifest nor a built-in template",
            study.path.display()
        );
        let known = "built in: study.md.j2, tr117.md.j2, python_ceiling.md.j2";
        Failure::new(exit::INVALID_MANIFEST, message, Some(known))
    })
}

fn read_template(path: &Path) -> Result<Template, Failure> {
    let source = fs::read_to_string(path).map_err(|error| {
        Failure::new(exit::USAGE, format!("cannot read {}: {error}", path.display()), None)
    })?;
    Ok(Template { name: path.display().to_string(), source })
}

/// One `summary.md` per cell that has a folder.
fn summaries(data: &Arc<Data>, store: &Store, args: &StudyArgs) -> Result<(), Failure> {
    let pages = report::cells(data).map_err(|error| failure(error, args))?;
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
    let partial = path.with_extension("md.partial");
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Failure::new(exit::INTERNAL, message, None)
    })
}

fn failure(error: RenderError, args: &StudyArgs) -> Failure {
    match error {
        RenderError::Template(error) => Failure::diagnostic(exit::INTERNAL, *error),
        RenderError::Incomplete { missing, stale } => incomplete(&missing, &stale, args),
    }
}

/// What is missing or stale, and the command that makes it.
fn incomplete(missing: &[Missing], stale: &[Stale], args: &StudyArgs) -> Failure {
    let mut message = String::from("the study is not complete");
    let runs: usize = missing.iter().map(|cell| cell.repeats.len()).sum();
    if runs > 0 {
        let _ = write!(message, "\n{runs} run(s) of {} cell(s) are missing:", missing.len());
    }
    for cell in missing.iter().take(LISTED) {
        let repeats: Vec<String> = cell.repeats.iter().map(u32::to_string).collect();
        let _ = write!(message, "\n  {}-{}: repeat {}", cell.name, cell.cell, repeats.join(", "));
        if !cell.not_built.is_empty() {
            let _ = write!(message, " (this version cannot make: {})", cell.not_built.join("; "));
        }
    }
    more(&mut message, missing.len());
    if !stale.is_empty() {
        let _ = write!(message, "\n{} run(s) are stale:", stale.len());
    }
    for run in stale.iter().take(LISTED) {
        let _ = write!(message, "\n  {} {}: {}", run.run, run.name, run.differences.join("; "));
    }
    more(&mut message, stale.len());
    let mut exec = format!("runner exec {}", args.manifest.display());
    if let Some(profile) = &args.profile {
        let _ = write!(exec, " --profile {profile}");
    }
    if !stale.is_empty() {
        exec += " --rerun-stale";
    }
    let help = format!("make them with `{exec}`, or pass --partial to report what there is");
    Failure::new(exit::INTERNAL, message, Some(&help))
}

fn more(message: &mut String, total: usize) {
    if total > LISTED {
        let _ = write!(message, "\n  … and {} more", total - LISTED);
    }
}
