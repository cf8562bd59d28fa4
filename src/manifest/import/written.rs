//! Maps and imports as they are written, before anything is checked. The doc comments here become the descriptions
//! in the schemas.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::manifest::command::Direction;
use crate::manifest::written::Scalar;

/// How one kind of file of earlier results is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Version of this grammar: 1.
    pub schema: u32,
    pub title: Option<String>,
    /// What the files are (default: by their extension).
    pub format: Option<Format>,
    /// Pattern of places in a file: one run for each match. Without it a file is one run.
    pub each: Option<String>,
    /// Axis → its level. `"{agent}.num_gpu"` is one for each agent.
    #[serde(default)]
    pub levels: IndexMap<String, Value>,
    pub run: Run,
    /// What the file says of the circumstances.
    #[serde(default)]
    pub evidence: IndexMap<String, Value>,
    pub agents: Option<Agents>,
    pub calls: Option<Calls>,
    /// Figures as the file has them.
    #[serde(default)]
    pub metric: IndexMap<String, Metric>,
    pub window: Option<Window>,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Json,
    /// One document per line: a list.
    JsonLines,
    /// With a header: a list of objects.
    Csv,
    /// Cells between bars, as Markdown's: a list of objects.
    Table,
}

/// The run itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Number of the repeat, from 1.
    pub repeat: Value,
    /// When it began.
    pub started: Option<Value>,
    /// When it ended.
    pub finished: Option<Value>,
    /// Time of all of its work, by the client's clock.
    pub wall: Option<Value>,
    /// Times of the stages of a workflow.
    #[serde(default)]
    pub stages: Stages,
}

/// Times of the stages of a workflow, by the client's clock.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    pub scan: Option<Value>,
    pub ingest: Option<Value>,
    pub analysis: Option<Value>,
    pub report: Option<Value>,
}

/// Who worked at the same time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Names; each stands for {agent} in turn.
    pub names: Vec<String>,
    /// An agent's whole work, failed calls too, by the client's clock.
    pub duration: Option<Value>,
    /// Tokens of all of its calls.
    pub tokens: Option<Value>,
    /// Number of its calls, where there is no list of them.
    pub calls: Option<Value>,
    /// Mean time to first token of its calls, where there is no list of them.
    pub ttft: Option<Value>,
    /// Mean of tokens ÷ decode time over its calls, where there is no list of them.
    pub decode_rate: Option<Value>,
}

/// The calls of each agent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Pattern of places: one call for each match.
    pub each: String,
    pub tokens: Option<Value>,
    pub prompt_tokens: Option<Value>,
    /// Time to first token, by the client's clock.
    pub ttft: Option<Value>,
    /// Duration of the call, by the client's clock.
    pub e2e: Option<Value>,
    /// Decode duration, by the server's clock.
    pub decode: Option<Value>,
    /// Prefill duration, by the server's clock.
    pub prefill: Option<Value>,
    /// Load duration, by the server's clock.
    pub load: Option<Value>,
    /// All of the call, by the server's clock.
    pub server_total: Option<Value>,
    /// Tokens ÷ decode duration.
    pub decode_rate: Option<Value>,
    /// Of a workflow.
    pub stage: Option<Value>,
    /// When it began.
    pub started: Option<Value>,
    /// Calls that do not count.
    #[serde(default)]
    pub uncounted: Vec<Uncounted>,
}

/// Calls that do not count; the first rule that fits says why.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uncounted {
    /// A condition on a call's facts, e.g. "tokens < 100", "decode unknown"; several are joined by `and`.
    pub when: String,
    /// How such a call ended: an outcome such as truncated, `too_short`, empty, refused, timeout.
    #[serde(rename = "as")]
    pub outcome: String,
    /// Why it does not count.
    pub because: String,
}

/// A figure as the file has it; exactly one of run, agent, call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Of the run.
    pub run: Option<Value>,
    /// Of each agent; the run's is their mean.
    pub agent: Option<Value>,
    /// Of each call; the run's is the mean over those that count.
    pub call: Option<Value>,
    /// With agent or call: the run's is the sum.
    pub over: Option<Over>,
    /// E.g. "ms" (default: a pure number); of a metric of the catalogue it is the catalogue's.
    pub unit: Option<String>,
    /// Which direction is an improvement, where one is.
    pub better: Option<Direction>,
    /// The metric of the catalogue that this should be; an import counts the runs in which it is not.
    pub equals: Option<String>,
}

/// How a run's figure is made of its agents' or calls'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    #[default]
    Mean,
    Sum,
}

/// The part of a series that belongs to a run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The rows that tell the runs apart, e.g. `"chunk_metrics.csv#/*"`.
    pub from: String,
    /// Their column of time.
    pub time: String,
    pub begins: Begins,
    /// "last": at the last row before the next window begins.
    pub ends: Ends,
}

/// The rows with which runs begin; of each group the one whose number is the run's repeat, the earliest of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begins {
    /// Conditions on columns, e.g. `{ chunk_index = "= 0" }`.
    #[serde(rename = "where")]
    pub conditions: IndexMap<String, Scalar>,
    /// The column by which rows are grouped.
    pub by: Option<String>,
}

/// Where a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    Last,
}

/// A value: a place (`"/a/b"`, `"@/a"`, `"file.csv#/*/a"`), a text with captures (`"{repeat}"`), or a table.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Table(Box<ValueTable>),
}

/// A value in full; exactly one of at, text or a statistic.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct ValueTable {
    /// A place, or a list of places: the first that is there.
    pub at: Option<Texts>,
    /// A constant.
    pub text: Option<String>,
    pub mean: Option<String>,
    pub sum: Option<String>,
    pub min: Option<String>,
    pub max: Option<String>,
    pub median: Option<String>,
    /// Sample standard deviation (n − 1).
    pub sd: Option<String>,
    pub count: Option<String>,
    pub first: Option<String>,
    pub last: Option<String>,
    /// The latest of several times.
    pub latest: Option<String>,
    /// The earliest of several times.
    pub earliest: Option<String>,
    /// The number of different values.
    pub distinct: Option<String>,
    /// All values as a list.
    pub each: Option<String>,
    /// Of a pattern over rows: only those that fulfil these conditions, e.g. `{ gap_ms = "> 0", agent = "a" }`.
    #[serde(default, rename = "where")]
    pub conditions: IndexMap<String, Scalar>,
    /// With [window]: the column of time of these rows; only those in the run's window count.
    pub within: Option<String>,
    /// The unit that the file's number is in, e.g. "ns"; it is converted.
    pub unit: Option<String>,
    /// What a place that is not there is: "unknown", "default" or a value. Without it, it is an error.
    pub absent: Option<Scalar>,
    /// What a null is (default unknown).
    pub null: Option<Scalar>,
    /// "unknown": a program wrote 0 for what it did not know.
    pub zero: Option<Zero>,
    /// The file has a number of single precision in more digits: the shortest decimal that is the same.
    #[serde(default)]
    pub f32: bool,
    /// Turns a difference round.
    #[serde(default)]
    pub negate: bool,
    /// Text → value; `?` and `*` in its keys are patterns. What is not in it is an error.
    #[serde(default)]
    pub map: IndexMap<String, Scalar>,
    /// Of a time without an offset: an offset such as "+02:00", or "unknown".
    pub zone: Option<String>,
    /// Percentiles: p50, p99, p99.9, …
    #[serde(flatten)]
    pub percentiles: IndexMap<String, String>,
}

/// What a zero is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    Unknown,
}

/// One text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

/// One import, or several.
#[derive(Debug, Clone)]
pub struct Imports(pub Vec<Import>);

/// Earlier results in place of runs that are measured.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// How a file is read: a path beside the manifest.
    pub map: String,
    /// The folder of the files; a path beside the manifest. `runner import --root DIR` puts another in its place.
    pub root: String,
    /// Patterns of paths below root: `*` within a component, `**` any number of components, {name} captures, {name:a|b} only these.
    pub files: Texts,
    /// Pattern of paths → why such files are passed over.
    #[serde(default)]
    pub ignore: IndexMap<String, String>,
    /// Which of several earlier measurements this is; part of the runs' identity.
    pub campaign: String,
    /// What the authors say of the circumstances elsewhere.
    #[serde(default)]
    pub stated: IndexMap<String, Scalar>,
    /// Axis → its level, in place of the map's.
    #[serde(default)]
    pub levels: IndexMap<String, Value>,
    /// In place of the map's.
    pub repeat: Option<Value>,
    /// In place of the map's.
    pub started: Option<Value>,
    /// In place of the map's.
    pub finished: Option<Value>,
    /// In place of the map's.
    pub wall: Option<Value>,
    /// In place of the map's.
    pub uncounted: Option<Vec<Uncounted>>,
    /// "files": keep the origin files with the results.
    pub keep: Option<Keep>,
    /// What is to be known of these runs beside what their files say.
    pub note: Option<String>,
}

/// What is kept of the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    Files,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a place, a text with captures, or a table")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                ValueTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|own| Value::Table(Box::new(own)))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl JsonSchema for Value {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<ValueTable>();
        json_schema!({ "anyOf": [{ "type": "string" }, table] })
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Texts, E> {
                Ok(Texts(vec![value.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Texts)
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

impl<'de> Deserialize<'de> for Imports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ImportsVisitor;
        impl<'de> Visitor<'de> for ImportsVisitor {
            type Value = Imports;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an import or a list of imports")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Imports, A::Error> {
                Import::deserialize(MapAccessDeserializer::new(map)).map(|own| Imports(vec![own]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Imports, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Imports)
            }
        }
        deserializer.deserialize_any(ImportsVisitor)
    }
}

impl JsonSchema for Imports {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Imports".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let import = generator.subschema_for::<Import>();
        json_schema!({ "anyOf": [import, { "type": "array", "items": import }] })
    }
}

/// The JSON Schema of maps, generated from these types.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Map).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "runner import map".into());
    }
    schema
}
