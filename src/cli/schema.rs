//! `runner schema`: the formats of this program as JSON Schema, and the catalogue of metrics.

use std::path::{Path, PathBuf};

use super::{CommandResult, Failure, exit, output};
use crate::{manifest, metrics};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to print: manifest, import-map, agent-spec, agent-event, agent-record or metrics
    name: Option<String>,
    /// Write all of them into a folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
    /// Fail when the files of a folder are not what this version writes
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "schemas",
          conflicts_with_all = ["name", "write"])]
    check: Option<PathBuf>,
}

pub fn run(args: &Args) -> CommandResult {
    let files = files();
    if let Some(folder) = &args.write {
        for (name, text) in &files {
            let path = folder.join(name);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| failure(&path, &error))?;
            output::print(&format!("{}\n", path.display()))?;
        }
        return Ok(exit::DONE);
    }
    if let Some(folder) = &args.check {
        return check(folder, &files);
    }
    let Some(wanted) = &args.name else {
        let names: Vec<&str> = files.iter().map(|(name, _)| stem(name)).collect();
        let message = format!("which one? {}", names.join(", "));
        return Err(Failure::new(exit::USAGE, message, Some("or --write DIR for all of them")));
    };
    if let Some((_, text)) = files.iter().find(|(name, _)| stem(name) == wanted) {
        output::print(text)?;
        return Ok(exit::DONE);
    }
    let help = manifest::nearest::suggest(wanted, files.iter().map(|(name, _)| stem(name)));
    let message = format!("there is no schema named `{wanted}`");
    Err(Failure::new(exit::USAGE, message, help.as_deref()))
}

/// File names and contents of everything that is generated from the code.
fn files() -> Vec<(String, String)> {
    let mut files = vec![("manifest.schema.json".to_owned(), pretty(&manifest::written::schema()))];
    let map = manifest::import::written::schema();
    files.push(("import-map.schema.json".to_owned(), pretty(&map)));
    for (name, schema) in formats::schemas() {
        files.push((name.to_owned(), pretty(&schema)));
    }
    files.push(("metrics.md".to_owned(), metrics::catalogue_markdown()));
    files
}

fn check(folder: &Path, files: &[(String, String)]) -> CommandResult {
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        let stored = std::fs::read_to_string(&path).map_err(|error| failure(&path, &error))?;
        if stored.replace("\r\n", "\n") != *text {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() {
        return Ok(exit::DONE);
    }
    let help = format!("write them anew: runner schema --write {}", folder.display());
    let message = format!("out of date: {}", stale.join(", "));
    Err(Failure::new(exit::INTERNAL, message, Some(&help)))
}

fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn pretty(schema: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

fn failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::INTERNAL, format!("{}: {error}", path.display()), None)
}
