//! Values that may be written in more than one way, read by hand so that errors stay exact.

use std::marker::PhantomData;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::manifest::study::OnFailure;

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

/// The value of a header, or where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Env(HeaderVariable),
}

/// Where the value of a header that holds a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderVariable {
    /// Name of the environment variable.
    pub env: String,
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = HeaderValue;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a table with `env`")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Text(value.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderValue, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                HeaderVariable::deserialize(map).map(HeaderValue::Env)
            }
        }
        deserializer.deserialize_any(HeaderVisitor)
    }
}

impl JsonSchema for HeaderValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let variable = generator.subschema_for::<HeaderVariable>();
        json_schema!({ "anyOf": [{ "type": "string" }, variable] })
    }
}

impl JsonSchema for OnFailure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OnFailure".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "enum": ["continue"] },
            {
                "type": "object",
                "properties": { "stop_after": { "type": "integer", "minimum": 0, "maximum": u32::MAX } },
                "required": ["stop_after"],
                "additionalProperties": false
            }
        ] })
    }
}

/// `true`, or a table with settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Switched<S> {
    Switch(bool),
    Settings(S),
}

/// A sampling probe.
pub type Sampled = Switched<SampledSettings>;
/// The GPU probe.
pub type GpuSampled = Switched<GpuSettings>;
/// A profiler.
pub type Profiled = Switched<ProfiledSettings>;
/// A packet capture.
pub type Captured = Switched<CaptureSettings>;

/// Settings of a sampling probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampledSettings {
    /// Time between samples, at least "10ms" (default "100ms").
    pub interval: Option<Scalar>,
    /// The run fails when the instrument is unavailable (default false).
    #[serde(default)]
    pub required: bool,
}

/// Settings of the GPU probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuSettings {
    /// Time between samples, at least "10ms" (default "100ms").
    pub interval: Option<Scalar>,
    /// The run fails when the instrument is unavailable (default false).
    #[serde(default)]
    pub required: bool,
    /// GPUs to watch, each by its index or its UUID (default all).
    #[serde(default)]
    pub devices: Vec<Scalar>,
}

/// Settings of a packet capture.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureSettings {
    /// The run fails when the instrument is unavailable (default false).
    #[serde(default)]
    pub required: bool,
}

/// Settings of a profiler.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfiledSettings {
    /// Samples per second (default 100).
    pub rate: Option<u32>,
    /// The run fails when the instrument is unavailable (default false).
    #[serde(default)]
    pub required: bool,
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Switched<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchedVisitor<S>(PhantomData<S>);
        impl<'de, S: Deserialize<'de>> Visitor<'de> for SwitchedVisitor<S> {
            type Value = Switched<S>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a table with settings")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Switched::Switch(value))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                S::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Switched::Settings)
            }
        }
        deserializer.deserialize_any(SwitchedVisitor(PhantomData))
    }
}

impl<S: JsonSchema> JsonSchema for Switched<S> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("SwitchOr{}", S::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<S>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, settings] })
    }
}
