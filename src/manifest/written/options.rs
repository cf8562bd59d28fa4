//! Sets of inference options: single values, a list of stop texts, and nested values for what a server takes
//! beyond them.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Scalar;

/// A set of options, by their names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct OptionSet(pub IndexMap<String, OptionValue>);

/// The value of an option; which of these an option takes is checked later.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    One(Scalar),
    List(Vec<OptionValue>),
    Table(IndexMap<String, OptionValue>),
}

impl<'de> Deserialize<'de> for OptionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionVisitor;
        impl<'de> Visitor<'de> for OptionVisitor {
            type Value = OptionValue;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, a number, true or false, a list or a table")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<OptionValue, E> {
                Ok(OptionValue::One(Scalar::Text(value.to_owned())))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<OptionValue, E> {
                Ok(OptionValue::One(Scalar::Integer(value)))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<OptionValue, E> {
                let value = i64::try_from(value).map_err(E::custom)?;
                Ok(OptionValue::One(Scalar::Integer(value)))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<OptionValue, E> {
                Ok(OptionValue::One(Scalar::Float(value)))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<OptionValue, E> {
                Ok(OptionValue::One(Scalar::Bool(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OptionValue, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(OptionValue::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OptionValue, A::Error> {
                let mut values = IndexMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    values.insert(name, value);
                }
                Ok(OptionValue::Table(values))
            }
        }
        deserializer.deserialize_any(OptionVisitor)
    }
}

impl JsonSchema for OptionValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OptionValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<OptionValue>();
        json_schema!({
            "type": ["string", "number", "boolean", "array", "object"],
            "items": inner,
            "additionalProperties": inner,
        })
    }
}

impl JsonSchema for OptionSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OptionSet".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<OptionValue>();
        json_schema!({
            "type": "object",
            "properties": {
                "stop": {
                    "description": "A text that ends the answer, or a list of them.",
                    "type": ["string", "array"],
                    "items": { "type": "string" },
                },
                "extra": {
                    "description": "Keys that stand in the body of requests as they are, for what a server \
                                    takes beyond the options that are known here.",
                    "type": "object",
                    "additionalProperties": value,
                },
            },
            "additionalProperties": value,
        })
    }
}
