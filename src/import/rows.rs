//! A file of earlier results → the facts of its runs, one for each row.

use std::collections::BTreeMap;

use formats::protocol::{Outcome, Stage};
use serde_json::Value as Json;

use super::document::Files;
use super::place::{Scope, elements, named};
use super::value::{At, Companions, Read, Reader, Wrong};
use super::window;
use crate::manifest::factor;
use crate::manifest::import::pattern::Captures;
use crate::manifest::import::{
    AGENT_FACTS, CALL_FACTS, Calls, MetricOf, OnFact, Over, Source, Uncounted, Value, WALL,
};
use crate::manifest::study::Level;
use crate::manifest::written::Scalar;
use crate::metrics;
use crate::store::facts::{AgentFacts, CallFacts, CallFigure, FACTS_FORMAT, Fact, Facts, Figure};

/// A run as its file tells of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Without the levels that only the manifest knows.
    pub facts: Facts,
    /// Every level that was read, by its name.
    pub levels: BTreeMap<String, Level>,
    pub captures: Captures,
}

/// A file or a row of it that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Below the root, with `/`.
    pub path: String,
    /// The row's place; empty for the whole file.
    pub place: String,
    pub message: String,
}

/// The rows of a file whose path matched with these captures.
pub fn read(
    files: &Files,
    path: &str,
    captures: &Captures,
    source: &Source,
) -> Vec<Result<Row, Trouble>> {
    let trouble = |place: &str, message: String| Trouble {
        path: path.to_owned(),
        place: place.to_owned(),
        message,
    };
    let document = match files.read(path, source.map.format) {
        Ok(document) => document,
        Err(reason) => return vec![Err(trouble("", format!("{path} {reason}")))],
    };
    let elements = elements(&document.value, source.map.each.as_ref(), captures);
    if elements.is_empty() {
        let each = source.map.each.as_ref().map_or("", |each| &each.written);
        return vec![Err(trouble("", format!("{path}: nothing in it matches `each` ({each})")))];
    }
    elements
        .iter()
        .map(|found| {
            let scope = Scope {
                files,
                document: &document,
                element: found.value,
                pointer: &found.pointer,
                captures: &found.captures,
            };
            row(scope, source).map_err(|message| trouble(&found.pointer, message))
        })
        .collect()
}

fn row(scope: Scope<'_>, source: &Source) -> Result<Row, Wrong> {
    let map = &source.map;
    let mut companions = Companions::new();
    let mut reader = Reader { scope, span: None, companions: &mut companions };
    let repeat = repeat(&mut reader, source.repeat())?;
    if let Some(window) = &map.window {
        reader.span = Some(window::span(window, repeat, &scope, reader.companions)?);
    }
    let levels = levels(&mut reader, source)?;
    let mut run = BTreeMap::new();
    if let Some(wall) = source.wall.as_ref().or(map.wall.as_ref()) {
        run.insert(WALL.name.to_owned(), positive(WALL.key, reader.number(wall, WALL.unit)?)?);
    }
    for (stage, value) in &map.stages {
        let fact = positive(stage, reader.number(value, "ms")?)?;
        run.insert(format!("stage_{stage}_ms"), fact);
    }
    let started = source.started.as_ref().or(map.started.as_ref());
    let started = started.map(|value| reader.time(value)).transpose()?.flatten();
    let finished = source.finished.as_ref().or(map.finished.as_ref());
    let finished = finished.map(|value| reader.time(value)).transpose()?.flatten();
    let mut evidence = BTreeMap::new();
    for (name, value) in &map.evidence {
        match reader.any(value)?.value {
            Read::Unknown | Read::Default => {}
            Read::Text(text) => drop(evidence.insert(name.clone(), Json::from(text))),
            Read::Number(number) => drop(evidence.insert(name.clone(), Json::from(number))),
            Read::Bool(truth) => drop(evidence.insert(name.clone(), Json::from(truth))),
            Read::List(list) => drop(evidence.insert(name.clone(), Json::from(list))),
        }
    }
    let mut facts = Facts {
        format: FACTS_FORMAT,
        map: map.name.clone(),
        map_sha256: map.sha256.clone(),
        repeat,
        started,
        finished,
        run,
        evidence,
        knows_calls: map.calls.is_some(),
        ..Facts::default()
    };
    agents_and_calls(&mut reader, source, &mut facts)?;
    let mut origin = scope.document.origin.clone();
    origin.place = (!scope.pointer.is_empty()).then(|| scope.pointer.to_owned());
    facts.origin = std::iter::once(origin).chain(companions).collect();
    Ok(Row { facts, levels, captures: scope.captures.clone() })
}

fn repeat(reader: &mut Reader<'_, '_>, value: &Value) -> Result<u32, Wrong> {
    let fact = reader.number(value, "")?;
    let number =
        fact.value.ok_or_else(|| format!("{}: the number of the repeat is not known", fact.at))?;
    let whole = crate::manifest::units::whole(number).and_then(|own| u32::try_from(own).ok());
    whole.filter(|repeat| *repeat > 0).ok_or_else(|| {
        format!("{}: {number} is no number of a repeat, which are whole and from 1", fact.at)
    })
}

/// What the import says of levels, or else the map.
fn levels(reader: &mut Reader<'_, '_>, source: &Source) -> Result<BTreeMap<String, Level>, Wrong> {
    let scope = reader.scope;
    let no_agents = Vec::new();
    let agents = source.map.agents.as_ref().map_or(&no_agents, |agents| &agents.names);
    let own = source.levels.iter();
    let of_map = source.map.levels.iter().filter(|(name, _)| !source.levels.contains_key(*name));
    let mut found = BTreeMap::new();
    for (name, value) in own.chain(of_map) {
        let names: Vec<(String, Captures)> = if name.contains("{agent}") {
            let with = |agent: &String| {
                let mut captures = scope.captures.clone();
                captures.insert("agent".to_owned(), agent.clone());
                (name.replace("{agent}", agent), captures)
            };
            agents.iter().map(with).collect()
        } else {
            vec![(name.clone(), scope.captures.clone())]
        };
        for (name, captures) in names {
            let scope = scope.at(scope.element, scope.pointer, &captures);
            let mut inner = Reader { scope, span: reader.span, companions: reader.companions };
            let At { value: read, at } = inner.any(value)?;
            let level = match read {
                // Nobody knows it: it is no level, and an axis misses it.
                Read::Unknown => continue,
                Read::List(_) => return Err(format!("{at}: a list is no level of `{name}`")),
                other => {
                    level(&name, other).map_err(|reason| format!("{at}: `{name}`: {reason}"))?
                }
            };
            // What an import says wins over the map's level of one agent.
            found.entry(name).or_insert(level);
        }
    }
    Ok(found)
}

fn level(name: &str, read: Read) -> Result<Level, String> {
    let scalar = match read {
        Read::Text(text) => factor::scalar(name, &text),
        Read::Bool(truth) => Scalar::Bool(truth),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Read::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Scalar::Integer(number as i64)
        }
        Read::Number(number) => Scalar::Float(number),
        Read::Default | Read::Unknown | Read::List(_) => return Ok(Level::Default),
    };
    match factor::lookup(name) {
        Some(factor) => factor.level(&scalar),
        None => factor::free_level(&scalar),
    }
}

/// The level that a capture of a path stands for.
pub fn captured(name: &str, text: &str) -> Result<Level, String> {
    level(name, Read::Text(text.to_owned()))
}

fn positive(name: &str, fact: Fact) -> Result<Fact, Wrong> {
    match fact.value {
        Some(value) if value < 0.0 => {
            Err(format!("{}: `{name}` is {value}, and cannot be below 0", fact.at))
        }
        _ => Ok(fact),
    }
}

fn agents_and_calls(
    reader: &mut Reader<'_, '_>,
    source: &Source,
    facts: &mut Facts,
) -> Result<(), Wrong> {
    let map = &source.map;
    let scope = reader.scope;
    let figures = |of: MetricOf| map.metrics.iter().filter(move |metric| metric.of == of);
    for metric in figures(MetricOf::Run) {
        let fact = reader.number(&metric.value, unit(metric.unit.as_deref(), &metric.name))?;
        let own = Figure { run: Some(fact), ..Figure::default() };
        facts.figures.insert(metric.name.clone(), own);
    }
    let Some(agents) = &map.agents else { return Ok(()) };
    for agent in &agents.names {
        let mut captures = scope.captures.clone();
        captures.insert("agent".to_owned(), agent.clone());
        let own_scope = scope.at(scope.element, scope.pointer, &captures);
        let mut inner =
            Reader { scope: own_scope, span: reader.span, companions: reader.companions };
        let mut own = AgentFacts { name: agent.clone(), facts: BTreeMap::new() };
        for fact in AGENT_FACTS {
            let Some(value) = agents.facts.get(fact.name) else { continue };
            let read = positive(fact.key, inner.number(value, fact.unit)?)?;
            own.facts.insert(fact.name.to_owned(), read);
        }
        facts.agents.push(own);
        for metric in figures(MetricOf::Agent) {
            let unit = unit(metric.unit.as_deref(), &metric.name);
            let fact = inner.number(&metric.value, unit)?;
            let own = facts.figures.entry(metric.name.clone()).or_default();
            own.summed = metric.over == Over::Sum;
            own.agents.insert(agent.clone(), fact);
        }
        if let Some(calls) = &map.calls {
            self::calls(&mut inner, source, calls, agent, facts)?;
        }
    }
    Ok(())
}

fn calls(
    reader: &mut Reader<'_, '_>,
    source: &Source,
    calls: &Calls,
    agent: &str,
    facts: &mut Facts,
) -> Result<(), Wrong> {
    let scope = reader.scope;
    let opened = scope.open(&calls.each)?;
    let found = scope.all(&calls.each, &opened);
    if found.is_empty() {
        let at = named(&opened.document.origin, scope.pointer);
        return Err(format!("{at}: {}", scope.missing(&calls.each, &opened)));
    }
    for (number, element) in (0..).zip(&found) {
        let own_scope = scope.at(element.value, &element.pointer, &element.captures);
        let mut inner =
            Reader { scope: own_scope, span: reader.span, companions: reader.companions };
        let mut own = BTreeMap::new();
        for fact in CALL_FACTS {
            let Some(value) = calls.facts.get(fact.name) else { continue };
            let read = positive(fact.key, inner.number(value, fact.unit)?)?;
            own.insert(fact.name.to_owned(), read);
        }
        let stage =
            calls.stage.as_ref().map(|value| stage(&mut inner, value)).transpose()?.flatten();
        let rule = source.uncounted().iter().find(|rule| applies(rule, &own));
        facts.calls.push(CallFacts {
            agent: agent.to_owned(),
            call: number,
            stage,
            outcome: rule.map_or(Outcome::Ok, |rule| rule.outcome),
            because: rule.map(|rule| rule.because.clone()),
            facts: own,
        });
        for metric in source.map.metrics.iter().filter(|metric| metric.of == MetricOf::Call) {
            let unit = unit(metric.unit.as_deref(), &metric.name);
            let fact = inner.number(&metric.value, unit)?;
            let own = facts.figures.entry(metric.name.clone()).or_default();
            own.summed = metric.over == Over::Sum;
            own.calls.push(CallFigure { agent: agent.to_owned(), call: number, fact });
        }
    }
    Ok(())
}

/// As it is written, or else the catalogue's.
fn unit<'u>(written: Option<&'u str>, name: &str) -> &'u str {
    written.unwrap_or_else(|| metrics::info(name).map_or("", |info| info.unit))
}

fn stage(reader: &mut Reader<'_, '_>, value: &Value) -> Result<Option<Stage>, Wrong> {
    let At { value: read, at } = reader.any(value)?;
    match read {
        Read::Unknown | Read::Default => Ok(None),
        Read::Text(text) => {
            let stage = Stage::ALL.into_iter().find(|stage| stage.name() == text);
            let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
            stage.map(Some).ok_or_else(|| {
                format!("{at}: `{text}` is no stage of a workflow: {}", known.join(", "))
            })
        }
        _ => Err(format!("{at}: that is no stage of a workflow")),
    }
}

fn applies(rule: &Uncounted, facts: &BTreeMap<String, Fact>) -> bool {
    let holds = |condition: &OnFact| {
        let own = facts.get(condition.fact).and_then(|fact| fact.value);
        match condition.compared {
            None => own.is_none(),
            Some((sign, number)) => own.is_some_and(|own| sign.holds(own, number)),
        }
    };
    rule.conditions.iter().all(holds)
}
