//! `runner check`: is the manifest right?

use super::{CommandResult, Failure, StudyArgs, count, exit, output, report, study};
use crate::cells::Filters;
use crate::manifest::{self, LoadError, ManifestErrors};
use crate::plan::Plan;
use crate::verdict;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The manifests to check
    #[arg(required = true)]
    manifests: Vec<std::path::PathBuf>,
    /// Check with this profile only; without it, every profile of the manifest is checked
    #[arg(long)]
    profile: Option<String>,
    /// Print problems as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let mut failures = Vec::new();
    let mut documents = Vec::new();
    for manifest in &args.manifests {
        let study = StudyArgs {
            manifest: manifest.clone(),
            profile: args.profile.clone(),
            filters: Vec::new(),
            results: "results".into(),
        };
        match check(&study) {
            Ok(lines) if args.json => {
                documents.push(
                    serde_json::json!({ "manifest": manifest, "problems": [], "plans": lines }),
                );
            }
            Ok(lines) => {
                for line in lines {
                    output::print(&format!("{line}\n"))?;
                }
            }
            Err(Checked::Problems(errors)) if args.json => documents.push(document(&errors)),
            Err(Checked::Problems(errors)) => {
                failures.push(Failure::manifest(errors));
            }
            Err(Checked::Failure(failure)) => return Err(failure),
        }
    }
    if args.json {
        let bad = documents.iter().any(|d| d["problems"].as_array().is_some_and(|p| !p.is_empty()));
        output::print(&output::json(&documents)?)?;
        return Ok(if bad { exit::INVALID_MANIFEST } else { exit::DONE });
    }
    let last = failures.pop();
    for failure in failures {
        output::say_styled(failure);
    }
    last.map_or(Ok(exit::DONE), Err)
}

enum Checked {
    Problems(ManifestErrors),
    Failure(Failure),
}

/// Checks one manifest, with its profiles; a line per plan that came out.
fn check(args: &StudyArgs) -> Result<Vec<String>, Checked> {
    let load = |profile: Option<&str>| {
        manifest::load(&args.manifest, profile).map_err(|error| match error {
            LoadError::Invalid(errors) => Checked::Problems(errors),
            other => Checked::Failure(Failure::load(other)),
        })
    };
    let study = load(args.profile.as_deref())?;
    let mut profiles: Vec<Option<String>> = vec![args.profile.clone()];
    if args.profile.is_none() {
        profiles.extend(study.profiles.iter().cloned().map(Some));
    }
    let mut lines = Vec::new();
    for profile in profiles {
        let study = load(profile.as_deref())?;
        let name = study.results_name();
        study::check(&study).map_err(Checked::Problems)?;
        report::template(None, &study).map_err(Checked::Failure)?;
        let mut warnings = study.warnings.clone();
        warnings.extend(verdict::unknown_metrics(&study));
        let plan = Plan::new(study, &Filters::default()).map_err(Checked::Problems)?;
        lines.push(format!(
            "{}: {name}: {}, {}, {}",
            args.manifest.display(),
            count(plan.study().experiments.len() as u64, "experiment"),
            count(plan.cells() as u64, "cell"),
            count(plan.runs(), "run")
        ));
        lines.extend(warnings.into_iter().map(|warning| format!("  warning: {warning}")));
    }
    Ok(lines)
}

fn document(errors: &ManifestErrors) -> serde_json::Value {
    let problems: Vec<serde_json::Value> = errors
        .problems
        .iter()
        .map(|located| {
            serde_json::json!({
                "line": located.line,
                "message": located.problem.message,
                "help": located.problem.help,
                "span": [located.problem.span.start, located.problem.span.end],
            })
        })
        .collect();
    serde_json::json!({ "manifest": errors.path, "problems": problems })
}
