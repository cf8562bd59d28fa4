//! Whether a run was measured under other circumstances than today's.

use std::collections::BTreeMap;

use super::record::{EndpointEvidence, Evidence, RunRecord};

/// How today's evidence differs from the stored, one sentence fragment each; empty: not stale.
///
/// Only what changes what is measured counts: the agent's code, the servers, the models, the
/// machine. What is unknown on either side is no difference, nor is what differs because other things
/// were asked for: two runtimes have their own code, two tokenizers their own files.
#[must_use]
pub fn staleness(stored: &Evidence, today: &Evidence) -> Vec<String> {
    let mut differences = Vec::new();
    if stored.campaign != today.campaign {
        let (then, now) = (origin(stored), origin(today));
        differences.push(format!("one is {then}, the other {now}"));
    }
    if stored.agent.runtime == today.agent.runtime
        && differs(stored.agent.digest.as_ref(), today.agent.digest.as_ref())
    {
        differences.push(format!("the code of the runtime `{}` changed", stored.agent.runtime));
    }
    for (name, then) in &stored.endpoints {
        if let Some(now) = today.endpoints.get(name) {
            endpoint(name, then, now, &mut differences);
        }
    }
    if let (Some(then), Some(now)) = (&stored.tokenizer, &today.tokenizer)
        && then.name == now.name
    {
        let what = format!("the digest of the tokenizer `{}`", then.name);
        let (then, now) = (then.sha256.as_deref(), now.sha256.as_deref());
        changed(&what, then.map(short), now.map(short), &mut differences);
    }
    let (then, now) = (&stored.machine, &today.machine);
    changed("the hostname", then.hostname.as_deref(), now.hostname.as_deref(), &mut differences);
    changed("the CPU", then.cpu.as_deref(), now.cpu.as_deref(), &mut differences);
    // No GPU listed means that none was seen, which may mean that none could be seen.
    let gpus = |gpus: &[super::record::GpuEvidence]| {
        let names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    changed("the GPU", gpus(&then.gpus).as_deref(), gpus(&now.gpus).as_deref(), &mut differences);
    differences
}

/// Where a run comes from, in words.
fn origin(evidence: &Evidence) -> String {
    match &evidence.campaign {
        Some(campaign) => format!("imported ({campaign})"),
        None => "measured".to_owned(),
    }
}

fn endpoint(
    name: &str,
    then: &EndpointEvidence,
    now: &EndpointEvidence,
    differences: &mut Vec<String>,
) {
    let what = format!("the server of `{name}`");
    changed(&what, then.server.as_deref(), now.server.as_deref(), differences);
    let what = format!("the server version of `{name}`");
    changed(&what, then.version.as_deref(), now.version.as_deref(), differences);
    for (model, then) in &then.models {
        let now = now.models.get(model).and_then(|model| model.digest.as_deref());
        let what = format!("the digest of model `{model}` on `{name}`");
        changed(&what, then.digest.as_deref().map(short), now.map(short), differences);
    }
}

/// Digests of models are long; twelve digits are what their own tools show.
fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..12).unwrap_or(digits)
}

fn changed(what: &str, then: Option<&str>, now: Option<&str>, differences: &mut Vec<String>) {
    if let (Some(then), Some(now)) = (then, now)
        && then != now
    {
        differences.push(format!("{what} was {then}, is {now}"));
    }
}

fn differs<T: PartialEq>(then: Option<T>, now: Option<T>) -> bool {
    matches!((then, now), (Some(then), Some(now)) if then != now)
}

/// How the evidence of each run differs from that of the newest, by repeat; without those that do
/// not differ.
#[must_use]
pub fn against_newest(runs: &BTreeMap<u32, RunRecord>) -> BTreeMap<u32, Vec<String>> {
    let Some(newest) = runs.values().max_by_key(|run| (&run.finished, run.repeat)) else {
        return BTreeMap::new();
    };
    runs.iter()
        .map(|(repeat, run)| (*repeat, staleness(&run.evidence, &newest.evidence)))
        .filter(|(_, differences)| !differences.is_empty())
        .collect()
}

/// How many of these runs are identified by version 1.
#[must_use]
pub fn version_1<'r>(runs: impl IntoIterator<Item = (&'r u32, &'r RunRecord)>) -> usize {
    runs.into_iter().filter(|(_, run)| run.identity_version < 2).count()
}

/// The runs of a cell that count: the repeats that are asked for, and those that were made because of
/// outliers. Further ones are hidden.
#[must_use]
pub fn counting(stored: &BTreeMap<u32, RunRecord>, repeats: u32) -> BTreeMap<u32, RunRecord> {
    let counts = |repeat: u32, run: &RunRecord| repeat <= repeats || run.rerun_of.is_some();
    let counting = stored.iter().filter(|(repeat, run)| counts(**repeat, run));
    counting.map(|(repeat, run)| (*repeat, run.clone())).collect()
}
