//! `runner report`: what is stored of a study → Markdown, one HTML page, figures, a summary per cell.

mod files;
mod watch;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CommandResult, Failure, StudyArgs, exit, output, seals};
use crate::encoding;
use crate::manifest::Study;
use crate::plan::Plan;
use crate::report::{self, Data, Missing, RenderError, Stale, Template};
use crate::shown;
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
    /// Render although runs are missing or stale; the report says so
    #[arg(long)]
    pub partial: bool,
    #[command(flatten)]
    pub output: Output,
}

/// What becomes of the report; without any of these its files are written once.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Output {
    /// Print the report as Markdown instead of writing files
    #[arg(long)]
    pub stdout: bool,
    /// Print everything that the report's tables show, as JSON, instead of writing files
    #[arg(long)]
    pub json: bool,
    /// Render again whenever the manifest, the template or the stored runs change, until ctrl-C
    #[arg(long)]
    pub watch: bool,
}

pub fn run(args: &Args) -> CommandResult {
    if args.output.watch {
        return watch::run(args);
    }
    if args.output.stdout || args.output.json {
        let (plan, data, _) = data(args)?;
        if args.output.json {
            let json = report::json(&data, args.partial);
            let json = json.map_err(|error| failure(error, &args.study))?;
            output::print(&shown::json(&String::from_utf8_lossy(&json)))?;
        } else {
            let template = template(args.template.as_deref(), plan.study())?;
            let report = report::study(&data, &template, args.partial);
            let report = report.map_err(|error| failure(error, &args.study))?;
            output::print_data(report.markdown().as_bytes())?;
        }
        return Ok(exit::DONE);
    }
    for path in render_and_write(args)? {
        output::print(&format!("{}\n", path.display()))?;
    }
    Ok(exit::DONE)
}

/// Renders the report and writes its files; returns where the Markdown and the page are.
fn render_and_write(args: &Args) -> Result<[PathBuf; 2], Failure> {
    let (plan, data, store) = data(args)?;
    let template = template(args.template.as_deref(), plan.study())?;
    let report = report::study(&data, &template, args.partial)
        .map_err(|error| failure(error, &args.study))?;
    let paths = files::report(&report, &plan.study().name, &store)?;
    files::summaries(&data, &store, &args.study)?;
    Ok(paths)
}

fn data(args: &Args) -> Result<(Plan, Arc<Data>, Store), Failure> {
    let plan = args.study.plan()?;
    let (data, store) = load(&args.study, &plan)?;
    Ok((plan, Arc::new(data), store))
}

/// The plan's data, from the results folder. Runs that are not what was sealed are named and count as missing.
pub fn load(args: &StudyArgs, plan: &Plan) -> Result<(Data, Store), Failure> {
    let manifest = fs::read(&args.manifest).map_err(|error| {
        Failure::new(exit::USAGE, format!("cannot read {}: {error}", args.manifest.display()), None)
    })?;
    let store =
        Store::of(plan, &args.results).map_err(|error| Failure::error(exit::INTERNAL, error))?;
    seals::warn(&store);
    let data = report::collect(plan, &store, &formats::digest::of_bytes(&manifest), &args.filters)
        .map_err(|error| Failure::error(exit::INTERNAL, error))?;
    Ok((data, store))
}

/// `--template`, or what the manifest names: a file beside it, or one in the binary.
pub fn template(file: Option<&Path>, study: &Study) -> Result<Template, Failure> {
    if let Some(file) = template_file(file, study) {
        return read_template(&file);
    }
    let name = study.report.as_deref().unwrap_or(report::GENERAL);
    Template::builtin(name).ok_or_else(|| {
        let message = format!(
            "{}: report = {name:?} is neither a file beside the manifest nor a built-in template",
            study.path.display()
        );
        let known = format!("built in: {}", Template::names().join(", "));
        Failure::new(exit::INVALID_MANIFEST, message, Some(&known))
    })
}

/// The template's file, unless it is one in the binary.
fn template_file(file: Option<&Path>, study: &Study) -> Option<PathBuf> {
    match (file, &study.report) {
        (Some(file), _) => Some(file.to_owned()),
        (None, Some(name)) => Some(study.dir.join(name)).filter(|beside| beside.is_file()),
        (None, None) => None,
    }
}

fn read_template(path: &Path) -> Result<Template, Failure> {
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(exit::USAGE, format!("cannot read {}: {error}", path.display()), None)
    })?;
    let source = encoding::decode(bytes).map_err(|reason| {
        let message = format!("the template {} is not UTF-8: {reason}", path.display());
        Failure::new(exit::USAGE, message, Some(encoding::HELP))
    })?;
    let source = encoding::unix_lines(&source).into_owned();
    Ok(Template { name: path.display().to_string(), source })
}

fn failure(error: RenderError, args: &StudyArgs) -> Failure {
    match error {
        RenderError::Template(error) => Failure::diagnostic(exit::INTERNAL, *error),
        RenderError::Json(error) => Failure::error(exit::INTERNAL, error),
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
        for damaged in &cell.damaged {
            let _ = write!(message, "\n    {damaged}");
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
