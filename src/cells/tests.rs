use std::borrow::Cow;

use serde_json::json;

use super::filter::{Described, Vocabulary};
use super::*;
use crate::manifest::study::Level;

struct Cell(Vec<NamedLevel>);

impl Described for Cell {
    fn id(&self) -> Cow<'_, str> {
        "0a1b2c3d00000000000000000000000f".into()
    }

    fn name(&self) -> Cow<'_, str> {
        "rust_Small".into()
    }

    fn experiments(&self) -> Vec<&str> {
        vec!["speed", "size"]
    }

    fn level(&self, factor: &str) -> Option<Cow<'_, NamedLevel>> {
        NamedLevel::among(&self.0, factor)
    }
}

fn matches(cell: &Cell, filter: &str) -> bool {
    let known = Vocabulary {
        experiments: cell.experiments().into_iter().collect(),
        factors: ["free"].into(),
        ..Vocabulary::default()
    };
    Filters::parse(&[filter.to_owned()], &known).unwrap().match_cell(cell)
}

/// As version 1 sealed it, without levels.
fn document() -> serde_json::Value {
    json!({
        "agents": [
            { "name": "a", "model": "m", "options": { "num_ctx": 512 }, "simulated": { "rate": 80 } },
            { "name": "b", "model": "n", "max_tokens": 64 },
        ],
        "cold": true, "connection": "keep", "read_buffer": 65536, "runtime": "python",
        "variant": { "json": "orjson" }, "levels": { "free": "x" },
    })
}

#[test]
fn a_document_tells_every_factor_that_it_asks_for() {
    let cell = Cell(of_identity(&document()));
    for filter in [
        "cold=true",
        "connection=keep",
        "read_buffer=64 KiB",
        "read_buffer=65536",
        "runtime=python",
        "json=orjson",
        "rate=80 tok/s",
        "max_tokens=64",
        "num_ctx=512.0",
        "a.num_ctx=512",
        "model=m",
        "model=n",
        "model~m + n",
        "free=x",
    ] {
        assert!(matches(&cell, filter), "{filter}");
    }
    for filter in ["cold=false", "connection=new", "json=stdlib", "model=o", "read_buffer=default"]
    {
        assert!(!matches(&cell, filter), "{filter}");
    }
}

#[test]
fn a_document_tells_how_many_copies_of_each_agent_ran() {
    let mut document = document();
    for agent in document["agents"].as_array_mut().unwrap() {
        agent["count"] = 4.into();
    }
    let four = Cell(of_identity(&document));
    assert!(matches(&four, "concurrency=4") && !matches(&four, "concurrency=1"));
    let one = Cell(of_identity(&self::document()));
    assert!(matches(&one, "concurrency=1") && !matches(&one, "concurrency=4"));
}

#[test]
fn a_default_with_a_unit_is_a_number() {
    let number = |name: &str| NamedLevel::new(name, &Level::Default).number;
    assert_eq!((number("lag_dose"), number("concurrency")), (Some(0.0), Some(1.0)));
    assert_eq!((number("throttle"), number("batch"), number("max_tokens")), (None, None, None));
}

#[test]
fn what_is_not_told_is_at_its_default() {
    let cell = Cell(vec![NamedLevel::in_words("scenario", "one".to_owned())]);
    for filter in ["cold=false", "throttle=off", "throttle=default", "num_ctx=default", "cold~fal"]
    {
        assert!(matches(&cell, filter), "{filter}");
    }
    for filter in ["cold=true", "throttle=60", "model=m", "free=default"] {
        assert!(!matches(&cell, filter), "{filter}");
    }
}

#[test]
fn ids_names_and_experiments_select() {
    let cell = Cell(Vec::new());
    for filter in [
        "0a1b",
        "0A1B2C3D",
        "cell=0a1b2c3d",
        "cell=0a1b2c3d00000000000000000000000f",
        "cell=rust_Small",
        "cell~SMALL",
        "cell~b2c3",
        "experiment=size",
        "experiment~spe,0a1b",
    ] {
        assert!(matches(&cell, filter), "{filter}");
    }
    for filter in ["1b2c", "cell=0a1", "cell=rust", "cell~large", "experiment=size,ffff"] {
        assert!(!matches(&cell, filter), "{filter}");
    }
}

#[test]
fn what_cannot_be_understood_is_said() {
    let known = Vocabulary { factors: ["free"].into(), ..Vocabulary::default() };
    for (filter, reason, help) in [
        ("throtle=60", "no cell has `throtle`", "did you mean `throttle`?"),
        ("zzz=red", "no cell has `zzz`", "known: experiment, cell, free"),
        ("0a1", "`0a1` compares nothing", "write experiment=NAME, cell=ID"),
        ("experiment=x", "there is no experiment `x`", ""),
        ("cell=", "`cell=` compares `cell` with nothing", ""),
        ("cold=maybe", "`maybe` is neither true nor false", ""),
    ] {
        let error = Filters::parse(&[filter.to_owned()], &known).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.help.unwrap_or_default().contains(help), "{filter}");
    }
}
