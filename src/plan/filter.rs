//! Filters: which cells a command works on.

use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::study::{Level, Study};
use crate::manifest::written::Scalar;

/// Alternatives of conditions that must all hold: repeated flags are "or", commas are "and".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(Vec<Vec<Condition>>);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Experiment(String),
    ExperimentContains(String),
    Equals { factor: String, level: Level },
    Contains { factor: String, text: String },
}

/// A filter that cannot be understood, or that nothing can match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter `{expression}`: {reason}")]
pub struct FilterError {
    pub expression: String,
    pub reason: String,
    pub help: Option<String>,
}

impl Filters {
    /// Parses the expressions of a command line against the factors of a study.
    pub fn parse(expressions: &[String], study: &Study) -> Result<Self, FilterError> {
        expressions
            .iter()
            .map(|expression| {
                expression
                    .split(',')
                    .map(|part| condition(part.trim(), study))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|(reason, help)| FilterError {
                        expression: expression.clone(),
                        reason,
                        help,
                    })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a cell is selected; `level` gives the cell's level of a factor.
    pub(super) fn matches<'l>(
        &self,
        experiment: &str,
        level: impl Fn(&str) -> Option<&'l Level>,
    ) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|conditions| {
                conditions.iter().all(|condition| match condition {
                    Condition::Experiment(name) => name == experiment,
                    Condition::ExperimentContains(text) => experiment.contains(text.as_str()),
                    Condition::Equals { factor, level: wanted } => level(factor) == Some(wanted),
                    Condition::Contains { factor, text } => level(factor).is_some_and(|level| {
                        factor::show(factor, level).to_lowercase().contains(text.as_str())
                    }),
                })
            })
    }
}

type Reason = (String, Option<String>);

fn condition(part: &str, study: &Study) -> Result<Condition, Reason> {
    let split = part.find(['=', '~']).ok_or_else(|| {
        let help = "write experiment=NAME, factor=value or factor~text".to_owned();
        (format!("`{part}` compares nothing"), Some(help))
    })?;
    let (name, value) = (part[..split].trim(), part[split + 1..].trim());
    let contains = part.as_bytes()[split] == b'~';
    if name == "experiment" {
        let known = study.experiments.iter().map(|experiment| experiment.name.as_str());
        if contains {
            return Ok(Condition::ExperimentContains(value.to_owned()));
        }
        if !known.clone().any(|known| known == value) {
            let reason = format!("there is no experiment `{value}`");
            return Err((reason, suggest(value, known)));
        }
        return Ok(Condition::Experiment(value.to_owned()));
    }
    let used = factors(study);
    if !used.contains(&name) {
        let reason = format!("no experiment varies or fixes `{name}`");
        return Err((reason, suggest(name, used)));
    }
    if contains {
        return Ok(Condition::Contains { factor: name.to_owned(), text: value.to_lowercase() });
    }
    let written = Scalar::Text(value.to_owned());
    let level = match factor::lookup(name) {
        Some(factor) if factor.kind != factor::Kind::Any => {
            factor.level(&written).map_err(|reason| (reason, None))?
        }
        _ => free(value),
    };
    let level = match (&level, name) {
        (Level::Text(text), "model") => Level::Text(study.models.get(text).unwrap_or(text).clone()),
        _ => level,
    };
    Ok(Condition::Equals { factor: name.to_owned(), level })
}

/// A level as TOML would read it, without quotes.
fn free(value: &str) -> Level {
    match (value, value.parse::<f64>()) {
        ("default", _) => Level::Default,
        ("true", _) => Level::Bool(true),
        ("false", _) => Level::Bool(false),
        (_, Ok(number)) if number.is_finite() => Level::Number(number),
        _ => Level::Text(value.to_owned()),
    }
}

fn factors(study: &Study) -> std::collections::BTreeSet<&str> {
    study
        .experiments
        .iter()
        .flat_map(|experiment| experiment.axes.keys().chain(experiment.fixed.keys()))
        .map(String::as_str)
        .chain(["runtime"])
        .collect()
}
