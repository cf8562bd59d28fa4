//! Maps: read, checked, and known by the digest of what they say.

use std::fs;
use std::path::Path;

use formats::protocol::{Outcome, Stage};
use indexmap::IndexMap;

use super::pattern::Place;
use super::value::{Is, conditions, value};
use super::written;
use super::{
    AGENT_FACTS, Agents, CALL_FACTS, Calls, Fact, Map, Metric, MetricOf, OnFact, STAGE, Uncounted,
    Value, WALL, Window,
};
use crate::encoding;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::{ManifestErrors, Problems};
use crate::manifest::sign::Sign;
use crate::manifest::source::At;
use crate::manifest::{self, LoadError, NAME_HELP, is_name};

/// The grammar's version that this program reads.
const SCHEMA: u32 = 1;

/// Loads a map and checks all of it.
pub fn load(path: &Path) -> Result<Map, LoadError> {
    let bytes =
        fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let text = encoding::decode(bytes)
        .map_err(|reason| LoadError::Encoding { path: path.to_owned(), reason })?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse(path, &name, &encoding::unix_lines(&text)).map_err(LoadError::Invalid)
}

fn parse(path: &Path, name: &str, text: &str) -> Result<Map, ManifestErrors> {
    let (source, structure, written) =
        manifest::read::<written::Map>(path, text, &written::schema())?;
    let mut problems = Problems::after(&source, structure);
    let map = check(name, text, &written, &mut problems);
    problems.finish()?;
    // What is wrong with it was reported, so there is one.
    map.ok_or_else(|| ManifestErrors::new(&source, Vec::new()))
}

fn check(
    name: &str,
    text: &str,
    written: &written::Map,
    problems: &mut Problems<'_>,
) -> Option<Map> {
    if written.schema != SCHEMA {
        let message = format!("grammar version {} of maps is not known", written.schema);
        problems.value(&At::ROOT.key("schema"), message, Some("write `schema = 1`".to_owned()));
    }
    let each = written.each.as_ref().and_then(|text| place(&At::ROOT.key("each"), text, problems));
    if each.as_ref().is_some_and(|each| each.from_element || each.file.is_some()) {
        let message = "`each` is a pattern of places in the file itself";
        problems.value(&At::ROOT.key("each"), message, None);
    }
    let at_run = At::ROOT.key("run");
    let run = &written.run;
    let repeat = value(&at_run.key("repeat"), &run.repeat, REPEAT, problems);
    let started = optional(&at_run, "started", run.started.as_ref(), Is::Time, problems);
    let finished = optional(&at_run, "finished", run.finished.as_ref(), Is::Time, problems);
    let wall = optional(&at_run, WALL.key, run.wall.as_ref(), number(WALL), problems);
    let at_stages = at_run.key("stages");
    let stages = [
        (Stage::Scan, &run.stages.scan),
        (Stage::Ingest, &run.stages.ingest),
        (Stage::Analysis, &run.stages.analysis),
        (Stage::Report, &run.stages.report),
    ];
    let stages = stages
        .into_iter()
        .filter_map(|(stage, own)| {
            let own = optional(&at_stages, stage.name(), own.as_ref(), number(STAGE), problems)?;
            Some((stage.name(), own))
        })
        .collect();
    let levels = values(&At::ROOT.key("levels"), &written.levels, problems);
    let evidence = values(&At::ROOT.key("evidence"), &written.evidence, problems);
    let agents = written.agents.as_ref().map(|own| agents(own, problems));
    let calls = written.calls.as_ref().and_then(|own| calls(own, problems));
    if calls.is_some() && agents.is_none() {
        let help = "write `[agents]` with `names = [\"agent\"]`";
        problems.key(
            &At::ROOT.key("calls"),
            "calls belong to agents, and there are none",
            Some(help.to_owned()),
        );
    }
    let metrics = metrics(written, problems);
    let window = written.window.as_ref().and_then(|own| window(own, problems));
    Some(Map {
        name: name.to_owned(),
        title: written.title.clone(),
        sha256: digest(text)?,
        format: written.format,
        each,
        levels,
        repeat: repeat?,
        started,
        finished,
        wall,
        stages,
        evidence,
        agents,
        calls,
        metrics,
        window,
    })
}

/// Of what the map says: comments, the order of its keys and how they are written do not count.
fn digest(text: &str) -> Option<String> {
    let document: serde_json::Value = toml::from_str(text).ok()?;
    let canonical = serde_json_canonicalizer::to_vec(&document).ok()?;
    Some(formats::digest::of_bytes(&canonical))
}

const REPEAT: Is<'static> = Is::Number { unit: Some(""), needed: false };

fn number(fact: Fact) -> Is<'static> {
    Is::Number { unit: Some(fact.unit), needed: true }
}

fn optional(
    at: &At<'_>,
    key: &str,
    written: Option<&written::Value>,
    is: Is<'_>,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    value(&at.key(key), written?, is, problems)
}

/// Levels, or what a file says of the circumstances.
pub fn values(
    at: &At<'_>,
    written: &IndexMap<String, written::Value>,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Value> {
    written
        .iter()
        .filter_map(|(name, own)| {
            Some((name.clone(), value(&at.key(name), own, Is::Any, problems)?))
        })
        .collect()
}

/// What stands in an import in place of a map's `repeat`, `started`, `finished` and `wall`.
pub(crate) fn of_run(
    at: &At<'_>,
    key: &str,
    written: Option<&written::Value>,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    let is = match key {
        "repeat" => REPEAT,
        "wall" => number(WALL),
        _ => Is::Time,
    };
    optional(at, key, written, is, problems)
}

fn place(at: &At<'_>, text: &str, problems: &mut Problems<'_>) -> Option<Place> {
    let parsed = if Place::is_place(text) {
        Place::parse(text)
    } else {
        Err(format!("`{text}` is no place"))
    };
    let help = "write a pattern of places such as \"/runs/*\"";
    parsed.map_err(|message| problems.value(at, message, Some(help.to_owned()))).ok()
}

fn facts<const N: usize>(
    at: &At<'_>,
    known: &[Fact; N],
    written: [Option<&written::Value>; N],
    problems: &mut Problems<'_>,
) -> IndexMap<&'static str, Value> {
    let given = known.iter().zip(written);
    given
        .filter_map(|(fact, own)| {
            Some((fact.name, optional(at, fact.key, own, number(*fact), problems)?))
        })
        .collect()
}

fn agents(written: &written::Agents, problems: &mut Problems<'_>) -> Agents {
    let at = At::ROOT.key("agents");
    let at_names = at.key("names");
    if written.names.is_empty() {
        problems.value(&at_names, "an empty list names no agent", None);
    }
    for (index, name) in written.names.iter().enumerate() {
        if !is_name(name) {
            problems.value(
                &at_names.index(index),
                format!("{name:?} cannot be a name"),
                Some(NAME_HELP.into()),
            );
        }
        if written.names.iter().take(index).any(|other| other == name) {
            problems.value(&at_names.index(index), format!("`{name}` is listed twice"), None);
        }
    }
    let written::Agents { duration, tokens, calls, ttft, decode_rate, .. } = written;
    let given = [duration, tokens, calls, ttft, decode_rate].map(Option::as_ref);
    Agents { names: written.names.clone(), facts: facts(&at, &AGENT_FACTS, given, problems) }
}

fn calls(written: &written::Calls, problems: &mut Problems<'_>) -> Option<Calls> {
    let at = At::ROOT.key("calls");
    let written::Calls {
        tokens,
        prompt_tokens,
        ttft,
        e2e,
        decode,
        prefill,
        load,
        server_total,
        decode_rate,
        ..
    } = written;
    let given =
        [tokens, prompt_tokens, ttft, e2e, decode, prefill, load, server_total, decode_rate];
    let stage = written.stage.as_ref();
    Some(Calls {
        facts: facts(&at, &CALL_FACTS, given.map(Option::as_ref), problems),
        stage: stage.and_then(|own| value(&at.key("stage"), own, Is::Any, problems)),
        started: optional(&at, "started", written.started.as_ref(), Is::Time, problems),
        uncounted: rules(&at.key("uncounted"), &written.uncounted, problems),
        each: place(&at.key("each"), &written.each, problems)?,
    })
}

/// Which calls do not count.
pub fn rules(
    at: &At<'_>,
    written: &[written::Uncounted],
    problems: &mut Problems<'_>,
) -> Vec<Uncounted> {
    let mut found = Vec::new();
    for (index, own) in written.iter().enumerate() {
        let at = at.index(index);
        let conditions: Option<Vec<OnFact>> = own
            .when
            .split(" and ")
            .map(|text| {
                on_fact(text.trim()).map_err(|message| {
                    let help = "write a fact of calls with a comparison, such as \"tokens < 100\", or \"decode unknown\"";
                    problems.value(&at.key("when"), message, Some(help.to_owned()));
                }).ok()
            })
            .collect();
        let outcome = Outcome::named(&own.outcome).filter(|outcome| !outcome.counts());
        if outcome.is_none() {
            let known: Vec<&str> =
                Outcome::ALL.iter().filter(|own| !own.counts()).map(|own| own.name()).collect();
            let message = format!("`{}` is no outcome of a call that does not count", own.outcome);
            problems.value(&at.key("as"), message, suggest(&own.outcome, known));
        }
        if own.because.trim().is_empty() {
            problems.value(&at.key("because"), "say why these calls do not count", None);
        }
        if let Some((conditions, outcome)) = conditions.zip(outcome) {
            let (when, because) = (own.when.clone(), own.because.clone());
            found.push(Uncounted { when, conditions, outcome, because });
        }
    }
    found
}

fn on_fact(text: &str) -> Result<OnFact, String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let Some(fact) = CALL_FACTS.iter().find(|fact| fact.key == key) else {
        let known: Vec<&str> = CALL_FACTS.iter().map(|fact| fact.key).collect();
        return Err(format!("`{key}` is no fact of a call: {}", known.join(", ")));
    };
    let compared = match rest.trim() {
        "unknown" | "is unknown" => None,
        comparison => {
            Some(Sign::parse(comparison).ok_or_else(|| format!("`{text}` compares nothing"))?)
        }
    };
    Ok(OnFact { fact: fact.name, compared })
}

fn metrics(written: &written::Map, problems: &mut Problems<'_>) -> Vec<Metric> {
    let section = At::ROOT.key("metric");
    let mut found = Vec::new();
    for (name, own) in &written.metric {
        let at = section.key(name);
        if !is_name(name) {
            problems.key(&at, format!("{name:?} cannot be a name"), Some(NAME_HELP.into()));
        }
        let given = [
            ("run", MetricOf::Run, &own.run),
            ("agent", MetricOf::Agent, &own.agent),
            ("call", MetricOf::Call, &own.call),
        ];
        let mut given =
            given.into_iter().filter_map(|(key, of, value)| Some((key, of, value.as_ref()?)));
        let (Some((key, of, value)), None) = (given.next(), given.next()) else {
            let help = "write `run = …`, `agent = …` or `call = …`";
            problems.key(
                &at,
                "a figure is of a run, of each agent or of each call",
                Some(help.to_owned()),
            );
            continue;
        };
        let is = Is::Number { unit: own.unit.as_deref(), needed: false };
        let value = super::value::value(&at.key(key), value, is, problems);
        let has = |of: MetricOf| match of {
            MetricOf::Run => true,
            MetricOf::Agent => written.agents.is_some(),
            MetricOf::Call => written.calls.is_some(),
        };
        if !has(of) {
            problems.key(&at.key(key), format!("there is no section [{key}s]"), None);
        }
        if own.over.is_some() && of == MetricOf::Run {
            problems.key(&at.key("over"), "`over` is for a figure of agents or calls", None);
        }
        if let Some(value) = value {
            found.push(Metric {
                name: name.clone(),
                of,
                value,
                over: own.over.unwrap_or_default(),
                unit: own.unit.clone(),
                better: own.better,
                equals: own.equals.clone(),
            });
        }
    }
    found
}

fn window(written: &written::Window, problems: &mut Problems<'_>) -> Option<Window> {
    let at = At::ROOT.key("window");
    let begins = at.key("begins");
    Some(Window {
        time: written.time.clone(),
        conditions: conditions(&begins.key("where"), &written.begins.conditions, problems),
        by: written.begins.by.clone(),
        from: place(&at.key("from"), &written.from, problems)?,
    })
}
