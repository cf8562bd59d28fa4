//! Which cells of a set are compared, by what their identity asks for: there need not be a manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ResultSet, SetCell, SetsError};
use crate::manifest::factor;
use crate::manifest::study::Level;
use crate::manifest::written::Scalar;

/// Alternatives of conditions that must all hold: repeated flags are "or", commas are "and".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Vec<Condition>>);

/// `experiment`, `cell` (its name or id) or a factor, with a value or a text in it.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    name: String,
    wanted: String,
    contains: bool,
}

impl Filter {
    /// Reads expressions; a name that no cell of these sets has is an error.
    pub fn parse(expressions: &[String], sets: &[&ResultSet]) -> Result<Self, SetsError> {
        let mut known: BTreeSet<String> = ["experiment".to_owned(), "cell".to_owned()].into();
        for cell in sets.iter().flat_map(|set| &set.cells) {
            known.extend(factors(cell).into_keys());
        }
        expressions
            .iter()
            .map(|expression| {
                expression
                    .split(',')
                    .map(|part| condition(part.trim(), &known))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|reason| SetsError::Filter { expression: expression.clone(), reason })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// The cells of a set that match, in their order.
    #[must_use]
    pub fn cells<'a>(&self, set: &'a ResultSet) -> Vec<&'a SetCell> {
        set.cells.iter().filter(|cell| self.matches(cell)).collect()
    }

    fn matches(&self, cell: &SetCell) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|conditions| {
                let factors = factors(cell);
                conditions.iter().all(|condition| condition.holds(cell, &factors))
            })
    }
}

impl Condition {
    fn holds(&self, cell: &SetCell, factors: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let fits = |text: &str| {
            if self.contains {
                text.to_lowercase().contains(&self.wanted)
            } else {
                text == self.wanted
            }
        };
        match self.name.as_str() {
            "experiment" => cell.experiments.iter().any(|name| fits(name)),
            "cell" if self.contains => fits(&cell.name) || fits(&cell.id),
            "cell" => cell.name == self.wanted || cell.id.starts_with(&self.wanted),
            name => match factors.get(name) {
                Some(levels) => levels.iter().any(|level| fits(level)),
                // a default is left out of the identity
                None => fits(&factor::show(name, &Level::Default)),
            },
        }
    }
}

fn condition(part: &str, known: &BTreeSet<String>) -> Result<Condition, String> {
    let split = part.find(['=', '~']).ok_or_else(|| {
        format!("`{part}` compares nothing: write experiment=NAME, cell~text, factor=value")
    })?;
    let (name, value) = (part[..split].trim(), part[split + 1..].trim());
    let contains = part.as_bytes()[split] == b'~';
    if !known.contains(name) && factor::lookup(name).is_none() {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(format!("no cell has `{name}`; known: {}", known.join(", ")));
    }
    let wanted = match factor::lookup(name) {
        _ if contains => value.to_lowercase(),
        Some(factor) if factor.kind != factor::Kind::Any => {
            factor.show(&factor.level(&Scalar::Text(value.to_owned()))?)
        }
        // `0.80` and `0.8` are one number
        _ => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => number.to_string(),
            _ => value.to_owned(),
        },
    };
    Ok(Condition { name: name.to_owned(), wanted, contains })
}

/// The levels of a cell's factors as they are shown; of an agent's factor those of all its agents.
fn factors(cell: &SetCell) -> BTreeMap<String, BTreeSet<String>> {
    let mut factors: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &str, value: &Value| {
        let level = match value {
            Value::String(text) => Level::Text(text.clone()),
            Value::Bool(truth) => Level::Bool(*truth),
            Value::Number(number) => match number.as_f64() {
                Some(number) => Level::Number(number),
                None => return,
            },
            _ => return,
        };
        factors.entry(name.to_owned()).or_default().insert(factor::show(name, &level));
    };
    let identity = &cell.identity;
    for name in ["runtime", "throttle", "read_buffer"] {
        add(name, &identity[name]);
    }
    for part in ["variant", "levels"] {
        for (name, level) in identity[part].as_object().into_iter().flatten() {
            add(name, level);
        }
    }
    for agent in identity["agents"].as_array().into_iter().flatten() {
        add("model", &agent["model"]);
        add("max_tokens", &agent["max_tokens"]);
        add("rate", &agent["simulated"]["rate"]);
        for (name, option) in agent["options"].as_object().into_iter().flatten() {
            add(name, option);
            if let Some(agent) = agent["name"].as_str() {
                add(&format!("{agent}.{name}"), option);
            }
        }
    }
    factors
}
