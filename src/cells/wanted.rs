//! A level that is wanted, however it was written, against the levels of cells.

use std::fmt;

use serde_json::Value;

use super::NamedLevel;
use crate::manifest::criterion::{Cells, Criterion};
use crate::manifest::factor::{self, Kind};
use crate::manifest::study::Level;
use crate::manifest::written::Scalar;

/// What a level must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// This very value: the manifest's checks have normalised it.
    Value(Value),
    /// A level that a person wrote, in any spelling.
    Written {
        /// As it was written.
        text: String,
        /// The same as tables show it.
        shown: String,
        number: Option<f64>,
    },
    /// A text in what tables show, in lower case.
    Contains(String),
}

impl Wanted {
    /// A level that was checked with its manifest.
    #[must_use]
    pub fn level(level: &Level) -> Self {
        Self::Value(level.json())
    }

    /// A level of this factor as a command line or a template writes it: `64 KiB` is 65536, `0.80` is 0.8.
    pub fn written(name: &str, text: &str) -> Result<Self, String> {
        let Some(factor) = factor::lookup(name).filter(|factor| factor.kind != Kind::Any) else {
            return Ok(Self::free(text));
        };
        let level = factor.level(&Scalar::Text(text.to_owned()))?;
        let NamedLevel { text: shown, number, .. } = NamedLevel::new(name, &level);
        Ok(Self::Written { text: text.to_owned(), shown, number })
    }

    /// A level of an axis that is no built-in factor, or any text that a level may have.
    #[must_use]
    pub fn free(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        Self::Written { text: text.to_owned(), shown: text.to_owned(), number }
    }

    /// A number in the factor's base unit.
    #[must_use]
    pub fn number(number: f64) -> Self {
        let text = number.to_string();
        Self::Written { shown: text.clone(), text, number: Some(number) }
    }

    /// A text that must occur in the level.
    #[must_use]
    pub fn contains(text: &str) -> Self {
        Self::Contains(text.to_lowercase())
    }

    /// Whether a level is wanted; of several agents' values one is enough.
    #[must_use]
    pub fn matches(&self, own: &NamedLevel) -> bool {
        let several = || own.level.as_array().into_iter().flatten();
        match self {
            Self::Value(value) => own.level == *value || several().any(|one| one == value),
            Self::Contains(part) => own.text.to_lowercase().contains(part),
            Self::Written { text, shown, number } => {
                let fits = |of: &str| of == text || of == shown;
                let is_number = |of: Option<f64>| of.is_some() && of == *number;
                let one_fits =
                    |one: &Value| one.as_str().is_some_and(fits) || is_number(one.as_f64());
                fits(&own.text) || is_number(own.number) || several().any(one_fits)
            }
        }
    }
}

/// As an error message says it.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Written { text, .. } if text.parse::<f64>().is_ok() => f.write_str(text),
            Self::Written { text, .. } => write!(f, "\"{text}\""),
            Self::Contains(part) => write!(f, "~\"{part}\""),
        }
    }
}

impl Cells {
    /// Whether a cell with these levels is selected.
    #[must_use]
    pub fn select(&self, levels: &[NamedLevel]) -> bool {
        self.0.iter().all(|(axis, level)| {
            let wanted = Wanted::level(level);
            levels.iter().any(|own| own.name == *axis && wanted.matches(own))
        })
    }
}

impl Criterion {
    /// With the levels of these cells in place of the texts that a stored document has of them.
    #[must_use]
    pub fn on_cells(mut self, known: &[Vec<NamedLevel>]) -> Self {
        self.each_selection(&mut |cells| {
            for (axis, level) in &mut cells.0 {
                let Level::Text(text) = &*level else { continue };
                let Ok(wanted) = Wanted::written(axis, text) else { continue };
                let mut own = known.iter().flatten().filter(|own| own.name == *axis);
                let found = own.find(|own| wanted.matches(own)).and_then(NamedLevel::value);
                if let Some(found) = found {
                    *level = found;
                }
            }
        });
        self
    }

    /// Whether it concerns a cell with these levels.
    #[must_use]
    pub fn concerns(&self, levels: &[NamedLevel]) -> bool {
        self.selections().iter().any(|cells| cells.select(levels))
    }
}
