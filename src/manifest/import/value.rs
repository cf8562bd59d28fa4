//! A value of a map: where it stands in a file, and what is made of what stands there.

use indexmap::IndexMap;

use super::pattern::{Captures, Filled, Part, Place, Segment};
use super::written::{self, ValueTable};
use super::{STATISTICS, unit};
use crate::manifest::command::Stat;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::sign::Sign;
use crate::manifest::source::At;
use crate::manifest::written::Scalar;

/// Where a value comes from, and what is made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub from: From,
    /// That the number in the file is in.
    pub unit: Option<String>,
    /// What a place that is not there is; `None`: an error.
    pub absent: Option<Otherwise>,
    pub null: Otherwise,
    pub zero_is_unknown: bool,
    pub f32: bool,
    pub negate: bool,
    /// Empty: the value is as it stands.
    pub map: Vec<(Segment, Scalar)>,
    pub zone: Option<Zone>,
    /// On the row that the value stands in.
    pub conditions: Vec<Condition>,
    /// The column of time of that row.
    pub within: Option<String>,
}

/// What a value is taken from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// The first of these places that is there.
    At(Vec<Place>),
    /// A text with captures.
    Text(Filled),
    /// Of everything that stands at the places of a pattern.
    Of(Statistic, Place),
}

/// What is taken of several values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    Of(Stat),
    Latest,
    Earliest,
    /// The number of different values.
    Distinct,
    /// All of them.
    Each,
}

/// What stands in the place of a value that is not there.
#[derive(Debug, Clone, PartialEq)]
pub enum Otherwise {
    Unknown,
    /// The factor's default.
    Default,
    Value(Scalar),
}

/// What a time without an offset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Unknown,
    /// Seconds east of Greenwich.
    Offset(i32),
}

/// A condition on a column of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub column: String,
    pub wanted: Wanted,
}

/// What a column must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    Text(String),
    Number(Sign, f64),
}

impl Value {
    /// As a map writes it, shortened to its place.
    #[must_use]
    pub fn written(&self) -> String {
        match &self.from {
            From::At(places) => {
                places.iter().map(|place| place.written.as_str()).collect::<Vec<_>>().join(" or ")
            }
            From::Text(text) => text.0.to_string(),
            From::Of(statistic, place) => format!("{} of {}", statistic.name(), place.written),
        }
    }

    /// What `map` makes of a text; `None`: nothing in it fits.
    #[must_use]
    pub fn mapped(&self, text: &str) -> Option<&Scalar> {
        let bound = Captures::new();
        let found = self.map.iter().find(|(pattern, _)| pattern.matched(text, &bound).is_some());
        found.map(|(_, value)| value)
    }
}

impl Statistic {
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Of(stat) => stat.to_string(),
            Self::Latest => "latest".to_owned(),
            Self::Earliest => "earliest".to_owned(),
            Self::Distinct => "number of different".to_owned(),
            Self::Each => "each".to_owned(),
        }
    }
}

/// What a value is to be, which says what may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is<'u> {
    /// A number in this unit; `None`: that of the catalogue. `needed`: the map must say which unit the file's is in.
    Number {
        unit: Option<&'u str>,
        needed: bool,
    },
    Time,
    /// A level, or a figure of evidence: whatever stands there.
    Any,
}

/// Checks one value; what is wrong is reported, and then there is none.
pub(super) fn value(
    at: &At<'_>,
    written: &written::Value,
    is: Is<'_>,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    match written {
        written::Value::Text(text) => {
            let from = plain(at, text, problems)?;
            let own = Value { from, ..nothing() };
            unit_of(at, &own, is, problems);
            Some(own)
        }
        written::Value::Table(table) => self::table(at, table, is, problems),
    }
}

fn nothing() -> Value {
    Value {
        from: From::At(Vec::new()),
        unit: None,
        absent: None,
        null: Otherwise::Unknown,
        zero_is_unknown: false,
        f32: false,
        negate: false,
        map: Vec::new(),
        zone: None,
        conditions: Vec::new(),
        within: None,
    }
}

/// A place, or a text with captures.
fn plain(at: &At<'_>, text: &str, problems: &mut Problems<'_>) -> Option<From> {
    let parsed = if Place::is_place(text) {
        Place::parse(text).map(|place| From::At(vec![place]))
    } else {
        Segment::parse(text).and_then(|segment| {
            let captured = segment.captures().next().is_some();
            if captured {
                Ok(From::Text(Filled(segment)))
            } else {
                Err(format!("`{text}` is neither a place nor a text with captures"))
            }
        })
    };
    match parsed {
        Ok(from) => Some(from),
        Err(message) => {
            let help = format!(
                "write a place such as \"/{}\", a capture such as \"{{repeat}}\", or {{ text = \"{text}\" }}",
                text.trim_start_matches('/')
            );
            problems.value(at, message, Some(help));
            None
        }
    }
}

fn place(at: &At<'_>, text: &str, problems: &mut Problems<'_>) -> Option<Place> {
    let parsed = if Place::is_place(text) {
        Place::parse(text)
    } else {
        Err(format!("`{text}` is no place"))
    };
    parsed
        .map_err(|message| {
            let help = "a place is a pointer such as \"/a/b\", \"@/a\" from the row or call at hand, or \"file.csv#/*/a\"";
            problems.value(at, message, Some(help.to_owned()));
        })
        .ok()
}

fn table(
    at: &At<'_>,
    table: &ValueTable,
    is: Is<'_>,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    let before = problems.len();
    let mut found: Vec<(String, From)> = Vec::new();
    if let Some(places) = &table.at {
        let at_at = at.key("at");
        let several = places.0.len() > 1;
        let parsed: Vec<Option<From>> = places
            .0
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let indexed = at_at.index(index);
                plain(if several { &indexed } else { &at_at }, text, problems)
            })
            .collect();
        let from = match parsed.into_iter().collect::<Option<Vec<From>>>() {
            Some(mut own) if own.len() == 1 => own.pop(),
            Some(own) if !own.is_empty() => {
                let places: Vec<Place> = own
                    .into_iter()
                    .filter_map(|own| match own {
                        From::At(places) => Some(places),
                        From::Text(_) | From::Of(..) => None,
                    })
                    .flatten()
                    .collect();
                if places.len() < table.at.as_ref().map_or(0, |texts| texts.0.len()) {
                    problems.value(&at_at, "a list of places has only places", None);
                }
                Some(From::At(places))
            }
            Some(_) => {
                problems.value(&at_at, "an empty list names no place", None);
                None
            }
            None => None,
        };
        found.extend(from.map(|from| ("at".to_owned(), from)));
    }
    if let Some(text) = &table.text {
        let fixed = Segment(vec![Part::Text(text.clone())]);
        found.push(("text".to_owned(), From::Text(Filled(fixed))));
    }
    for (key, statistic, text) in statistics(at, table, problems) {
        let from = place(&at.key(&key), &text, problems).map(|own| From::Of(statistic, own));
        found.extend(from.map(|from| (key, from)));
    }
    if problems.len() > before {
        return None;
    }
    let from = match found.len() {
        1 => found.pop().map(|(_, from)| from)?,
        0 => {
            let help =
                "write `at = \"/a/b\"`, `text = \"…\"` or a statistic such as `mean = \"/*/a\"`";
            problems.key(at, "the value says not where it stands", Some(help.to_owned()));
            return None;
        }
        _ => {
            let names: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
            let message = format!("a value has one of {}, not several", names.join(", "));
            problems.key(&at.key(names[1]), message, None);
            return None;
        }
    };
    let own = Value {
        from,
        unit: table.unit.clone(),
        absent: table.absent.as_ref().map(|own| otherwise(at, "absent", own, is, problems)),
        null: table
            .null
            .as_ref()
            .map_or(Otherwise::Unknown, |own| otherwise(at, "null", own, is, problems)),
        zero_is_unknown: table.zero.is_some(),
        f32: table.f32,
        negate: table.negate,
        map: patterns(&table.map),
        zone: table.zone.as_deref().and_then(|own| zone(at, own, problems)),
        conditions: conditions(&at.key("where"), &table.conditions, problems),
        within: table.within.clone(),
    };
    let of_many = matches!(own.from, From::Of(..));
    for (key, given) in
        [("where", !table.conditions.is_empty()), ("within", table.within.is_some())]
    {
        if given && !of_many {
            problems.key(&at.key(key), format!("`{key}` is for a statistic over rows"), None);
        }
    }
    if own.zone.is_some() && is != Is::Time {
        problems.key(&at.key("zone"), "`zone` is for a time", None);
    }
    if let From::Of(statistic, _) = own.from {
        let fits = match statistic {
            Statistic::Of(_) => matches!(is, Is::Number { .. } | Is::Any),
            Statistic::Distinct => is != Is::Time,
            Statistic::Latest | Statistic::Earliest => matches!(is, Is::Time | Is::Any),
            Statistic::Each => is == Is::Any,
        };
        if !fits {
            let message = format!("the {} is not what is wanted here", statistic.name());
            problems.key(at, message, None);
        }
    }
    unit_of(at, &own, is, problems);
    (problems.len() == before).then_some(own)
}

/// The statistics that are written, percentiles of any number among them.
fn statistics(
    at: &At<'_>,
    table: &ValueTable,
    problems: &mut Problems<'_>,
) -> Vec<(String, Statistic, String)> {
    let written = [
        &table.mean,
        &table.sum,
        &table.min,
        &table.max,
        &table.median,
        &table.sd,
        &table.count,
        &table.first,
        &table.last,
        &table.latest,
        &table.earliest,
        &table.distinct,
        &table.each,
    ];
    let mut found: Vec<(String, Statistic, String)> = STATISTICS
        .iter()
        .zip(written)
        .filter_map(|((key, statistic), text)| Some(((*key).to_owned(), *statistic, text.clone()?)))
        .collect();
    for (key, text) in &table.percentiles {
        if let Some(stat @ Stat::Percentile(_)) = Stat::parse(key) {
            found.push((key.clone(), Statistic::Of(stat), text.clone()));
            continue;
        }
        let further = [
            "at", "text", "where", "within", "unit", "absent", "null", "zero", "f32", "negate",
            "map", "zone", "p50", "p99",
        ];
        let known = STATISTICS.iter().map(|(key, _)| *key).chain(further);
        let message = format!("unknown key `{key}` in a value");
        problems.key(&at.key(key), message, suggest(key, known));
    }
    found
}

/// A number of a fact must say its unit, and one of a metric may; both must be of the wanted kind.
fn unit_of(at: &At<'_>, own: &Value, is: Is<'_>, problems: &mut Problems<'_>) {
    let Is::Number { unit: wanted, needed } = is else {
        if own.unit.is_some() {
            problems.key(&at.key("unit"), "`unit` is for a number", None);
        }
        return;
    };
    let Some(wanted) = wanted else { return };
    // How many there are has no unit.
    let counts = matches!(own.from, From::Of(Statistic::Distinct | Statistic::Of(Stat::Count), _));
    match own.unit.as_deref() {
        None if needed && !wanted.is_empty() && !counts => {
            let message = "the unit of the file's number is not said";
            problems.value(
                at,
                message,
                Some(format!("add `unit = …`: one of {}", unit::like(wanted))),
            );
        }
        Some(given) if unit::convert(1.0, given, wanted).is_none() => {
            let message = if wanted.is_empty() {
                format!("`{given}` is a unit, and a pure number is wanted here")
            } else {
                format!("`{given}` cannot be converted to {wanted}")
            };
            let help = format!("one of {}", unit::like(wanted));
            problems.value(&at.key("unit"), message, (!wanted.is_empty()).then_some(help));
        }
        _ => {}
    }
}

fn otherwise(
    at: &At<'_>,
    key: &str,
    own: &Scalar,
    is: Is<'_>,
    problems: &mut Problems<'_>,
) -> Otherwise {
    match own {
        Scalar::Text(text) if text == "unknown" => Otherwise::Unknown,
        Scalar::Text(text) if text == "default" => Otherwise::Default,
        Scalar::Text(_) | Scalar::Bool(_) if matches!(is, Is::Number { .. }) => {
            problems.value(
                &at.key(key),
                format!("`{own}` is no number"),
                Some("write \"unknown\" or a number".to_owned()),
            );
            Otherwise::Unknown
        }
        own => Otherwise::Value(own.clone()),
    }
}

fn patterns(written: &IndexMap<String, Scalar>) -> Vec<(Segment, Scalar)> {
    written.iter().map(|(key, value)| (key_pattern(key), value.clone())).collect()
}

/// `*` is any text and `?` any one character.
fn key_pattern(key: &str) -> Segment {
    let mut parts = Vec::new();
    let mut text = String::new();
    for c in key.chars() {
        let part = match c {
            '*' => Part::Any,
            '?' => Part::One,
            c => {
                text.push(c);
                continue;
            }
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(part);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Segment(parts)
}

fn zone(at: &At<'_>, own: &str, problems: &mut Problems<'_>) -> Option<Zone> {
    if own == "unknown" {
        return Some(Zone::Unknown);
    }
    let offset = offset(own).map(Zone::Offset);
    if offset.is_none() {
        let help = "write \"unknown\", or an offset such as \"+02:00\"";
        problems.value(&at.key("zone"), format!("`{own}` is no offset"), Some(help.to_owned()));
    }
    offset
}

/// Seconds of `+02:00`.
fn offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Conditions on columns: a comparison such as `> 0`, or a value that the column must be.
pub(super) fn conditions(
    at: &At<'_>,
    written: &IndexMap<String, Scalar>,
    problems: &mut Problems<'_>,
) -> Vec<Condition> {
    let mut found = Vec::new();
    for (column, value) in written {
        let wanted = match value {
            Scalar::Integer(number) => Wanted::Number(Sign::Equal, *number as f64),
            Scalar::Float(number) => Wanted::Number(Sign::Equal, *number),
            Scalar::Bool(truth) => Wanted::Text(truth.to_string()),
            Scalar::Text(text) if text.trim().starts_with(['<', '>', '=']) => {
                let Some((sign, number)) = Sign::parse(text) else {
                    let help = "write a sign (<, <=, >, >=, =) and a number, such as \"> 0\"";
                    let message = format!("`{text}` compares nothing");
                    problems.value(&at.key(column), message, Some(help.to_owned()));
                    continue;
                };
                Wanted::Number(sign, number)
            }
            Scalar::Text(text) => Wanted::Text(text.clone()),
        };
        found.push(Condition { column: column.clone(), wanted });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_hours_and_minutes() {
        assert_eq!(offset("+02:00"), Some(7200));
        assert_eq!(offset("-05:30"), Some(-19_800));
        for wrong in ["02:00", "+2:00", "+25:00", "+02:70", "CET"] {
            assert_eq!(offset(wrong), None, "{wrong}");
        }
    }
}
