//! A checked study: every reference resolved, every unit normalised, the profile applied.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::command::{Command, Pick};
use super::criterion::{Cells, Criterion, Statistic};
use super::source::Source;
use crate::agent::protocol::ScanSpec;
use crate::agent::workflow::Corpus;
use crate::corpus;

/// Inference options by name (`num_ctx`, `temperature`, …), in the order of the manifest.
/// Values are normalised: a number that is whole is an integer.
pub type Options = IndexMap<String, serde_json::Value>;

/// What a manifest declares, checked and with its profile applied.
#[derive(Debug, Clone)]
pub struct Study {
    pub name: String,
    pub title: Option<String>,
    /// Template name under `templates/`, or a path relative to [`Study::dir`].
    pub report: Option<String>,
    /// The profile that was applied, if any.
    pub profile: Option<String>,
    /// Every profile that the manifest declares.
    pub profiles: Vec<String>,
    /// The manifest's path, as given.
    pub path: PathBuf,
    /// The folder of the manifest; relative paths in it start here.
    pub dir: PathBuf,
    pub defaults: Defaults,
    pub endpoints: IndexMap<String, Endpoint>,
    /// Model names of the manifest → what this profile asks the servers for.
    pub models: IndexMap<String, String>,
    pub scenarios: IndexMap<String, Vec<ScenarioAgent>>,
    /// The user's own runtimes (`[runtime.NAME] command = […]`).
    pub runtimes: IndexMap<String, RuntimeCommand>,
    /// Declared tokenizers; [`Study::tokenizer`] knows those that are not.
    pub tokenizers: IndexMap<String, TokenizerFile>,
    /// Named texts of tokenizer experiments.
    pub corpora: IndexMap<String, corpus::Source>,
    pub experiments: Vec<Experiment>,
    /// When execution stops because runs failed.
    pub on_failure: OnFailure,
    pub outliers: Outliers,
    /// Published numbers that stored runs are held against.
    pub claims: Vec<Claim>,
    /// With the profile's in place of the study's.
    pub price: Price,
    /// Findings that do not stop the study, for `check`, `plan` and the report.
    pub warnings: Vec<String>,
    /// The manifest's text, for errors that are found later and for the record.
    pub source: Source,
}

impl Study {
    /// The folder under the results folder: `name` or `name@profile`.
    #[must_use]
    pub fn results_name(&self) -> String {
        match &self.profile {
            Some(profile) => format!("{}@{profile}", self.name),
            None => self.name.clone(),
        }
    }

    /// The file of a tokenizer: as declared, or else by its name in the folder `tokenizers` beside
    /// the manifest.
    #[must_use]
    pub fn tokenizer(&self, name: &str) -> TokenizerFile {
        self.tokenizers.get(name).cloned().unwrap_or_else(|| TokenizerFile {
            path: self.dir.join("tokenizers").join(name).join("tokenizer.json"),
            sha256: None,
        })
    }
}

/// Where a tokenizer is. Its content is met, not asked for, like that of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFile {
    /// Not absolute where the manifest's path is not.
    pub path: PathBuf,
    /// Declared digest, hex.
    pub sha256: Option<String>,
}

/// Settings that any experiment may override.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    pub repeats: u32,
    /// Calls of each agent before the measured ones; recorded, never counted.
    pub warmup: u32,
    /// Per call, from its start to its last byte.
    pub timeout: Duration,
    pub retry: Retry,
    pub order: Order,
    /// Seed of the run order; never part of a run's identity.
    pub order_seed: u64,
    pub max_tokens: Option<u32>,
    /// Put a short prefix, different per repeat, before each prompt.
    pub vary_prompt: bool,
    /// Add the repeat index to the inference option `seed`.
    pub vary_seed: bool,
    /// Largest matrix that is accepted, in runs of one experiment.
    pub max_runs: u64,
    /// Pattern of the cell folders' readable names.
    pub cell_name: Option<String>,
}

/// When and how often a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Further attempts after the first.
    pub max: u32,
    pub on: Vec<RetryOn>,
}

/// What execution does when runs fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The other runs are made.
    Continue,
    /// Execution stops after this many failed runs of one exec.
    StopAfter(u32),
}

/// How outliers among the runs of a cell are found; they are named, never dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// Empty: none is looked for.
    pub metrics: Vec<String>,
    /// |value − median| > k × MAD.
    pub k: f64,
    pub mad: Mad,
}

impl Default for Outliers {
    fn default() -> Self {
        Self { metrics: Vec::new(), k: 2.0, mad: Mad::Raw }
    }
}

/// The scale of the median absolute deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mad {
    /// As it is: about 18 % of normal data lie farther out than twice of it.
    Raw,
    /// Scaled to the standard deviation of normal data.
    Scaled,
}

/// What is measured instead of a cell whose run failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fallback {
    /// Changes to the cell, tried one after the other; each is applied to the cell as it was asked
    /// for.
    pub steps: Vec<IndexMap<String, Level>>,
    pub on: FallbackOn,
}

/// Causes of a failed run after which the next step is tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FallbackOn(pub Vec<RetryOn>);

/// Causes of a failed attempt that a retry policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    Timeout,
    Connect,
    HttpError,
    InBandError,
    Truncated,
    Malformed,
    /// The agent process died, hung or broke the protocol.
    Agent,
}

/// The order in which runs are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Blocks: every cell once, in a seeded order of its own per block, before any cell's next repeat.
    Interleaved,
    /// All runs shuffled together.
    Shuffled,
    /// Cell by cell, all repeats of one before the next.
    Sequential,
}

/// A named inference server.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    Ollama { url: String },
    OpenAi { url: String, api: OpenAiApi, api_key_env: Option<String> },
    Simulated(Pacing),
}

/// Which of the OpenAI endpoints is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenAiApi {
    Chat,
    Completions,
}

/// The schedule of the paced endpoint. Part of a run's identity: it is what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pacing {
    pub protocol: PacedProtocol,
    /// From the arrival of the request to the first chunk with text (after `load`, and after queueing).
    pub ttft: Duration,
    /// Tokens per second after the first chunk. Ignored when `gaps` is not empty.
    pub rate: f64,
    /// A trace of gaps between chunks, repeated when it ends; empty: constant gaps from `rate`.
    pub gaps: Vec<Duration>,
    /// Scale of the random deviation of each gap and of the TTFT (never below zero in total).
    pub jitter: Duration,
    pub jitter_shape: JitterShape,
    pub seed: u64,
    pub tokens_per_chunk: u32,
    /// Tokens after which the answer ends by itself (`stop`), if before the request's limit (`length`).
    pub tokens: Option<u32>,
    /// Time of loading the model, on the first call only.
    pub load: Duration,
    /// Calls served at the same time; further ones wait their turn. `None`: no limit.
    pub slots: Option<u32>,
    pub faults: Vec<Fault>,
}

/// What the paced endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PacedProtocol {
    /// `/api/generate`, NDJSON.
    Ollama,
    /// `/v1/chat/completions`, SSE.
    OpenaiChat,
    /// `/v1/completions`, SSE.
    OpenaiCompletions,
}

/// Distribution of the jitter around the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JitterShape {
    /// Uniform in ± jitter.
    Uniform,
    /// Normal with standard deviation jitter.
    Normal,
    /// Exponential with mean jitter, added.
    Exponential,
}

/// A fault that the paced endpoint plays, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// Tokens sent before the fault (ignored by `Status` and `Slow`).
    pub after: u32,
    /// Only the first N calls that the server gets (counted from its start), or all.
    pub first: Option<u32>,
    /// Only every Nth call (the Nth, the 2Nth, …), or all.
    pub every: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// This HTTP status and an error body instead of an answer.
    Status(u16),
    /// An error object inside the stream, status 200.
    Error(String),
    /// Nothing more is sent; the connection stays open.
    Stall,
    /// The connection is reset (RST).
    Reset,
    /// The stream ends properly at HTTP level, without `done` or `[DONE]`.
    Truncate,
    /// A line that is not JSON, then the rest of the answer.
    Malformed,
    /// Every byte is sent by itself, this far apart.
    Slow(Duration),
}

/// One participant of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioAgent {
    pub agent: String,
    /// Name of an entry of [`Study::endpoints`].
    pub endpoint: String,
    pub work: Work,
    /// `None`: the server's defaults, which no option factor changes.
    pub options: Option<Options>,
    /// A fixed model; `None`: the cell's.
    pub model: Option<String>,
    /// Identical copies that work at the same time.
    pub count: u32,
}

/// What an agent does, once for each of its warm-up runs and once measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// One call with a prompt of this content.
    Prompt(String),
    /// Reads files, analyses, reports: two calls.
    Workflow(Arc<Workflow>),
}

impl Work {
    /// The prompts of its calls, in their order; those of a workflow are templates.
    #[must_use]
    pub fn prompts(&self) -> Vec<&str> {
        match self {
            Work::Prompt(prompt) => vec![prompt],
            Work::Workflow(workflow) => vec![&workflow.analysis, &workflow.report],
        }
    }
}

/// A workflow with the content of its prompts and what its scan found when the manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its folder is not absolute where the manifest's path is not.
    pub scan: ScanSpec,
    pub analysis: String,
    pub report: String,
    pub corpus: Corpus,
}

/// A user's own runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeCommand {
    pub command: Vec<String>,
}

/// A named part of a study: a matrix and what to run for each of its cells.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub name: String,
    pub title: Option<String>,
    pub kind: ExperimentKind,
    pub settings: Defaults,
    /// Factors fixed for the whole experiment (`runtime = "python"`), by factor name.
    pub fixed: IndexMap<String, Level>,
    /// Axes in the order of the manifest.
    pub axes: IndexMap<String, Vec<Level>>,
    pub zip: Vec<Vec<String>>,
    pub exclude: Vec<IndexMap<String, Level>>,
    pub include: Vec<IndexMap<String, Level>>,
    pub overrides: Vec<Override>,
    pub probes: Probes,
    pub controls: Vec<Control>,
    pub baseline: IndexMap<String, Level>,
    pub hypotheses: Vec<Hypothesis>,
    pub fallback: Fallback,
    /// Line of the experiment's header in the manifest, from 1.
    pub line: usize,
}

/// What a cell of an experiment does.
#[derive(Debug, Clone, PartialEq)]
pub enum ExperimentKind {
    /// Agents of a scenario call endpoints.
    Scenario,
    Tokenize(Tokenize),
    /// A program of the user's runs.
    Command(Box<Command>),
}

impl ExperimentKind {
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self, ExperimentKind::Command(_))
    }
}

impl Experiment {
    /// The metrics that it picks from files.
    #[must_use]
    pub fn picks(&self) -> &[Pick] {
        match &self.kind {
            ExperimentKind::Command(command) => &command.metrics,
            ExperimentKind::Scenario | ExperimentKind::Tokenize(_) => &[],
        }
    }
}

/// A tokenizer experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenize {
    /// Of the cells whose factor `corpus` names no other.
    pub corpus: corpus::Source,
    /// Measured passes.
    pub iterations: u32,
}

/// Levels that are changed in the cells that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub when: IndexMap<String, Level>,
    pub set: IndexMap<String, Level>,
}

/// Instruments switched on for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probes {
    /// Sleep of the loop-lag probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_lag: Option<Duration>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chunks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuProbe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<SampledProbe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flamegraph: Option<FlamegraphProbe>,
}

/// The sampling profiler of the agent's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlamegraphProbe {
    /// Samples per second.
    pub rate: u32,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
}

impl FlamegraphProbe {
    /// Samples per second unless the manifest says otherwise.
    pub const RATE: u32 = 100;
}

/// A probe that samples at an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampledProbe {
    pub interval: Duration,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
}

/// The GPU probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuProbe {
    pub interval: Duration,
    /// A run fails when the instrument is unavailable.
    pub required: bool,
    /// GPUs by index or UUID, in the order of the manifest; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

/// What work costs; never part of identity, since it is no measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of the machine while it works, US dollars.
    pub usd_per_hour: Option<f64>,
    /// Of the electricity that the GPUs take, US dollars.
    pub usd_per_kwh: Option<f64>,
}

/// A run made only to interpret others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    Idle,
    Solo,
}

/// A claim with a criterion; judged by the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    pub name: String,
    pub claim: String,
    /// Level of significance.
    pub alpha: f64,
    pub criterion: Criterion,
    /// The criterion as written, normalised, with an alpha that is not the default: what is kept with
    /// the plan to show later that it was not changed.
    pub document: serde_json::Value,
}

/// A published number, to be held against stored runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub name: String,
    pub value: f64,
    /// As written; the metric's where none is.
    pub unit: Option<String>,
    pub metric: String,
    pub statistic: Statistic,
    /// The experiment whose cells it is about; `None`: any.
    pub experiment: Option<String>,
    pub cells: Cells,
    pub tolerance: Tolerance,
    /// The profile whose results it is about; `None`: whichever results it is held against.
    pub profile: Option<String>,
    /// Where it was published.
    pub source: String,
}

/// How far a recomputed number may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// As a share of the published value.
    Relative(f64),
    /// In the claim's unit.
    Absolute(f64),
}

/// One value of a factor, normalised (`"64 KiB"` = `65536`).
#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    /// The factor's default: left out of identity.
    Default,
    Text(String),
    /// In the factor's base unit: bytes, tokens/s, seconds, a plain number.
    Number(f64),
    Bool(bool),
}

impl Level {
    /// As JSON; a number that is whole is an integer, and the default is null.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match self {
            Level::Default => serde_json::Value::Null,
            Level::Text(text) => text.clone().into(),
            Level::Bool(truth) => (*truth).into(),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Level::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                (*number as i64).into()
            }
            Level::Number(number) => (*number).into(),
        }
    }
}
