//! The manifest as it is written, before anything is checked. The doc comments here become the
//! descriptions in `schemas/manifest.schema.json`, which editors show while a manifest is typed.

mod claim;
mod experiment;
mod hypothesis;
mod options;
mod recommendation;
mod value;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::study::{Api, JitterShape, Mad, MaxTokensKey, OnFailure, Order, RetryOn};
pub use claim::{Claim, ClaimAs, ClaimOver};
pub use experiment::{Corpus, Experiment, Override, Picked, Probes, Tokenize};
pub use hypothesis::{Correlation, Difference, Equivalent, Hypothesis, Ratio, Steadier, Threshold};
pub use options::{OptionSet, OptionValue};
pub use recommendation::{Ground, Recommendation};
pub use value::{
    Axis, CaptureSettings, Captured, GpuSampled, GpuSettings, HeaderValue, Profiled,
    ProfiledSettings, Sampled, SampledSettings, Scalar, Switched,
};

/// A study: what to measure, on which servers, how often, and what is claimed of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this grammar: 1.
    pub schema: u32,
    /// Short name of the study; its results live in results/<name>/.
    pub name: String,
    pub title: Option<String>,
    /// Report template: a built-in name (study.md.j2, tr117.md.j2) or a path beside the manifest.
    pub report: Option<String>,
    /// Settings that any experiment may override.
    #[serde(default)]
    pub defaults: Settings,
    /// Named inference servers.
    #[serde(default)]
    pub endpoint: IndexMap<String, Endpoint>,
    /// Named sets of inference options.
    #[serde(default)]
    pub options: IndexMap<String, OptionSet>,
    /// Named prompts.
    #[serde(default)]
    pub prompt: IndexMap<String, Prompt>,
    /// What an agent does beyond one call: reads files, has a model analyse them and report.
    #[serde(default)]
    pub workflow: IndexMap<String, Workflow>,
    /// Which agents work at the same time.
    #[serde(default)]
    pub scenario: IndexMap<String, Vec<Agent>>,
    /// Your own runtimes: programs that speak the agent protocol.
    #[serde(default)]
    pub runtime: IndexMap<String, Runtime>,
    /// Named tokenizers. Without any, a tokenizer `NAME` is `tokenizers/NAME/tokenizer.json` beside the manifest.
    #[serde(default)]
    pub tokenizer: IndexMap<String, Tokenizer>,
    /// Named texts, for the factor `corpus` of tokenizer experiments.
    #[serde(default)]
    pub corpus: IndexMap<String, Corpus>,
    /// What work costs, for `usd_per_million_tokens`; no measurement, so it changes no run.
    pub price: Option<Price>,
    /// Matrices and what to run for each cell.
    #[serde(default)]
    pub experiment: IndexMap<String, Experiment>,
    /// Published numbers to be held against stored runs.
    #[serde(default)]
    pub claim: IndexMap<String, Claim>,
    /// What the author recommends, each bound to verdicts or claims.
    #[serde(default)]
    pub recommendation: IndexMap<String, Recommendation>,
    /// Overlays: the same study on other servers, models or repeats.
    #[serde(default)]
    pub profile: IndexMap<String, Profile>,
}

/// Settings of runs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Runs of each cell (default 3).
    pub repeats: Option<u32>,
    /// Calls of each agent before the measured ones; recorded, never counted (default 1).
    pub warmup: Option<u32>,
    /// Limit of one call, e.g. "2m" (default).
    pub timeout: Option<Scalar>,
    /// Most bytes of files that a runtime or a command may leave in one attempt (default "1 GiB").
    pub max_output: Option<Scalar>,
    /// When a failed attempt is repeated (default: never).
    pub retry: Option<Retry>,
    /// Order of the runs (default interleaved).
    pub order: Option<Order>,
    /// Seed of the order (default 0).
    pub seed: Option<u64>,
    /// Tokens after which an answer is cut.
    pub max_tokens: Option<u32>,
    /// Put a short prefix before each prompt that differs per repeat, so that no prompt cache flatters prefill (default true).
    pub vary_prompt: Option<bool>,
    /// Add the repeat index to the inference seed (default false).
    pub vary_seed: Option<bool>,
    /// Count answers that end before `max_tokens` because the context is full (default false).
    pub accept_context_full: Option<bool>,
    /// Largest matrix that is accepted, in runs of one experiment (default 100 000).
    pub max_runs: Option<u64>,
    /// What is measured instead when a run of a scenario fails: changes to its cell, tried one after the other, e.g. `[{ num_gpu = 60 }, { model = "qwen2.5:7b" }]`.
    pub fallback: Option<Vec<IndexMap<String, Scalar>>>,
    /// Causes after which the next fallback is tried (default `http_error`, `in_band_error`).
    pub fallback_on: Option<Vec<RetryOn>>,
    /// What exec does when runs fail: "continue" (default), or `{ stop_after = N }`.
    pub on_failure: Option<OnFailure>,
    /// Runs that are shown as outliers and that `exec --rerun-outliers` repeats.
    pub outliers: Option<Outliers>,
    /// Repeats after which the data may be looked at before all are there, e.g. `[3, 5, 10]` with `repeats = 10`: hypotheses are judged at each, at levels that together keep alpha.
    pub looks: Option<Vec<u32>>,
    /// Repeat beyond `repeats` until the intervals are narrow, e.g. `{ half_width = "2 %", max = 30 }`.
    pub until: Option<Until>,
    /// Pattern of the folders of cells, e.g. "{runtime}/{model|slug}".
    pub cell_name: Option<String>,
}

/// Repeats that go on until every cell's mean is known well enough.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// Half of the 95 % interval of a cell's mean: a share of it ("2 %"), or a number in the metric's unit.
    pub half_width: Scalar,
    /// The most repeats.
    pub max: u32,
    /// Of this metric (default: every metric that the experiment's hypotheses name).
    pub metric: Option<String>,
}

/// Which runs of a cell are far from its others: |value − median| > k × MAD.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outliers {
    /// Names of metrics, e.g. `["aggregate_tokens_per_s"]`.
    pub metrics: Vec<String>,
    /// Multiples of the MAD (default 2).
    pub k: Option<f64>,
    /// The median absolute deviation as it is ("raw", default), or scaled to the standard deviation of normal data ("scaled").
    pub mad: Option<Mad>,
}

/// When and how often a failed attempt is repeated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Further attempts after the first.
    pub max: u32,
    /// Causes that are retried.
    pub on: Vec<RetryOn>,
}

/// A named inference server; exactly one of ollama, openai, anthropic, simulated.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What this endpoint was called before: runs that were measured under that name stay its runs.
    pub was: Option<String>,
    /// Address of an Ollama server, e.g. `"http://localhost:11434"`.
    pub ollama: Option<String>,
    /// Base address of an OpenAI-compatible server, e.g. `"http://localhost:8080/v1"`.
    pub openai: Option<String>,
    /// Address of a server that speaks Anthropic's Messages, e.g. `"http://localhost:11434"`.
    pub anthropic: Option<String>,
    /// Which of its paths is called. With ollama: generate (default) or chat; with openai: chat (default)
    /// or completions.
    pub api: Option<ApiPath>,
    /// The environment variable that holds the API key.
    pub api_key_env: Option<String>,
    /// Further headers of every request: a text each, or `{ env = "VARIABLE" }` for one that holds a secret.
    #[serde(default)]
    pub headers: IndexMap<String, HeaderValue>,
    /// The key of the request that carries the limit of tokens (with openai; default `max_tokens`).
    pub max_tokens_as: Option<MaxTokensKey>,
    /// Ask for the server's counts by `stream_options`, which some servers refuse (with openai; default true).
    pub stream_options: Option<bool>,
    /// Further names that the stream may give the model that was asked for, e.g. `["gpt-4o-2024-08-06"]`.
    #[serde(default)]
    pub answers_as: Vec<String>,
    /// PEM file, relative to the manifest, of authorities that are trusted besides the system's own.
    pub ca_file: Option<String>,
    /// HTTP proxy that everything goes through, e.g. `"http://proxy:3128"`. Proxies that the environment
    /// names are never used.
    pub proxy: Option<String>,
    /// The built-in paced endpoint; started by exec on a free port.
    pub simulated: Option<Simulated>,
}

/// A path of a server that has several for the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiPath {
    Generate,
    Chat,
    Completions,
}

/// Schedule of the built-in paced endpoint.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// What it speaks (default ollama).
    pub protocol: Option<Api>,
    /// Time to first token (default "50ms").
    pub ttft: Option<Scalar>,
    /// Tokens per second after the first (default "100 tok/s").
    pub rate: Option<Scalar>,
    /// Gaps between chunks instead of a rate, repeated when they end, e.g. `["10ms", "12ms"]`.
    #[serde(default)]
    pub gaps: Vec<Scalar>,
    /// Scale of the random deviation of gaps (default none).
    pub jitter: Option<Scalar>,
    /// Distribution of the deviation (default uniform).
    pub jitter_shape: Option<JitterShape>,
    /// Seed of the deviations (default 0).
    pub seed: Option<u64>,
    /// Tokens in one chunk (default 1).
    pub tokens_per_chunk: Option<u32>,
    /// Tokens after which the answer ends by itself.
    pub tokens: Option<u32>,
    /// Time of loading a model on its first call, and again after it was unloaded (default none).
    pub load: Option<Scalar>,
    /// Calls served at the same time; further ones queue (default no limit).
    pub slots: Option<u32>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// A fault of the paced endpoint; exactly one of status, error, stall, reset, truncate, malformed, slow.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the manifest")]
pub struct Fault {
    /// This HTTP status instead of an answer.
    pub status: Option<u16>,
    /// An error object with this text inside the stream.
    pub error: Option<String>,
    /// Nothing more is sent; the connection stays open.
    #[serde(default)]
    pub stall: bool,
    /// The connection is reset.
    #[serde(default)]
    pub reset: bool,
    /// The stream ends without its last record.
    #[serde(default)]
    pub truncate: bool,
    /// A line that is not JSON.
    #[serde(default)]
    pub malformed: bool,
    /// Every byte by itself, this far apart.
    pub slow: Option<Scalar>,
    /// Tokens sent before the fault (default 0).
    pub after: Option<u32>,
    /// Only the first N calls.
    pub first: Option<u32>,
    /// Only every Nth call.
    pub every: Option<u32>,
}

/// A prompt; exactly one of file, text.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Path beside the manifest.
    pub file: Option<String>,
    pub text: Option<String>,
}

/// Scan of files, ingest, a call that analyses them and one that reports on the analysis.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Which files are read.
    pub scan: Scan,
    /// Name of the prompt of the first call; in it {data} stands for the summary of the files.
    pub analysis: String,
    /// Name of the prompt of the second call; in it {answer} stands for the first call's answer, and {data} may occur too.
    pub report: String,
}

/// Which files a workflow reads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Path beside the manifest.
    pub folder: String,
    /// Among "csv", "json" and "md".
    pub extensions: Vec<String>,
    /// Most files that are read (default 1000).
    pub max_files: Option<u32>,
    /// Most bytes that are read, of all files together (default "64 MiB").
    pub max_bytes: Option<Scalar>,
}

/// One participant of a scenario; exactly one of prompt, workflow.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Name of the agent, unique in its scenario.
    pub agent: String,
    /// Name of an endpoint; without one the agent calls that of the cell (the factor `endpoint`).
    pub endpoint: Option<String>,
    /// Name of a prompt: the agent makes one call.
    pub prompt: Option<String>,
    /// Name of a workflow: the agent reads files and makes two calls.
    pub workflow: Option<String>,
    /// Name of a set of options; without it the agent keeps the server's defaults.
    pub options: Option<String>,
    /// A fixed model for this agent, whatever the matrix says.
    pub model: Option<String>,
    /// Identical copies that work at the same time (default 1).
    pub count: Option<u32>,
}

/// A program that speaks the agent protocol.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Program and arguments; a relative program is looked for beside the manifest.
    pub command: Vec<String>,
}

/// A tokenizer in the format of the `tokenizers` library.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenizer {
    /// A `tokenizer.json`; a path beside the manifest.
    pub file: String,
    /// Expected digest of the file.
    pub sha256: Option<String>,
}

/// What work costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of the machine while it works, US dollars per hour, e.g. 0.80.
    pub usd_per_hour: Option<f64>,
    /// Of the electricity that the watched GPUs take, US dollars per kWh, e.g. 0.25.
    pub usd_per_kwh: Option<f64>,
}

/// Other servers, models or settings for the same study.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Endpoints to replace.
    #[serde(default)]
    pub endpoint: IndexMap<String, Endpoint>,
    /// Model names of the study → names on these servers.
    #[serde(default)]
    pub model: IndexMap<String, String>,
    /// Sets of options to replace, each as a whole.
    #[serde(default)]
    pub options: IndexMap<String, OptionSet>,
    /// Settings to replace, also where an experiment has its own.
    #[serde(default)]
    pub defaults: Settings,
    /// The price on these servers, in place of the study's.
    pub price: Option<Price>,
}

/// The JSON Schema of manifests, generated from these types.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Manifest).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "runner manifest".into());
    }
    schema
}
