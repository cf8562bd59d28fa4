//! A level with its name, as records, tables and selections know it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::factor;
use crate::manifest::study::Level;

/// A factor's level, for people and for comparing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedLevel {
    /// Of the factor.
    pub name: String,
    /// The value; null is the factor's default, and a list holds the values of several agents.
    #[serde(default)]
    pub level: Value,
    /// Readable, as in tables (`60 tok/s`).
    pub text: String,
    /// In the factor's base unit, if it is a number.
    pub number: Option<f64>,
}

impl NamedLevel {
    #[must_use]
    pub fn new(name: &str, level: &Level) -> Self {
        Self {
            name: name.to_owned(),
            level: level.json(),
            text: factor::show(name, level),
            number: number(name, level),
        }
    }

    /// A level that is only words: what a control has in a factor's place, or what no factor names.
    #[must_use]
    pub fn in_words(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), level: text.clone().into(), text, number: None }
    }

    /// What the agents of a cell have, each value once; `None`: none of them has any.
    #[must_use]
    pub fn of_values(name: &str, values: &[&Value]) -> Option<Self> {
        let mut distinct: Vec<&Value> = Vec::new();
        for value in values.iter().filter(|value| !value.is_null()) {
            if !distinct.contains(value) {
                distinct.push(value);
            }
        }
        match distinct[..] {
            [] => None,
            [value] => Some(Self::of_value(name, value)),
            _ => Some(Self {
                name: name.to_owned(),
                level: distinct.iter().copied().cloned().collect(),
                text: distinct
                    .iter()
                    .map(|value| Self::of_value(name, value).text)
                    .collect::<Vec<_>>()
                    .join(" + "),
                number: None,
            }),
        }
    }

    /// The level itself; `None` for the values of several agents.
    #[must_use]
    pub fn value(&self) -> Option<Level> {
        match &self.level {
            Value::Null => Some(Level::Default),
            Value::Bool(truth) => Some(Level::Bool(*truth)),
            Value::Number(number) => number.as_f64().map(Level::Number),
            Value::String(text) => Some(Level::Text(text.clone())),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn of_value(name: &str, value: &Value) -> Self {
        match value {
            Value::String(text) => Self::new(name, &Level::Text(text.clone())),
            Value::Bool(truth) => Self::new(name, &Level::Bool(*truth)),
            Value::Number(number) => match number.as_f64() {
                Some(number) => Self::new(name, &Level::Number(number)),
                None => Self::in_words(name, number.to_string()),
            },
            other => Self { level: other.clone(), ..Self::in_words(name, other.to_string()) },
        }
    }

    /// The level of this factor among those of a cell; a built-in one that is not among them is at its
    /// default.
    #[must_use]
    pub fn among<'l>(levels: &'l [Self], name: &str) -> Option<Cow<'l, Self>> {
        let own = levels.iter().find(|own| own.name == name).map(Cow::Borrowed);
        own.or_else(|| {
            let has_default = factor::lookup(name)?.default.is_some();
            has_default.then(|| Cow::Owned(Self::new(name, &Level::Default)))
        })
    }
}

/// In the factor's base unit. Some defaults are numbers (`concurrency` is 1).
fn number(name: &str, level: &Level) -> Option<f64> {
    match level {
        Level::Default => factor::lookup(name)?.default_number(),
        _ => level.number(),
    }
}
