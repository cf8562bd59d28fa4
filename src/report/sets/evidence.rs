//! How the circumstances of two sets of runs differ.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::Serialize;

use crate::report::format::significant;
use crate::store::record::{Evidence, RunRecord};

/// One circumstance that is not the same on both sides: every value that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In words.
    pub what: String,
    /// Empty: no run of the side tells of it.
    pub a: Vec<String>,
    pub b: Vec<String>,
}

const UNKNOWN: &str = "unknown";

/// The differences, and the number of circumstances that are the same.
pub fn differences(a: &[&RunRecord], b: &[&RunRecord]) -> (Vec<Difference>, usize) {
    let mut met: IndexMap<String, [BTreeSet<String>; 2]> = IndexMap::new();
    for (side, runs) in [a, b].into_iter().enumerate() {
        for run in runs {
            let recorded = run.imported.iter().flat_map(|own| &own.recorded);
            let recorded =
                recorded.map(|(name, text)| (format!("recorded level {name}"), text.clone()));
            for (what, value) in facts(&run.evidence).into_iter().chain(recorded) {
                met.entry(what).or_default()[side].insert(value);
            }
        }
    }
    // a fact that only the other side tells of comes where that side has it, after its own kind
    met.sort_by_cached_key(|what, _| (rank(what), what.clone()));
    let all = met.len();
    let differences: Vec<Difference> = met
        .into_iter()
        .filter(|(_, [a, b])| a != b)
        .map(|(what, [a, b])| Difference {
            what,
            a: a.into_iter().collect(),
            b: b.into_iter().collect(),
        })
        .collect();
    let same = all - differences.len();
    (differences, same)
}

/// Kinds of circumstances, those that change the most first.
const KINDS: [&str; 7] =
    ["recorded level", "machine", "model", "server", "runtime", "runner", "calibration"];

fn rank(what: &str) -> usize {
    KINDS.iter().position(|kind| what.starts_with(kind)).unwrap_or(KINDS.len())
}

/// Everything that a run says of its circumstances, in words.
fn facts(evidence: &Evidence) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut known = |what: &str, value: Option<String>| {
        facts.push((what.to_owned(), value.unwrap_or_else(|| UNKNOWN.to_owned())));
    };
    let machine = &evidence.machine;
    known("machine: hostname", machine.hostname.clone());
    known("machine: system", machine.os.clone());
    known("machine: kernel", machine.kernel.clone());
    known("machine: CPU", machine.cpu.clone());
    known("machine: cores", machine.cores.map(|cores| cores.to_string()));
    known("machine: memory", machine.memory_mb.map(|memory| format!("{memory} MB")));
    known("machine: governor", machine.governor.clone());
    let gpus: Vec<&str> = machine.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    known("machine: GPU", Some(gpus.join(", ")).filter(|names| !names.is_empty()));
    let drivers: Vec<&str> = machine.gpus.iter().filter_map(|gpu| gpu.driver.as_deref()).collect();
    if !gpus.is_empty() {
        known("machine: GPU driver", Some(drivers.join(", ")).filter(|names| !names.is_empty()));
    }
    for (name, endpoint) in &evidence.endpoints {
        known(
            &format!("server of {name}"),
            endpoint.server.clone().or(Some(endpoint.kind.clone())),
        );
        known(&format!("server of {name}: version"), endpoint.version.clone());
        for (model, facts) in &endpoint.models {
            let what = |field: &str| format!("model {model} on {name}: {field}");
            known(&what("digest"), facts.digest.as_deref().map(short));
            known(&what("quantisation"), facts.quantization.clone());
            known(&what("parameters"), facts.parameter_size.clone());
            let context = facts.context_length.map(|length| length.to_string());
            known(&what("context"), context);
            known(&what("file"), facts.file.clone());
        }
    }
    let agent = &evidence.agent;
    known(&format!("runtime {}: code", agent.runtime), agent.digest.as_deref().map(short));
    if let Some(info) = &agent.info {
        known(&format!("runtime {}: version", agent.runtime), Some(info.version.clone()));
        for (name, value) in &info.details {
            known(&format!("runtime {}: {name}", agent.runtime), Some(value.clone()));
        }
    }
    known("runner: version", Some(evidence.runner.version.clone()));
    known("runner: digest", evidence.runner.digest.as_deref().map(short));
    // What a run says of itself is one of its figures, and no circumstance.
    if let Some(calibration) = evidence.calibration.as_ref().filter(|own| !own.own) {
        let mut settings = String::new();
        for (name, value) in &calibration.settings {
            let _ = write!(settings, ", {name} {value}");
        }
        let of = format!(
            "calibration of {}{settings}, {} streams at {} tok/s",
            calibration.runtime, calibration.streams, calibration.rate_tok_s
        );
        for (what, error) in
            [("TTFT", calibration.ttft_error_ms), ("gap", calibration.gap_error_ms)]
        {
            let ms = |error: f64| format!("{} ms", significant(error, 3));
            known(&format!("{of}: {what} error p50"), Some(ms(error.p50)));
            known(&format!("{of}: {what} error p99"), error.p99.map(ms));
        }
    } else if evidence.calibration.is_none() {
        known("calibration", Some("none".to_owned()));
    }
    let git = evidence.study_git.as_ref();
    known("commit of the study", git.map(|git| short(&git.commit)));
    let dirty = git.map(|git| if git.dirty { "yes" } else { "no" }.to_owned());
    known("commit of the study: uncommitted changes", dirty);
    facts
}

/// Tools show twelve digits of a digest.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}
