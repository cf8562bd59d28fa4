//! The levels that a document of identity tells of: of records that were sealed without their levels, and
//! of what no experiment varies.

use serde_json::Value;

use super::NamedLevel;
use crate::manifest::factor::{self, Place};

/// What the document asks for, under the names of the factors. What is at its default is not in it.
#[must_use]
pub fn of_identity(identity: &Value) -> Vec<NamedLevel> {
    let mut levels = Vec::new();
    let one = Value::from(1);
    for factor in factor::names().filter_map(factor::lookup) {
        let name = factor.name;
        let values: Vec<&Value> = match factor.place {
            Place::Runtime | Place::Client | Place::Server => vec![&identity[name]],
            Place::Python => vec![&identity["variant"][name]],
            Place::Tokenizer => vec![&identity["levels"][name]],
            Place::Endpoint => of_agents(identity, |agent| &agent["endpoint"]),
            Place::Model => of_agents(identity, |agent| &agent["model"]),
            Place::MaxTokens => of_agents(identity, |agent| &agent["max_tokens"]),
            Place::Paced => of_agents(identity, |agent| &agent["simulated"][name]),
            Place::Option => of_agents(identity, |agent| &agent["options"][name]),
            Place::Concurrency => {
                // Those that the scenario asks for cannot be told from those of the factor: what ran counts.
                let copies: Vec<&Value> = agents(identity).map(|agent| &agent["count"]).collect();
                let is_varied = copies.iter().any(|copies| !copies.is_null());
                let copies = copies.into_iter().map(|own| if own.is_null() { &one } else { own });
                if is_varied { copies.collect() } else { Vec::new() }
            }
            // A scenario's name is no part of identity.
            Place::Scenario => continue,
        };
        levels.extend(NamedLevel::of_values(name, &values));
    }
    let others = identity["levels"].as_object().into_iter().flatten();
    let others = others.filter(|(name, _)| factor::lookup(name).is_none());
    levels.extend(others.filter_map(|(name, value)| NamedLevel::of_values(name, &[value])));
    for agent in agents(identity) {
        let name = agent["name"].as_str().unwrap_or_default();
        for (option, value) in agent["options"].as_object().into_iter().flatten() {
            levels.extend(NamedLevel::of_values(&format!("{name}.{option}"), &[value]));
        }
    }
    levels
}

fn agents(identity: &Value) -> impl Iterator<Item = &Value> {
    identity["agents"].as_array().into_iter().flatten()
}

fn of_agents<'v>(identity: &'v Value, value: impl Fn(&'v Value) -> &'v Value) -> Vec<&'v Value> {
    agents(identity).map(value).collect()
}
