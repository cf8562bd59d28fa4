//! Checks of workflows: their prompts' placeholders, and the files that they read.

use std::path::Path;
use std::sync::Arc;

use agent::workflow::Kind;
use agent::workflow::template::{self, ANSWER, DATA};
use formats::protocol::ScanSpec;
use indexmap::IndexMap;

use super::names::reference;
use crate::encoding;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Workflow;
use crate::manifest::units;
use crate::manifest::written::{self, Manifest, Scalar};
use crate::workflow::{Corpus, CorpusError, corpus};

const EXTENSIONS: &str = "known are `csv`, `json` and `md`";

pub(super) fn workflows(
    written: &Manifest,
    prompts: &IndexMap<String, String>,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Arc<Workflow>> {
    let section = At::ROOT.key("workflow");
    let mut workflows = IndexMap::new();
    for (key, body) in &written.workflow {
        let at = section.key(key);
        let mut prompt = |stage: &'static str, name: &str, needed, allowed: &[&str]| {
            let at = at.key(stage);
            reference(problems, &at, "prompt", name, written.prompt.keys(), false);
            let text = prompts.get(name).cloned()?;
            for error in template::check(&text, needed, allowed) {
                let message = format!("prompt `{name}`, {stage} of workflow `{key}`: {error}");
                problems.value(&at, message, Some(help(stage)));
            }
            Some(text)
        };
        let analysis = prompt("analysis", &body.analysis, DATA, &[]);
        let report = prompt("report", &body.report, ANSWER, &[DATA]);
        let scan = scan(&at.key("scan"), &body.scan, dir, problems);
        if let (Some(analysis), Some(report), Some((scan, corpus))) = (analysis, report, scan) {
            workflows.insert(key.clone(), Arc::new(Workflow { scan, analysis, report, corpus }));
        }
    }
    workflows
}

fn help(stage: &str) -> String {
    let placeholders = match stage {
        "analysis" => "an analysis has `{data}`, the data summary",
        _ => "a report has `{answer}`, the analysis, and may have `{data}`, the data summary",
    };
    format!("{placeholders}; write `{{{{` and `}}}}` for braces")
}

/// The scan with its defaults, and what it finds now.
fn scan(
    at: &At<'_>,
    written: &written::Scan,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(ScanSpec, Corpus)> {
    let before = problems.len();
    let mut extensions = Vec::new();
    for (index, extension) in written.extensions.iter().enumerate() {
        let plain = extension.trim_start_matches('.').to_ascii_lowercase();
        if Kind::of(&plain).is_none() {
            let message = format!("files with the extension `{extension}` cannot be ingested");
            problems.value(&at.key("extensions").index(index), message, Some(EXTENSIONS.into()));
        }
        extensions.push(plain);
    }
    extensions.sort_unstable();
    extensions.dedup();
    if extensions.is_empty() {
        let message = "a scan needs at least one extension";
        problems.value(&at.key("extensions"), message, Some(EXTENSIONS.into()));
    }
    let max_bytes = match &written.max_bytes {
        None => Ok(ScanSpec::MAX_BYTES),
        Some(Scalar::Text(text)) => units::bytes(text),
        Some(Scalar::Integer(number)) => {
            u64::try_from(*number).map_err(|_| format!("`{number}` is not a number of bytes"))
        }
        Some(other) => Err(format!("`{other}` is not a number of bytes")),
    };
    let max_bytes = max_bytes.unwrap_or_else(|message| {
        problems.value(&at.key("max_bytes"), message, Some("write for example \"1 MiB\"".into()));
        0
    });
    let spec = ScanSpec {
        folder: dir.join(&written.folder),
        extensions,
        max_files: written.max_files.map_or(ScanSpec::MAX_FILES, u64::from),
        max_bytes,
    };
    if problems.len() > before {
        return None;
    }
    match corpus(&spec) {
        Ok(corpus) if corpus.files > 0 => Some((spec, corpus)),
        Ok(_) => {
            let shown = spec.folder.display();
            let message = format!("the scan of {shown} takes no file");
            let help = "it looks for these extensions below the folder, within `max_files` and \
                        `max_bytes`, and passes over names that begin with a dot";
            problems.value(&at.key("folder"), message, Some(help.into()));
            None
        }
        Err(error) => {
            let help = match &error {
                CorpusError::Read { .. } => "paths start at the manifest's folder",
                CorpusError::Encoding { .. } => encoding::HELP,
            };
            problems.value(&at.key("folder"), error.to_string(), Some(help.into()));
            None
        }
    }
}
