//! Imports and their maps, checked: where earlier results lie, and how one kind of file is read.
//!
//! A map gives facts, not metrics: where duration, tokens, first token and decode time of a call stand. What a
//! figure means is decided once, in `metrics`, for measured and imported runs alike. Files are read by `import`.

mod map;
pub mod pattern;
pub mod unit;
mod value;
pub mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use formats::protocol::Outcome;
use indexmap::IndexMap;

pub(crate) use self::map::of_run;
pub use self::map::{load, rules, values};
use self::pattern::{PathPattern, Place};
pub use self::value::{Condition, From, Otherwise, Statistic, Value, Wanted, Zone};
pub use self::written::{Format, Over};
use super::command::{Direction, Stat};
use super::sign::Sign;

/// Folder of a study's results with the maps that its runs were read by, so that reports need no others.
pub const KEPT_MAPS: &str = "maps";

/// The name under which a map is kept there, by its path in the manifest.
#[must_use]
pub fn kept_map(written: &str) -> String {
    written.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')), "_")
}

/// The earlier results of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Which of several earlier measurements they are; part of identity.
    pub campaign: String,
    pub sources: Vec<Source>,
}

/// Files of one kind below one folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub map: Arc<Map>,
    /// As it is written.
    pub map_path: String,
    /// The file that it was read from.
    pub map_file: PathBuf,
    pub root: PathBuf,
    /// As it is written.
    pub root_written: String,
    pub files: Vec<PathPattern>,
    /// Files that are passed over, with the reason.
    pub ignore: Vec<(PathPattern, String)>,
    /// What the authors say of the circumstances.
    pub stated: BTreeMap<String, String>,
    /// In place of the map's.
    pub levels: IndexMap<String, Value>,
    pub repeat: Option<Value>,
    pub started: Option<Value>,
    pub finished: Option<Value>,
    pub wall: Option<Value>,
    pub uncounted: Option<Vec<Uncounted>>,
    pub keeps_files: bool,
    pub note: Option<String>,
    /// Of the import in the manifest, from 1.
    pub line: usize,
}

/// How one kind of file is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The name of its file without folder and extension.
    pub name: String,
    pub title: Option<String>,
    /// SHA-256 of its canonical form: comments and the order of keys do not count. 64 hex digits.
    pub sha256: String,
    pub format: Option<Format>,
    /// One run for each match; `None`: the file is one run.
    pub each: Option<Place>,
    pub levels: IndexMap<String, Value>,
    pub repeat: Value,
    pub started: Option<Value>,
    pub finished: Option<Value>,
    pub wall: Option<Value>,
    /// By the stage's name.
    pub stages: IndexMap<&'static str, Value>,
    pub evidence: IndexMap<String, Value>,
    pub agents: Option<Agents>,
    pub calls: Option<Calls>,
    pub metrics: Vec<Metric>,
    pub window: Option<Window>,
}

/// Who worked at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Agents {
    pub names: Vec<String>,
    /// By [`Fact::name`].
    pub facts: IndexMap<&'static str, Value>,
}

/// The calls of each agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    pub each: Place,
    /// By [`Fact::name`].
    pub facts: IndexMap<&'static str, Value>,
    pub stage: Option<Value>,
    pub started: Option<Value>,
    pub uncounted: Vec<Uncounted>,
}

/// A fact that a map may give: as maps call it, as it is stored, and in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    pub key: &'static str,
    pub name: &'static str,
    /// Empty for a count.
    pub unit: &'static str,
}

const fn fact(key: &'static str, name: &'static str, unit: &'static str) -> Fact {
    Fact { key, name, unit }
}

/// Time of all of a run's work.
pub const WALL: Fact = fact("wall", "wall_ms", "ms");
/// Time of a stage of a workflow.
pub const STAGE: Fact = fact("stages", "stage_ms", "ms");

pub const AGENT_FACTS: [Fact; 5] = [
    fact("duration", "duration_ms", "ms"),
    fact("tokens", "tokens", ""),
    fact("calls", "calls", ""),
    fact("ttft", "ttft_ms", "ms"),
    fact("decode_rate", "decode_rate_tokens_per_s", "tok/s"),
];

pub const CALL_FACTS: [Fact; 9] = [
    fact("tokens", "tokens", ""),
    fact("prompt_tokens", "prompt_tokens", ""),
    fact("ttft", "ttft_ms", "ms"),
    fact("e2e", "e2e_ms", "ms"),
    fact("decode", "decode_ms", "ms"),
    fact("prefill", "prefill_ms", "ms"),
    fact("load", "load_ms", "ms"),
    fact("server_total", "server_total_ms", "ms"),
    fact("decode_rate", "decode_rate_tokens_per_s", "tok/s"),
];

/// Which calls do not count, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncounted {
    /// As it is written.
    pub when: String,
    /// All of them must hold.
    pub conditions: Vec<OnFact>,
    pub outcome: Outcome,
    pub because: String,
}

/// A condition on a fact of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct OnFact {
    /// [`Fact::name`].
    pub fact: &'static str,
    /// `None`: it must be unknown. An unknown fact fulfils no comparison.
    pub compared: Option<(Sign, f64)>,
}

/// A figure as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: String,
    pub of: MetricOf,
    pub value: Value,
    pub over: Over,
    /// `None`: that of the catalogue, or a pure number.
    pub unit: Option<String>,
    pub better: Option<Direction>,
    /// The metric of the catalogue that it should be.
    pub equals: Option<String>,
}

/// What a figure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricOf {
    Run,
    Agent,
    Call,
}

/// The part of a series that belongs to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub from: Place,
    pub time: String,
    pub conditions: Vec<Condition>,
    pub by: Option<String>,
}

impl Source {
    #[must_use]
    pub fn repeat(&self) -> &Value {
        self.repeat.as_ref().unwrap_or(&self.map.repeat)
    }

    #[must_use]
    pub fn uncounted(&self) -> &[Uncounted] {
        let own = self.map.calls.as_ref().map(|calls| calls.uncounted.as_slice());
        self.uncounted.as_deref().or(own).unwrap_or_default()
    }
}

impl Metric {
    /// Where the figure comes from, in words.
    #[must_use]
    pub fn formula(&self) -> String {
        let of = match (self.of, self.over) {
            (MetricOf::Run, _) => "",
            (MetricOf::Agent, Over::Mean) => "mean over agents of ",
            (MetricOf::Agent, Over::Sum) => "sum over agents of ",
            (MetricOf::Call, Over::Mean) => "mean over calls of ",
            (MetricOf::Call, Over::Sum) => "sum over calls of ",
        };
        format!("{of}{} as the file has it", self.value.written())
    }
}

impl Import {
    /// Figures that the maps of its sources give, each name once.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        let all = self.sources.iter().flat_map(|source| &source.map.metrics);
        let named: IndexMap<&str, &Metric> =
            all.map(|metric| (metric.name.as_str(), metric)).collect();
        named.into_values()
    }
}

/// What is taken of several values, by the key that a map writes.
const STATISTICS: [(&str, Statistic); 13] = [
    ("mean", Statistic::Of(Stat::Mean)),
    ("sum", Statistic::Of(Stat::Sum)),
    ("min", Statistic::Of(Stat::Min)),
    ("max", Statistic::Of(Stat::Max)),
    ("median", Statistic::Of(Stat::Median)),
    ("sd", Statistic::Of(Stat::Sd)),
    ("count", Statistic::Of(Stat::Count)),
    ("first", Statistic::Of(Stat::First)),
    ("last", Statistic::Of(Stat::Last)),
    ("latest", Statistic::Latest),
    ("earliest", Statistic::Earliest),
    ("distinct", Statistic::Distinct),
    ("each", Statistic::Each),
];
