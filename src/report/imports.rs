//! What was read from earlier results: of which campaigns, by which maps, what their authors state, what nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::data::{Cell, Data, Experiment};
use super::select::value;
use crate::metrics;
use crate::plan::Plan;
use crate::shown;
use crate::store::record::{Imported, RunRecord};

/// What is known of the server, the model and the conditions of measured runs, and asked of imported ones.
const ASKED: [(&str, &[&str]); 10] = [
    ("server and its version", &["server", "server_version"]),
    ("model's digest", &["model_digest", "digest"]),
    ("quantisation", &["quantisation", "quantization"]),
    ("GPU", &["gpu"]),
    ("GPU driver", &["driver", "gpu_driver"]),
    ("CPU", &["cpu"]),
    ("client's code", &["client", "commit"]),
    ("prompts", &["prompt", "prompts"]),
    ("warm-up", &["warmup", "warm_up"]),
    ("order of the runs", &["order"]),
];
/// Characters of a value that is shown.
const LONGEST: usize = 120;
/// Different values that are shown.
const SHOWN: usize = 3;

/// The imported runs of a study.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Imports {
    pub runs: usize,
    pub campaigns: Vec<Campaign>,
    pub passed_over: Vec<PassedOver>,
    pub uncounted: Vec<Uncounted>,
    /// Figures of the files beside those that are computed.
    pub published: Vec<Published>,
}

/// One earlier measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Campaign {
    pub name: String,
    /// Names of the experiments that have runs of it.
    pub experiments: Vec<String>,
    /// With the SHA-256 of what they say.
    pub maps: Vec<(String, String)>,
    pub runs: usize,
    pub files: usize,
    pub bytes: u64,
    /// SHA-256 over the sorted digests of all files.
    pub digest: String,
    /// What the authors say.
    pub stated: Vec<(String, String)>,
    /// What the files say.
    pub evidence: Vec<(String, String)>,
    /// Levels that are no axes, with how many runs have each.
    pub recorded: Vec<(String, String)>,
    /// What nobody says.
    pub unknown: Vec<&'static str>,
    /// When, in words.
    pub when: String,
    pub notes: Vec<String>,
}

/// Files that are no runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    pub experiment: String,
    pub pattern: String,
    pub because: String,
}

/// Calls that do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncounted {
    pub experiment: String,
    pub outcome: String,
    pub because: String,
    pub calls: usize,
    pub runs: usize,
    /// `<id8>/<repeat>` of the first.
    pub first: String,
}

/// A figure of the files against what is computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    pub experiment: String,
    pub metric: String,
    pub computed: String,
    pub unit: String,
    /// Runs in which both are known.
    pub runs: usize,
    /// Of these, those in which the two differ by more than 10^-9 of them.
    pub differ: usize,
    pub largest: f64,
}

/// `None`: nothing was imported.
pub(super) fn imports(plan: &Plan, data: &Data) -> Option<Imports> {
    let mut found = Imports::default();
    let mut campaigns: BTreeMap<String, Met<'_>> = BTreeMap::new();
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    for experiment in data.experiments.iter().filter(|own| own.imported) {
        for own in &experiment.cells {
            let cell = &data.cells[own.cell];
            let is_first = counted.insert(&cell.id);
            for run in cell.runs.values() {
                let Some(imported) = &run.imported else { continue };
                let met = campaigns.entry(imported.campaign.clone()).or_default();
                met.experiments.insert(&experiment.name);
                if is_first {
                    met.add(run, imported);
                    found.runs += 1;
                }
            }
        }
        found.uncounted.extend(uncounted(data, experiment));
        let manifest = plan.study().experiments.iter().find(|own| own.name == experiment.name);
        let import = manifest.and_then(|own| own.kind.import());
        for source in import.iter().flat_map(|own| &own.sources) {
            for (pattern, because) in &source.ignore {
                let passed = PassedOver {
                    experiment: experiment.name.clone(),
                    pattern: pattern.written.clone(),
                    because: because.clone(),
                };
                if !found.passed_over.contains(&passed) {
                    found.passed_over.push(passed);
                }
            }
        }
        for metric in import.iter().flat_map(|own| own.metrics()) {
            let Some(other) = &metric.equals else { continue };
            let names = (metric.name.as_str(), other.as_str());
            found.published.extend(published(data, experiment, names));
        }
    }
    found.campaigns = campaigns.into_iter().map(|(name, met)| met.campaign(name)).collect();
    (found.runs > 0).then_some(found)
}

/// What was met of one campaign.
#[derive(Default)]
struct Met<'d> {
    experiments: BTreeSet<&'d str>,
    maps: BTreeSet<(&'d str, &'d str)>,
    runs: usize,
    files: BTreeMap<&'d str, u64>,
    stated: BTreeMap<&'d str, BTreeSet<&'d str>>,
    evidence: BTreeMap<&'d str, BTreeMap<String, usize>>,
    recorded: BTreeMap<&'d str, BTreeMap<String, usize>>,
    times: BTreeSet<&'d str>,
    as_written: BTreeSet<&'d str>,
    notes: BTreeSet<&'d str>,
}

impl<'d> Met<'d> {
    fn add(&mut self, run: &'d RunRecord, imported: &'d Imported) {
        self.runs += 1;
        self.maps.insert((&imported.map, &imported.map_sha256));
        for origin in &imported.origin {
            self.files.insert(&origin.sha256, origin.bytes);
        }
        for (name, text) in &imported.stated {
            self.stated.entry(name).or_default().insert(text);
        }
        for (name, own) in &imported.evidence {
            *self.evidence.entry(name).or_default().entry(text(own)).or_default() += 1;
        }
        for (name, own) in &imported.recorded {
            *self.recorded.entry(name).or_default().entry(own.clone()).or_default() += 1;
        }
        self.times.extend(run.started.as_deref().into_iter().chain(run.finished.as_deref()));
        let written = [&imported.started_as_written, &imported.finished_as_written];
        self.as_written.extend(written.into_iter().flatten().map(String::as_str));
        self.notes.extend(imported.notes.iter().map(String::as_str));
    }

    fn campaign(self, name: String) -> Campaign {
        let is_said = |names: &[&str]| {
            names
                .iter()
                .any(|name| self.stated.contains_key(name) || self.evidence.contains_key(name))
        };
        let unknown = ASKED.iter().filter(|(_, names)| !is_said(names)).map(|(what, _)| *what);
        let digests: Vec<&str> = self.files.keys().copied().collect();
        let ends = |times: &BTreeSet<&str>| {
            let (first, last) = (times.first().copied()?, times.last().copied()?);
            Some(if first == last { first.to_owned() } else { format!("{first} to {last}") })
        };
        let when = match (ends(&self.times), ends(&self.as_written)) {
            (Some(utc), None) => utc,
            (Some(utc), Some(local)) => format!("{utc}; {local} in a time zone that is not known"),
            (None, Some(local)) => format!("{local}, in a time zone that is not known"),
            (None, None) => "unknown".to_owned(),
        };
        let said = |met: BTreeMap<&str, BTreeMap<String, usize>>| -> Vec<(String, String)> {
            met.into_iter().map(|(name, values)| (name.to_owned(), several(values))).collect()
        };
        Campaign {
            name,
            experiments: self.experiments.iter().map(|name| (*name).to_owned()).collect(),
            maps: self
                .maps
                .iter()
                .map(|(map, sha)| ((*map).to_owned(), (*sha).to_owned()))
                .collect(),
            runs: self.runs,
            files: self.files.len(),
            bytes: self.files.values().sum(),
            digest: formats::digest::of_bytes(digests.join("\n").as_bytes()),
            stated: self
                .stated
                .iter()
                .map(|(name, texts)| {
                    let texts: Vec<&str> = texts.iter().copied().collect();
                    ((*name).to_owned(), texts.join("; "))
                })
                .collect(),
            unknown: unknown.collect(),
            when,
            notes: self.notes.iter().map(|note| (*note).to_owned()).collect(),
            evidence: said(self.evidence),
            recorded: said(self.recorded),
        }
    }
}

fn text(own: &Value) -> String {
    let text = match own {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    shown::excerpt(&text, LONGEST)
}

/// The values that were met, with how many runs have each where there are several.
fn several(values: BTreeMap<String, usize>) -> String {
    let number = values.len();
    if number == 1 {
        return values.into_keys().next().unwrap_or_default();
    }
    let shown: Vec<String> =
        values.iter().take(SHOWN).map(|(text, runs)| format!("{text} ({runs})")).collect();
    let more = number.saturating_sub(SHOWN);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn runs<'d>(
    data: &'d Data,
    experiment: &'d Experiment,
) -> impl Iterator<Item = (&'d Cell, &'d RunRecord)> {
    let cells = experiment.cells.iter().map(|own| &data.cells[own.cell]);
    cells.flat_map(|cell| cell.runs.values().map(move |run| (cell, run)))
}

fn uncounted(data: &Data, experiment: &Experiment) -> Vec<Uncounted> {
    let mut found: Vec<Uncounted> = Vec::new();
    for (cell, run) in runs(data, experiment) {
        let mut of_run = BTreeSet::new();
        for call in run.calls.iter().filter(|call| !call.outcome.counts()) {
            let because = call.error.clone().unwrap_or_default();
            let outcome = call.outcome.name();
            let known =
                found.iter().position(|own| own.outcome == outcome && own.because == because);
            let place = known.unwrap_or_else(|| {
                found.push(Uncounted {
                    experiment: experiment.name.clone(),
                    outcome: outcome.to_owned(),
                    because,
                    calls: 0,
                    runs: 0,
                    first: format!("{}/{}", cell.short(), run.repeat),
                });
                found.len() - 1
            });
            found[place].calls += 1;
            found[place].runs += usize::from(of_run.insert(place));
        }
    }
    found
}

fn published(data: &Data, experiment: &Experiment, names: (&str, &str)) -> Option<Published> {
    let (own, computed) = names;
    let unit = metrics::info(computed)?.unit;
    let mut found = Published {
        experiment: experiment.name.clone(),
        metric: own.to_owned(),
        computed: computed.to_owned(),
        unit: unit.to_owned(),
        runs: 0,
        differ: 0,
        largest: 0.0,
    };
    for (_, run) in runs(data, experiment) {
        let Some((own, should)) = value(run, own).zip(value(run, computed)) else { continue };
        let off = (own - should).abs();
        found.runs += 1;
        if off > 1e-9 * own.abs().max(should.abs()).max(1.0) {
            found.differ += 1;
            found.largest = found.largest.max(off);
        }
    }
    (found.runs > 0).then_some(found)
}
