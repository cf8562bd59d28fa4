//! What the patterns of an import find, before anything is decided: levels with their numbers, cells that could be
//! declared, files that no pattern matches, and which parts of the map stand in how many rows. It is how one starts.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::document::Files;
use super::place::{Scope, elements};
use super::rows::captured;
use super::tree::Tree;
use super::value::{Companions, Read, Reader};
use super::{ImportError, Roots};
use crate::manifest::factor;
use crate::manifest::import::pattern::{Captures, Segment};
use crate::manifest::import::{MetricOf, Source, Value};
use crate::plan::Plan;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scan {
    pub experiments: Vec<OfExperiment>,
    /// Files that no pattern matches.
    pub unaccounted: Vec<String>,
}

/// What the imports of one experiment find.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OfExperiment {
    pub name: String,
    pub files: usize,
    pub rows: usize,
    /// By axis, its levels with the number of rows that have them.
    pub levels: IndexMap<String, BTreeMap<String, usize>>,
    /// The distinct combinations of levels, in the order in which they were found, with their rows.
    pub cells: Vec<(Vec<String>, usize)>,
    /// By the map's keys: in how many rows they stand, are unknown, or are missing with the first reason.
    pub fields: IndexMap<String, Field>,
    /// Files that cannot be read, the first reason among them.
    pub unreadable: Vec<String>,
}

/// One part of a map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Field {
    pub there: usize,
    pub unknown: usize,
    pub missing: usize,
    pub first: Option<String>,
}

/// Looks at the files of every import of a plan.
pub fn scan(plan: &Plan, roots: &Roots) -> Result<Scan, ImportError> {
    let study = plan.study();
    let tree = Tree::walk(study, roots)?;
    let mut scan = Scan { unaccounted: tree.unaccounted().collect(), ..Scan::default() };
    for (index, experiment) in study.experiments.iter().enumerate() {
        let Some(import) = experiment.kind.import() else { continue };
        let mut own = OfExperiment { name: experiment.name.clone(), ..OfExperiment::default() };
        let mut cells: IndexMap<Vec<(String, String)>, usize> = IndexMap::new();
        for (number, source) in import.sources.iter().enumerate() {
            let matched = tree.of(index, number);
            let files = Files::below(&matched.root);
            for (path, captures) in &matched.files {
                own.files += 1;
                file(&files, path, captures, source, &mut own, &mut cells);
            }
        }
        let names: IndexSet<String> =
            cells.keys().flatten().map(|(name, _)| name.clone()).collect();
        for (levels, rows) in &cells {
            for (name, text) in levels {
                *own.levels.entry(name.clone()).or_default().entry(text.clone()).or_default() +=
                    rows;
            }
        }
        own.cells = cells
            .into_iter()
            .map(|(levels, rows)| {
                let text = |name: &String| {
                    let found = levels.iter().find(|(own, _)| own == name);
                    found.map_or_else(String::new, |(_, text)| text.clone())
                };
                (names.iter().map(text).collect(), rows)
            })
            .collect();
        scan.experiments.push(own);
    }
    Ok(scan)
}

fn file(
    files: &Files,
    path: &str,
    captures: &Captures,
    source: &Source,
    own: &mut OfExperiment,
    cells: &mut IndexMap<Vec<(String, String)>, usize>,
) {
    let document = match files.read(path, source.map.format) {
        Ok(document) => document,
        Err(reason) => {
            own.unreadable.push(format!("{path} {reason}"));
            return;
        }
    };
    let elements = elements(&document.value, source.map.each.as_ref(), captures);
    if elements.is_empty() {
        own.unreadable.push(format!("{path}: nothing in it matches `each`"));
    }
    for found in &elements {
        own.rows += 1;
        let scope = Scope {
            files,
            document: &document,
            element: found.value,
            pointer: &found.pointer,
            captures: &found.captures,
        };
        *cells.entry(row(scope, source, &mut own.fields)).or_default() += 1;
    }
}

/// What of a map stands in a row.
struct Look<'s, 'f> {
    scope: Scope<'s>,
    source: &'s Source,
    /// The row's captures with each agent in turn.
    agents: &'s [Captures],
    companions: Companions,
    fields: &'f mut IndexMap<String, Field>,
}

/// The levels of a row; notes which parts of the map stand in it.
fn row(
    scope: Scope<'_>,
    source: &Source,
    fields: &mut IndexMap<String, Field>,
) -> Vec<(String, String)> {
    let names = source.map.agents.iter().flat_map(|own| &own.names);
    let with = |agent: &String| {
        let mut captures = scope.captures.clone();
        captures.insert("agent".to_owned(), agent.clone());
        captures
    };
    let agents: Vec<Captures> = names.map(with).collect();
    let mut look = Look { scope, source, agents: &agents, companions: Companions::new(), fields };
    look.facts();
    look.levels()
}

impl Look<'_, '_> {
    fn at(&mut self, key: String, value: &Value, scope: Scope<'_>) -> Option<Read> {
        let mut reader = Reader { scope, span: None, companions: &mut self.companions };
        let field = self.fields.entry(key).or_default();
        match reader.any(value) {
            Ok(found) if found.value == Read::Unknown => {
                field.unknown += 1;
                None
            }
            Ok(found) => {
                field.there += 1;
                Some(found.value)
            }
            Err(reason) => {
                field.missing += 1;
                field.first.get_or_insert(reason);
                None
            }
        }
    }

    /// What the import and its map say, and what else its paths capture.
    fn levels(&mut self) -> Vec<(String, String)> {
        let (scope, source) = (self.scope, self.source);
        let mut levels: Vec<(String, String)> = Vec::new();
        let of_map = source.map.levels.iter();
        let of_map = of_map.filter(|(name, _)| !source.levels.contains_key(*name));
        for (name, value) in source.levels.iter().chain(of_map) {
            let each = self.each(name.contains("{agent}"));
            for captures in each {
                let own = scope.at(scope.element, scope.pointer, captures);
                let agent = captures.get("agent").map_or("", String::as_str);
                let name = name.replace("{agent}", agent);
                let Some(read) = self.at(format!("levels.{name}"), value, own) else { continue };
                levels.extend(text(&name, read).map(|text| (name, text)));
            }
        }
        // The number of a row tells nothing of it.
        let each = source.map.each.iter().flat_map(|each| &each.steps);
        let numbers: Vec<&str> = each.flat_map(Segment::captures).collect();
        let is_number = |name: &str, text: &str| {
            numbers.contains(&name) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        for (name, text) in scope.captures.iter().filter(|(name, text)| !is_number(name, text)) {
            if name != "repeat" && levels.iter().all(|(known, _)| known != name) {
                levels.push((name.clone(), shown(name, text)));
            }
        }
        levels
    }

    /// The captures of every agent, or those of the row alone.
    fn each<'l>(&self, of_agents: bool) -> &'l [Captures]
    where
        Self: 'l,
    {
        if of_agents { self.agents } else { std::slice::from_ref(self.scope.captures) }
    }

    fn facts(&mut self) {
        let (scope, map) = (self.scope, &self.source.map);
        self.at("run.repeat".to_owned(), self.source.repeat(), scope);
        let times = [("started", &map.started), ("finished", &map.finished), ("wall", &map.wall)];
        for (key, value) in times {
            if let Some(value) = value {
                self.at(format!("run.{key}"), value, scope);
            }
        }
        for (stage, value) in &map.stages {
            self.at(format!("run.stages.{stage}"), value, scope);
        }
        for (name, value) in &map.evidence {
            self.at(format!("evidence.{name}"), value, scope);
        }
        for captures in self.agents {
            let own = scope.at(scope.element, scope.pointer, captures);
            for (fact, value) in map.agents.iter().flat_map(|own| &own.facts) {
                self.at(format!("agents.{fact}"), value, own);
            }
            let Some(calls) = &map.calls else { continue };
            let Ok(opened) = scope.open(&calls.each) else { continue };
            for element in own.all(&calls.each, &opened) {
                let inner = own.at(element.value, &element.pointer, &element.captures);
                for (fact, value) in &calls.facts {
                    self.at(format!("calls.{fact}"), value, inner);
                }
            }
        }
        for metric in map.metrics.iter().filter(|own| own.of != MetricOf::Call) {
            for captures in self.each(metric.of == MetricOf::Agent) {
                let own = scope.at(scope.element, scope.pointer, captures);
                self.at(format!("metric.{}", metric.name), &metric.value, own);
            }
        }
    }
}

/// As a table of cells writes it.
fn text(name: &str, read: Read) -> Option<String> {
    let default = || factor::lookup(name).and_then(|own| own.default).unwrap_or("default");
    match read {
        Read::Default => Some(default().to_owned()),
        Read::Text(text) => Some(shown(name, &text)),
        Read::Number(number) => Some(shown(name, &number.to_string())),
        Read::Bool(truth) => Some(truth.to_string()),
        Read::Unknown | Read::List(_) => None,
    }
}

fn shown(name: &str, text: &str) -> String {
    captured(name, text).map_or_else(|_| text.to_owned(), |level| factor::show(name, &level))
}
