//! The manifest as it is written, before anything is checked. The doc comments here become the
//! descriptions in `schemas/manifest.schema.json`, which editors show while a manifest is typed.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::study::{Control, JitterShape, OpenAiApi, Order, PacedProtocol, RetryOn};

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
    pub options: IndexMap<String, IndexMap<String, Scalar>>,
    /// Named prompts.
    #[serde(default)]
    pub prompt: IndexMap<String, Prompt>,
    /// Which agents work at the same time.
    #[serde(default)]
    pub scenario: IndexMap<String, Vec<Agent>>,
    /// Your own runtimes: programs that speak the agent protocol.
    #[serde(default)]
    pub runtime: IndexMap<String, Runtime>,
    /// Matrices and what to run for each cell.
    #[serde(default)]
    pub experiment: IndexMap<String, Experiment>,
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
    /// Largest matrix that is accepted, in runs of one experiment (default 100 000).
    pub max_runs: Option<u64>,
    /// Pattern of the folders of cells, e.g. "{runtime}/{model|slug}".
    pub cell_name: Option<String>,
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

/// A named inference server; exactly one of ollama, openai, simulated.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Address of an Ollama server, e.g. "http://localhost:11434".
    pub ollama: Option<String>,
    /// Base address of an OpenAI-compatible server, e.g. "http://localhost:8080/v1".
    pub openai: Option<String>,
    /// With openai: which endpoint is called (default chat).
    pub api: Option<OpenAiApi>,
    /// With openai: the environment variable that holds the API key.
    pub api_key_env: Option<String>,
    /// The built-in paced endpoint; started by exec on a free port.
    pub simulated: Option<Simulated>,
}

/// Schedule of the built-in paced endpoint.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// What it speaks (default ollama).
    pub protocol: Option<PacedProtocol>,
    /// Time to first token (default "50ms").
    pub ttft: Option<Scalar>,
    /// Tokens per second after the first (default "100 tok/s").
    pub rate: Option<Scalar>,
    /// Gaps between chunks instead of a rate, repeated when they end, e.g. ["10ms", "12ms"].
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
    /// Time of loading the model on the first call (default none).
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

/// One participant of a scenario.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Name of the agent, unique in its scenario.
    pub agent: String,
    /// Name of an endpoint.
    pub endpoint: String,
    /// Name of a prompt.
    pub prompt: String,
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

/// A matrix and what to run for each of its cells.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    pub title: Option<String>,
    /// Runtime of every cell: rust (default), python or one of yours.
    pub runtime: Option<String>,
    /// Model of every cell.
    pub model: Option<String>,
    /// Scenario of every cell.
    pub scenario: Option<String>,
    /// Further factors fixed for every cell, e.g. { throttle = "60 tok/s" }.
    #[serde(default)]
    pub fixed: IndexMap<String, Scalar>,
    /// Factors and their levels; they multiply.
    #[serde(default)]
    pub matrix: IndexMap<String, Axis>,
    /// Groups of axes that go in pairs instead of multiplying.
    #[serde(default)]
    pub zip: Vec<Vec<String>>,
    /// Cells to leave out.
    #[serde(default)]
    pub exclude: Vec<IndexMap<String, Scalar>>,
    /// Cells to add.
    #[serde(default)]
    pub include: Vec<IndexMap<String, Scalar>>,
    /// Levels to change in matching cells.
    #[serde(default, rename = "override")]
    pub overrides: Vec<Override>,
    #[serde(default)]
    pub probes: Probes,
    /// Runs made only to interpret others.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// Levels that the others are compared with.
    #[serde(default)]
    pub baseline: IndexMap<String, Scalar>,
    /// Claims, declared before the data.
    #[serde(default)]
    pub hypothesis: IndexMap<String, Hypothesis>,
    /// Measure tokenizers instead of a scenario.
    pub tokenize: Option<Tokenize>,
    /// Measure any program instead of a scenario; {axis} is replaced by the cell's level.
    pub command: Option<Vec<String>>,
    pub repeats: Option<u32>,
    pub warmup: Option<u32>,
    pub timeout: Option<Scalar>,
    pub retry: Option<Retry>,
    pub order: Option<Order>,
    pub seed: Option<u64>,
    pub max_tokens: Option<u32>,
    pub vary_prompt: Option<bool>,
    pub vary_seed: Option<bool>,
    pub max_runs: Option<u64>,
    pub cell_name: Option<String>,
}

impl Experiment {
    /// The settings that this experiment overrides.
    pub fn settings(&self) -> Settings {
        Settings {
            repeats: self.repeats,
            warmup: self.warmup,
            timeout: self.timeout.clone(),
            retry: self.retry.clone(),
            order: self.order,
            seed: self.seed,
            max_tokens: self.max_tokens,
            vary_prompt: self.vary_prompt,
            vary_seed: self.vary_seed,
            max_runs: self.max_runs,
            cell_name: self.cell_name.clone(),
        }
    }
}

/// Levels that change in the cells that match.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub when: IndexMap<String, Scalar>,
    pub set: IndexMap<String, Scalar>,
}

/// Instruments that are switched on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// Sleep of a task in the agent's own event loop, e.g. "1ms".
    pub loop_lag: Option<Scalar>,
    /// One row per chunk.
    #[serde(default)]
    pub chunks: bool,
    /// GPU samples: true, or { interval = "100ms", required = true }.
    pub gpu: Option<Sampled>,
    /// Host samples: true, or { interval = "100ms", required = true }.
    pub host: Option<Sampled>,
    /// Profile of the agent's process.
    #[serde(default)]
    pub flamegraph: bool,
}

/// A claim and its criterion; exactly one of correlation, greater, less, ratio, equivalent, threshold, all, any.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// The claim in one sentence.
    pub claim: Option<String>,
    /// Level of significance (default 0.05).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greater: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub less: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalent: Option<Equivalent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// All of these hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Hypothesis>>,
    /// At least one of these holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Hypothesis>>,
}

/// Two metrics go together over the runs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    pub x: String,
    pub y: String,
    #[serde(rename = "where", default, skip_serializing_if = "IndexMap::is_empty")]
    pub cells: IndexMap<String, Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

/// A metric differs between two selections of cells.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub metric: String,
    pub at: IndexMap<String, Scalar>,
    pub than: IndexMap<String, Scalar>,
    /// Smallest difference that counts (default 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<f64>,
}

/// The ratio of a metric between two selections of cells lies above or below a bound.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    pub metric: String,
    pub of: IndexMap<String, Scalar>,
    pub to: IndexMap<String, Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// A metric is the same in two selections of cells, within a margin.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Equivalent {
    pub metric: String,
    pub at: IndexMap<String, Scalar>,
    pub to: IndexMap<String, Scalar>,
    pub margin: f64,
}

/// A statistic of a metric lies above or below a bound.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    pub metric: String,
    #[serde(rename = "where", default, skip_serializing_if = "IndexMap::is_empty")]
    pub cells: IndexMap<String, Scalar>,
    /// mean (default), median, sd, cv, min, max, p95, p99.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// What tokenizers are measured on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {
    pub corpus: Corpus,
    /// Passes over the corpus (default 5).
    pub iterations: Option<u32>,
}

/// A text; exactly one of generate, file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Size of a generated text, e.g. "10 MB".
    pub generate: Option<Scalar>,
    /// Seed of the generated text (default 0).
    pub seed: Option<u64>,
    /// Path beside the manifest.
    pub file: Option<String>,
    /// Expected digest of the file.
    pub sha256: Option<String>,
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
    pub options: IndexMap<String, IndexMap<String, Scalar>>,
    /// Settings to replace, also where an experiment has its own.
    #[serde(default)]
    pub defaults: Settings,
}

/// One value: a text, a number or a truth value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only written, never read: reading is by hand below
pub enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Text(text) => write!(f, "{text}"),
            Scalar::Integer(number) => write!(f, "{number}"),
            Scalar::Float(number) => write!(f, "{number}"),
            Scalar::Bool(truth) => write!(f, "{truth}"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, a number, true or false")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                i64::try_from(value).map(Scalar::Integer).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The levels of a factor; a table addresses one agent: `insight = { num_ctx = [512, 1024] }`.
#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    Levels(Vec<Scalar>),
    Agent(IndexMap<String, Vec<Scalar>>),
}

impl<'de> Deserialize<'de> for Axis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AxisVisitor;
        impl<'de> Visitor<'de> for AxisVisitor {
            type Value = Axis;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of levels")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Axis, A::Error> {
                let mut levels = Vec::new();
                while let Some(level) = seq.next_element()? {
                    levels.push(level);
                }
                Ok(Axis::Levels(levels))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Axis, A::Error> {
                let mut factors = IndexMap::new();
                while let Some((name, levels)) = map.next_entry()? {
                    factors.insert(name, levels);
                }
                Ok(Axis::Agent(factors))
            }
        }
        deserializer.deserialize_any(AxisVisitor)
    }
}

impl JsonSchema for Axis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Axis".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let levels = Vec::<Scalar>::json_schema(generator);
        let agent = IndexMap::<String, Vec<Scalar>>::json_schema(generator);
        json_schema!({ "anyOf": [levels, agent] })
    }
}

/// `true`, or a table with an interval.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampled {
    Switch(bool),
    Settings(SampledSettings),
}

/// Settings of a sampling probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampledSettings {
    /// Time between samples (default "100ms").
    pub interval: Option<Scalar>,
    /// The run fails when the instrument is unavailable (default false).
    #[serde(default)]
    pub required: bool,
}

impl<'de> Deserialize<'de> for Sampled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SampledVisitor;
        impl<'de> Visitor<'de> for SampledVisitor {
            type Value = Sampled;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a table with `interval`")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Sampled, E> {
                Ok(Sampled::Switch(value))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Sampled, A::Error> {
                SampledSettings::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Sampled::Settings)
            }
        }
        deserializer.deserialize_any(SampledVisitor)
    }
}

impl JsonSchema for Sampled {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sampled".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<SampledSettings>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, settings] })
    }
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
