//! `--filter`: which cells a command works on, written and understood the same everywhere.
//!
//! What is known of a cell comes from a plan or from sealed records; both say it through [`Described`].

use std::borrow::Cow;
use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{NamedLevel, Wanted};
use crate::manifest::factor;
use crate::manifest::nearest::{nearest, suggest};
use crate::manifest::study::{Level, Study};

/// Digits from which on an id can be abbreviated.
const ABBREVIATED: usize = 4;

/// Alternatives of conditions that must all hold: repeated flags are "or", commas are "and".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(Vec<Vec<Condition>>);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Experiment(Text),
    /// Its name or its id.
    Cell(Text),
    /// The first digits of its id.
    Id(String),
    Level {
        factor: String,
        wanted: Wanted,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Text {
    Is(String),
    /// In lower case.
    Contains(String),
}

/// A filter that cannot be understood, or that nothing can match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter `{expression}`: {reason}")]
pub struct FilterError {
    pub expression: String,
    pub reason: String,
    pub help: Option<String>,
}

/// A cell as filters look at it.
pub trait Described {
    /// 32 hex digits.
    fn id(&self) -> Cow<'_, str>;
    /// Readable.
    fn name(&self) -> Cow<'_, str>;
    fn experiments(&self) -> Vec<&str>;
    /// `None`: it has no such factor.
    fn level(&self, factor: &str) -> Option<Cow<'_, NamedLevel>>;
    /// Its axis is at the default there, whatever the default is elsewhere in the manifest: it is found by
    /// that word as well.
    fn is_default(&self, _factor: &str) -> bool {
        false
    }
}

/// What filters can speak of.
#[derive(Debug, Default)]
pub struct Vocabulary<'v> {
    pub experiments: BTreeSet<&'v str>,
    /// Axes and factors, beyond the built-in ones.
    pub factors: BTreeSet<&'v str>,
    /// What a profile calls the models of a manifest.
    pub models: Option<&'v IndexMap<String, String>>,
    /// There are cells of commands, whose axes may have any level under any name.
    pub is_free: bool,
}

impl<'v> Vocabulary<'v> {
    /// Of a study.
    #[must_use]
    pub fn of(study: &'v Study) -> Self {
        let axes = study.experiments.iter().flat_map(|own| own.axes.keys().chain(own.fixed.keys()));
        Self {
            experiments: study.experiments.iter().map(|own| own.name.as_str()).collect(),
            factors: axes.map(String::as_str).collect(),
            models: Some(&study.models),
            is_free: study.experiments.iter().any(|own| own.kind.is_command()),
        }
    }
}

impl Filters {
    /// Reads the expressions of a command line.
    pub fn parse(expressions: &[String], known: &Vocabulary<'_>) -> Result<Self, FilterError> {
        expressions
            .iter()
            .map(|expression| {
                expression
                    .split(',')
                    .map(|part| condition(part.trim(), known))
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

    /// Whether a cell is selected.
    #[must_use]
    pub fn match_cell(&self, cell: &impl Described) -> bool {
        let all_hold =
            |conditions: &Vec<Condition>| conditions.iter().all(|condition| condition.holds(cell));
        self.0.is_empty() || self.0.iter().any(all_hold)
    }
}

impl Condition {
    fn holds(&self, cell: &impl Described) -> bool {
        match self {
            Self::Experiment(text) => cell.experiments().into_iter().any(|name| text.fits(name)),
            Self::Id(first) => cell.id().starts_with(first),
            Self::Cell(text) => {
                let abbreviated = match text {
                    Text::Is(id) => {
                        id.len() >= ABBREVIATED && cell.id().starts_with(&id.to_lowercase())
                    }
                    Text::Contains(_) => false,
                };
                abbreviated || text.fits(&cell.id()) || text.fits(&cell.name())
            }
            Self::Level { factor, wanted } => {
                cell.level(factor).is_some_and(|own| wanted.matches(&own))
                    || cell.is_default(factor)
                        && wanted.matches(&NamedLevel::new(factor, &Level::Default))
            }
        }
    }
}

impl Text {
    fn new(text: &str, contains: bool) -> Self {
        if contains { Self::Contains(text.to_lowercase()) } else { Self::Is(text.to_owned()) }
    }

    fn fits(&self, own: &str) -> bool {
        match self {
            Self::Is(text) => own == text,
            Self::Contains(part) => own.to_lowercase().contains(part),
        }
    }
}

type Reason = (String, Option<String>);

fn condition(part: &str, known: &Vocabulary<'_>) -> Result<Condition, Reason> {
    let Some(split) = part.find(['=', '~']) else {
        let is_id = (ABBREVIATED..=32).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id {
            return Ok(Condition::Id(part.to_lowercase()));
        }
        let help = "write experiment=NAME, cell=ID, cell~text, factor=value, factor~text or an id";
        return Err((format!("`{part}` compares nothing"), Some(help.to_owned())));
    };
    let (name, compared) = part.split_at(split);
    let (name, contains) = (name.trim(), compared.starts_with('~'));
    let value = compared.strip_prefix(['=', '~']).unwrap_or_default().trim();
    if value.is_empty() {
        return Err((format!("`{part}` compares `{name}` with nothing"), None));
    }
    match name {
        "cell" => return Ok(Condition::Cell(Text::new(value, contains))),
        "experiment" => {
            if !contains && !known.experiments.contains(value) {
                let reason = format!("there is no experiment `{value}`");
                return Err((reason, suggest(value, known.experiments.iter().copied())));
            }
            return Ok(Condition::Experiment(Text::new(value, contains)));
        }
        _ => {}
    }
    if !known.factors.contains(name) && factor::lookup(name).is_none() {
        let built_in = ["experiment", "cell"].into_iter().chain(factor::names());
        let names = known.factors.iter().copied().chain(built_in.map(|name: &str| name));
        let near = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
        return Err((format!("no cell has `{name}`"), near.or_else(|| listed(known))));
    }
    let wanted = if contains {
        Wanted::contains(value)
    } else {
        let model = known.models.filter(|_| name == "model").and_then(|models| models.get(value));
        match Wanted::written(name, model.map_or(value, String::as_str)) {
            Err(_) if known.is_free => Wanted::free(value),
            wanted => wanted.map_err(|reason| (reason, None))?,
        }
    };
    Ok(Condition::Level { factor: name.to_owned(), wanted })
}

fn listed(known: &Vocabulary<'_>) -> Option<String> {
    let names: Vec<&str> = known.factors.iter().copied().collect();
    (!names.is_empty()).then(|| format!("known: experiment, cell, {}", names.join(", ")))
}
