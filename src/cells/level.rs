//! A level with its name, as records, tables and selections know it.

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

    /// A level that is only words: what several agents have together, or what no factor names.
    #[must_use]
    pub fn in_words(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), level: text.clone().into(), text, number: None }
    }
}

/// In the factor's base unit. Some defaults are numbers (`concurrency` is 1).
fn number(name: &str, level: &Level) -> Option<f64> {
    match level {
        Level::Default => factor::lookup(name)?.default?.parse().ok(),
        _ => level.number(),
    }
}
