//! `runner import`: earlier results → runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{CommandResult, Failure, StudyArgs, count, exit, output};
use crate::import::{
    self, Finding, FindingKind, ImportError, Imported, Mode, OfExperiment, Roots, Scan,
};
use crate::plan::Plan;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// The folder in place of the manifest's `root`; NAME=DIR for the import of one experiment
    #[arg(long = "root", value_name = "[NAME=]DIR")]
    roots: Vec<String>,
    /// Everything but writing
    #[arg(long)]
    dry_run: bool,
    /// Replace stored runs whose file, map or levels changed; the old ones are kept under superseded/
    #[arg(long, conflicts_with_all = ["dry_run", "check"])]
    update: bool,
    /// Read again and say what would change; write nothing, and exit with 6 if anything would
    #[arg(long)]
    check: bool,
    /// Print what the patterns find: levels, cells as CSV rows, files that no pattern matches, parts of the map
    #[arg(long, conflicts_with_all = ["dry_run", "update", "check"])]
    scan: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where the files lie on this machine, unless an argument says so.
const ROOT: &str = "RUNNER_IMPORT_ROOT";

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    let imports = plan.study().experiments.iter().filter(|own| own.kind.is_import());
    if imports.clone().count() == 0 {
        let help = "write `[experiment.NAME.import]`; docs/import.md says how";
        return Err(Failure::new(exit::USAGE, "the manifest has no import", Some(help)));
    }
    let roots = roots(args, &plan)?;
    if args.scan {
        let found = import::scan(&plan, &roots).map_err(|error| failure(&error))?;
        output::print(&if args.json { output::json(&found)? } else { scanned(&found) })?;
        return Ok(exit::DONE);
    }
    let mode =
        if args.dry_run || args.check { Mode::Look } else { Mode::Write { update: args.update } };
    let imported = import::import(&plan, &args.study.results, &roots, mode)
        .map_err(|error| failure(&error))?;
    output::print(&if args.json { output::json(&imported)? } else { text(&imported, args) })?;
    Ok(code(&imported, args))
}

fn code(imported: &Imported, args: &Args) -> u8 {
    let differs = if args.check { imported.would_change() } else { imported.differs() };
    match (imported.failed(), differs) {
        (true, _) => exit::RUNS_FAILED,
        (false, true) => exit::VERIFICATION_FAILED,
        (false, false) => exit::DONE,
    }
}

fn failure(error: &ImportError) -> Failure {
    let help = match error {
        ImportError::Root { .. } => Some("--root DIR says where the files lie on this machine"),
        ImportError::Store(_) => None,
    };
    Failure::new(exit::INTERNAL, error, help)
}

fn roots(args: &Args, plan: &Plan) -> Result<Roots, Failure> {
    let mut roots = Roots { all: std::env::var_os(ROOT).map(PathBuf::from), own: BTreeMap::new() };
    let names: Vec<&str> = plan
        .study()
        .experiments
        .iter()
        .filter(|own| own.kind.is_import())
        .map(|own| own.name.as_str())
        .collect();
    for root in &args.roots {
        match root.split_once('=') {
            Some((name, folder)) if names.contains(&name) => {
                roots.own.insert(name.to_owned(), folder.into());
            }
            // A folder may have such a sign in its name.
            Some((name, _)) if !PathBuf::from(root).is_dir() => {
                let help = format!("experiments that import: {}", names.join(", "));
                let message = format!("--root: no experiment `{name}` imports anything");
                return Err(Failure::new(exit::USAGE, message, Some(&help)));
            }
            _ => roots.all = Some(root.into()),
        }
    }
    Ok(roots)
}

fn text(imported: &Imported, args: &Args) -> String {
    let mut text = String::new();
    let would = if args.dry_run || args.check { "would be " } else { "" };
    for own in &imported.experiments {
        let OfExperiment { name, planned, found, new, unchanged, changed, replaced, gone, .. } =
            own;
        let _ = write!(
            text,
            "{name}: {found} of {planned} runs: {would}{new} new, {unchanged} unchanged, "
        );
        let _ = match (*changed, *replaced) {
            (0, _) => write!(text, "0 changed"),
            (changed, 0) if would.is_empty() => {
                write!(text, "{changed} changed and kept as they were")
            }
            (changed, _) => write!(text, "{changed} {would}changed"),
        };
        if *gone > 0 {
            let _ = write!(text, ", {gone} whose rows are gone");
        }
        let passed: usize = own.passed_over.iter().map(|passed| passed.files).sum();
        let _ = writeln!(text, "; {} read, {passed} passed over", count(own.files as u64, "file"));
    }
    for finding in &imported.findings {
        let _ = writeln!(text, "{}", line(finding));
    }
    if imported.differs() && would.is_empty() {
        text.push_str("stored runs that changed are kept; --update replaces them\n");
    }
    text
}

fn line(finding: &Finding) -> String {
    let Finding { kind, experiment, count: times, first } = finding;
    let number = |thing: &str| count(*times as u64, thing);
    let what = match kind {
        FindingKind::Unreadable => {
            format!("error: no run from {}", number("place"))
        }
        FindingKind::Twice => {
            format!("error: two rows of one run, of which neither is imported: {}", number("time"))
        }
        FindingKind::Changed => format!("changed: {}", number("stored run")),
        FindingKind::Gone => format!("gone: {}", number("row")),
        FindingKind::Unaccounted => {
            format!("warning: {} that no pattern of `files` or `ignore` matches", number("file"))
        }
        FindingKind::Uncounted => format!("note: not counted: {}", number("call")),
        FindingKind::Differs => {
            format!("note: the file's own figure is not what is computed in {}", number("run"))
        }
        FindingKind::Mixed => {
            format!("warning: {} of a cell at another level of what is no axis", number("run"))
        }
        FindingKind::Beyond => {
            format!("warning: {} beyond what the cell asks for, not imported", number("row"))
        }
    };
    let of = if experiment.is_empty() { String::new() } else { format!(" ({experiment})") };
    let first = if *times > 1 { format!("first: {first}") } else { first.clone() };
    format!("{what}{of}: {first}")
}

/// Levels with their numbers, cells as a table that `cells` reads, and what of the map stands where.
fn scanned(scan: &Scan) -> String {
    let mut text = String::new();
    for own in &scan.experiments {
        let _ = writeln!(
            text,
            "# {}: {}, {}",
            own.name,
            count(own.files as u64, "file"),
            count(own.rows as u64, "row")
        );
        for unreadable in &own.unreadable {
            let _ = writeln!(text, "# cannot be read: {unreadable}");
        }
        for (axis, levels) in &own.levels {
            let levels: Vec<String> =
                levels.iter().map(|(level, rows)| format!("{level} ({rows})")).collect();
            let _ = writeln!(text, "# {axis}: {}", levels.join(", "));
        }
        for (field, found) in &own.fields {
            if found.there + found.unknown == own.rows && found.missing == 0 && found.unknown == 0 {
                continue;
            }
            let _ = write!(
                text,
                "# {field}: there in {}, unknown in {}, missing in {}",
                found.there, found.unknown, found.missing
            );
            let _ = match &found.first {
                Some(first) => writeln!(text, ": {first}"),
                None => writeln!(text),
            };
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let _ = writer.write_record(own.levels.keys());
        for (levels, _) in &own.cells {
            let _ = writer.write_record(levels);
        }
        let table = writer.into_inner().unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(&table));
        text.push('\n');
    }
    if !scan.unaccounted.is_empty() {
        let _ = writeln!(
            text,
            "# {} that no pattern matches:",
            count(scan.unaccounted.len() as u64, "file")
        );
        for path in &scan.unaccounted {
            let _ = writeln!(text, "#   {path}");
        }
    }
    text
}
