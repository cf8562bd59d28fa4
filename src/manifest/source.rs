//! The text of a manifest with the place of everything in it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeArray, DeTable, DeValue};

use super::problem::Problem;

/// A manifest's text and the places of its keys and values.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: Arc<str>,
    pub(super) root: Node,
}

/// A value of the manifest with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Table(Vec<Entry>),
    Array(Vec<Node>),
    Text(String),
    /// As written; what fits no `i64` is reported by the parser.
    Integer(Option<i64>),
    Float,
    Bool,
    Datetime,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub value: Node,
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Table(_) => "a table",
            Kind::Array(_) => "a list",
            Kind::Text(_) => "a text",
            Kind::Integer(_) => "a whole number",
            Kind::Float => "a number",
            Kind::Bool => "true or false",
            Kind::Datetime => "a date",
        }
    }
}

impl Source {
    /// Parses the text; what is wrong with the syntax comes back as problems, all of it at once.
    #[must_use]
    pub fn parse(path: &Path, text: &str) -> (Self, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let span = table.span();
        let root = Node { span, kind: Kind::Table(entries(table.get_ref())) };
        let problems = errors
            .into_iter()
            .map(|error| Problem {
                message: error.message().to_owned(),
                span: error.span().unwrap_or(0..0),
                label: "here".to_owned(),
                help: None,
            })
            .collect();
        (Self { path: path.to_owned(), text: text.into(), root }, problems)
    }

    /// Line of a byte offset, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// Place of a value, or of the nearest thing around it that exists.
    #[must_use]
    pub fn value_span(&self, at: &At<'_>) -> Range<usize> {
        self.find(at).1
    }

    /// Place of a key (of the value, for members of lists), or of the nearest thing around it.
    #[must_use]
    pub fn key_span(&self, at: &At<'_>) -> Range<usize> {
        self.find(at).0
    }

    /// Line of a key or list member, from 1, if it is there.
    #[must_use]
    pub fn line_of(&self, at: &At<'_>) -> Option<usize> {
        self.node(at)?;
        Some(self.line(self.key_span(at).start))
    }

    /// Whether a list stands at a place.
    #[must_use]
    pub fn is_list(&self, at: &At<'_>) -> bool {
        self.node(at).is_some_and(|node| matches!(node.kind, Kind::Array(_)))
    }

    /// The text at a place, if a text is there.
    #[must_use]
    pub fn text_at(&self, at: &At<'_>) -> Option<&str> {
        match &self.node(at)?.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number with a point or an exponent as it is written, if one is there; without the underscores
    /// between its digits, which TOML allows and few programs read.
    #[must_use]
    pub fn float_at(&self, at: &At<'_>) -> Option<String> {
        let node = self.node(at).filter(|node| matches!(node.kind, Kind::Float))?;
        Some(self.text.get(node.span.clone())?.replace('_', ""))
    }

    fn find(&self, at: &At<'_>) -> (Range<usize>, Range<usize>) {
        let Some((parent, step)) = at.parent_and_step() else {
            return (0..0, 0..0);
        };
        let Some(node) = self.node(parent) else { return self.find(parent) };
        let found = match (step, &node.kind) {
            (Step::Key(key), Kind::Table(entries)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (entry.key_span.clone(), entry.value.span.clone())),
            (Step::Index(index), Kind::Array(items)) => {
                items.get(*index).map(|item| (item.span.clone(), item.span.clone()))
            }
            _ => None,
        };
        found.unwrap_or_else(|| self.find(parent))
    }

    fn node(&self, at: &At<'_>) -> Option<&Node> {
        let Some((parent, step)) = at.parent_and_step() else { return Some(&self.root) };
        match (step, &self.node(parent)?.kind) {
            (Step::Key(key), Kind::Table(entries)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
            }
            (Step::Index(index), Kind::Array(items)) => items.get(*index),
            _ => None,
        }
    }
}

fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            value: node(value.span(), value.get_ref()),
        })
        .collect()
}

fn items(array: &DeArray<'_>) -> Vec<Node> {
    array.iter().map(|value| node(value.span(), value.get_ref())).collect()
}

fn node(span: Range<usize>, value: &DeValue<'_>) -> Node {
    let kind = match value {
        DeValue::Table(table) => Kind::Table(entries(table)),
        DeValue::Array(array) => Kind::Array(items(array)),
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(integer) => {
            Kind::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Float(_) => Kind::Float,
        DeValue::Boolean(_) => Kind::Bool,
        DeValue::Datetime(_) => Kind::Datetime,
    };
    Node { span, kind }
}

/// Removes the entries whose key or value lies at one of these places.
pub(super) fn prune(table: &mut DeTable<'_>, spans: &[Range<usize>]) {
    let wrong: Vec<_> = table
        .iter()
        .filter(|(key, value)| spans.contains(&key.span()) || spans.contains(&value.span()))
        .map(|(key, _)| key.clone())
        .collect();
    for key in wrong {
        table.remove(&key);
    }
    for (_, value) in table.iter_mut() {
        prune_value(value.get_mut(), spans);
    }
}

fn prune_value(value: &mut DeValue<'_>, spans: &[Range<usize>]) {
    match value {
        DeValue::Table(table) => prune(table, spans),
        DeValue::Array(array) => {
            for item in array.iter_mut() {
                prune_value(item.get_mut(), spans);
            }
        }
        _ => {}
    }
}

/// A path into the manifest: `experiment.ceiling.matrix.throttle[1]`.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    inner: Option<(&'a At<'a>, Step<'a>)>,
}

/// One step of a path.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The whole manifest.
    pub const ROOT: At<'static> = At { inner: None };

    #[must_use]
    pub fn key(&'a self, key: &'a str) -> At<'a> {
        At { inner: Some((self, Step::Key(key))) }
    }

    #[must_use]
    pub fn index(&'a self, index: usize) -> At<'a> {
        At { inner: Some((self, Step::Index(index))) }
    }

    fn parent_and_step(&self) -> Option<(&'a At<'a>, &Step<'a>)> {
        self.inner.as_ref().map(|(parent, step)| (*parent, step))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((parent, step)) = self.parent_and_step() else { return Ok(()) };
        parent.fmt(f)?;
        match step {
            Step::Key(key) if parent.inner.is_none() => write!(f, "{key}"),
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
