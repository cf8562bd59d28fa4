//! Values of a map read from a document: numbers in a wanted unit, times, levels.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value as Json;

use super::place::{Found, Opened, Scope, named};
use super::window::Span;
use crate::manifest::command::Stat;
use crate::manifest::import::pattern::Place;
use crate::manifest::import::unit;
use crate::manifest::import::{Condition, From, Otherwise, Statistic, Value, Wanted, Zone};
use crate::manifest::written::Scalar;
use crate::metrics;
use crate::shown;
use crate::store::facts::{Fact, Moment};

/// A value as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    Unknown,
    /// The factor's default.
    Default,
    Text(String),
    Number(f64),
    Bool(bool),
    /// Of `each`.
    List(Vec<Json>),
}

/// What was found, with the place.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub at: String,
}

/// Something that cannot be read; a sentence fragment with its place.
pub type Wrong = String;

/// What of the files beside the row was read: their origins stand in the record.
pub type Companions = Vec<crate::store::record::Origin>;

/// Reads values in one scope, and notes the files beside it that they came from.
#[derive(Debug)]
pub struct Reader<'r, 's> {
    pub scope: Scope<'s>,
    /// The part of a series that belongs to the run.
    pub span: Option<Span>,
    pub companions: &'r mut Companions,
}

impl Reader<'_, '_> {
    /// A number in this unit.
    pub fn number(&mut self, value: &Value, wanted: &str) -> Result<Fact, Wrong> {
        let At { value: read, at } = self.read(value, Some(wanted))?;
        match read {
            Read::Unknown => Ok(Fact { value: None, at }),
            Read::Number(number) => Ok(Fact { value: Some(number), at }),
            Read::Bool(truth) => Ok(Fact { value: Some(f64::from(u8::from(truth))), at }),
            Read::Default => Err(format!("{at}: \"default\" is no number")),
            Read::Text(text) => Err(format!("{at}: `{}` is no number", shown::excerpt(&text, 60))),
            Read::List(_) => Err(format!("{at}: a list is no number")),
        }
    }

    /// A point in time; `None`: unknown.
    pub fn time(&mut self, value: &Value) -> Result<Option<Moment>, Wrong> {
        let At { value: read, at } = self.read(value, None)?;
        match read {
            Read::Unknown => Ok(None),
            Read::Text(text) => moment(&text, value.zone, at).map(Some),
            _ => Err(format!(
                "{at}: that is no time: write it as text, such as 2025-10-09T12:00:00Z"
            )),
        }
    }

    /// Whatever stands there.
    pub fn any(&mut self, value: &Value) -> Result<At<Read>, Wrong> {
        self.read(value, None)
    }

    fn read(&mut self, value: &Value, wanted: Option<&str>) -> Result<At<Read>, Wrong> {
        match &value.from {
            From::Text(text) => {
                let at = text.0.to_string();
                let text = text
                    .text(self.scope.captures)
                    .map_err(|name| format!("nothing captures {{{name}}}"))?;
                let read = of_text(value, &text, wanted, &at)?;
                Ok(At { value: read, at })
            }
            From::At(places) => self.first(value, places, wanted),
            From::Of(statistic, place) => self.of_many(value, *statistic, place, wanted),
        }
    }

    fn open(&mut self, place: &Place) -> Result<Opened, Wrong> {
        let opened = self.scope.open(place)?;
        let origin = &opened.document.origin;
        if opened.is_companion && !self.companions.contains(origin) {
            self.companions.push(origin.clone());
        }
        Ok(opened)
    }

    /// The first of several places that is there.
    fn first(
        &mut self,
        value: &Value,
        places: &[Place],
        wanted: Option<&str>,
    ) -> Result<At<Read>, Wrong> {
        let mut missing = None;
        for place in places {
            let opened = match self.open(place) {
                Ok(opened) => opened,
                // A file beside the row that is missing is a place that is not there.
                Err(reason) if places.len() > 1 || value.absent.is_some() => {
                    missing.get_or_insert(reason);
                    continue;
                }
                Err(reason) => return Err(reason),
            };
            let found = self.scope.all(place, &opened);
            let origin = &opened.document.origin;
            match found.as_slice() {
                [] => {
                    let at = named(origin, self.scope.pointer);
                    missing.get_or_insert_with(|| {
                        format!("{at}: {}", self.scope.missing(place, &opened))
                    });
                }
                [one] => {
                    let at = named(origin, &one.pointer);
                    let read = of_json(value, one.value, wanted, &at)?;
                    return Ok(At { value: read, at });
                }
                [first, second, ..] => {
                    return Err(format!(
                        "{}: {} places match {}, {} and {} among them: take one, or a statistic of them",
                        origin.path,
                        found.len(),
                        place.written,
                        first.pointer,
                        second.pointer
                    ));
                }
            }
        }
        let at = places.first().map_or_else(String::new, |place| place.written.clone());
        match &value.absent {
            Some(otherwise) => {
                Ok(At { value: stand_in(otherwise), at: format!("{at}, which is not there") })
            }
            None => Err(missing.unwrap_or_else(|| format!("nothing stands at {at}"))),
        }
    }

    fn of_many(
        &mut self,
        value: &Value,
        statistic: Statistic,
        place: &Place,
        wanted: Option<&str>,
    ) -> Result<At<Read>, Wrong> {
        let absent = |at: String| match &value.absent {
            Some(otherwise) => {
                Ok(At { value: stand_in(otherwise), at: format!("{at}, which is not there") })
            }
            None => Err(format!("nothing stands at {at}")),
        };
        let opened = match self.open(place) {
            Ok(opened) => opened,
            Err(_) if value.absent.is_some() => return absent(place.written.clone()),
            Err(reason) => return Err(reason),
        };
        let origin = opened.document.origin.clone();
        let at = format!("{} of {}", statistic.name(), named(&origin, &place.written));
        let mut all = self.scope.all(place, &opened);
        let there = !all.is_empty();
        if !value.conditions.is_empty() || value.within.is_some() {
            let (mut kept, mut wrong) = (Vec::new(), None);
            for found in all {
                match self.row_fits(value, &found, &opened) {
                    Ok(true) => kept.push(found),
                    Ok(false) => {}
                    Err(reason) => {
                        wrong.get_or_insert(reason);
                    }
                }
            }
            if let Some(reason) = wrong {
                return Err(format!("{}: {reason}", origin.path));
            }
            all = kept;
        }
        if !there {
            // An empty list of rows has none, which is a number of them.
            let counts = matches!(statistic, Statistic::Of(Stat::Count));
            let list = place.steps.len() < 2 || !counts;
            return if list {
                absent(named(&origin, &place.written))
            } else {
                Ok(At { value: Read::Number(0.0), at })
            };
        }
        let read = match statistic {
            Statistic::Each => Read::List(all.iter().map(|found| found.value.clone()).collect()),
            Statistic::Distinct => {
                let mut distinct: Vec<&Json> = Vec::new();
                for found in &all {
                    if !distinct.contains(&found.value) {
                        distinct.push(found.value);
                    }
                }
                Read::Number(distinct.len() as f64)
            }
            Statistic::Latest | Statistic::Earliest => {
                let mut moments = Vec::new();
                for found in &all {
                    let text = found.value.as_str().ok_or_else(|| {
                        format!("{}: that is no time", named(&origin, &found.pointer))
                    })?;
                    let own = moment(text, value.zone, String::new())
                        .map_err(|reason| format!("{}{reason}", named(&origin, &found.pointer)))?;
                    moments.push((own.utc, text.to_owned()));
                }
                // What has no offset is told apart by its letters, which are in the order of time.
                moments.sort();
                let chosen = if statistic == Statistic::Latest {
                    moments.pop()
                } else {
                    moments.into_iter().next()
                };
                chosen.map_or(Read::Unknown, |(_, text)| Read::Text(text))
            }
            Statistic::Of(Stat::Count) => Read::Number(all.len() as f64),
            Statistic::Of(stat) => self::statistic(value, stat, &all, &origin.path, wanted)?,
        };
        Ok(At { value: read, at })
    }

    /// Whether the row that a value stands in fulfils the conditions and lies in the run's part of the series.
    fn row_fits(&self, value: &Value, found: &Found<'_>, opened: &Opened) -> Result<bool, Wrong> {
        let row = found.pointer.rsplit_once('/').map_or("", |(row, _)| row);
        let row = opened.document.value.pointer(row).unwrap_or(&Json::Null);
        for condition in &value.conditions {
            if !holds(condition, row)? {
                return Ok(false);
            }
        }
        match (&value.within, self.span) {
            (None, _) => Ok(true),
            (Some(_), None) => Err("`within` needs a [window] in the map".to_owned()),
            (Some(column), Some(span)) => Ok(span.has(column_number(row, column)?)),
        }
    }
}

fn statistic(
    value: &Value,
    stat: Stat,
    all: &[Found<'_>],
    path: &str,
    wanted: Option<&str>,
) -> Result<Read, Wrong> {
    let entering = match stat {
        Stat::First => all.get(..1).unwrap_or_default(),
        Stat::Last => all.last().map_or(&[][..], std::slice::from_ref),
        _ => all,
    };
    let mut numbers = Vec::with_capacity(entering.len());
    for found in entering {
        let at = format!("{path}#{}", found.pointer);
        match of_json(value, found.value, wanted, &at)? {
            Read::Number(number) => numbers.push(number),
            Read::Bool(truth) => numbers.push(f64::from(u8::from(truth))),
            // The mean of the others would be that of those that went well.
            Read::Unknown => return Ok(Read::Unknown),
            Read::Text(_) | Read::Default | Read::List(_) => {
                return Err(format!("{at}: that is no number"));
            }
        }
    }
    // Of the elements that there are, known or not.
    let number = match stat {
        Stat::Count => Some(all.len() as f64),
        stat => metrics::statistic(numbers, stat),
    };
    Ok(number.map_or(Read::Unknown, Read::Number))
}

fn of_json(value: &Value, json: &Json, wanted: Option<&str>, at: &str) -> Result<Read, Wrong> {
    match json {
        Json::Null => Ok(stand_in(&value.null)),
        Json::Bool(truth) if value.map.is_empty() => Ok(Read::Bool(*truth)),
        Json::Bool(truth) => mapped(value, &truth.to_string(), at),
        Json::Number(number) if value.map.is_empty() => {
            let number = number.as_f64().filter(|own| own.is_finite());
            let number = number
                .ok_or_else(|| format!("{at}: {json} is no number that can be computed with"))?;
            converted(value, number, value.unit.as_deref(), wanted, at)
        }
        Json::Number(number) => mapped(value, &number.to_string(), at),
        Json::String(text) => of_text(value, text, wanted, at),
        Json::Array(_) | Json::Object(_) => Err(format!(
            "{at}: there is a {}, and one value is wanted",
            if json.is_array() { "list" } else { "group of values" }
        )),
    }
}

fn of_text(value: &Value, text: &str, wanted: Option<&str>, at: &str) -> Result<Read, Wrong> {
    if !value.map.is_empty() {
        return mapped(value, text, at);
    }
    let Some(wanted) = wanted else { return Ok(Read::Text(text.to_owned())) };
    if text.trim().is_empty() {
        return Ok(stand_in(&value.null));
    }
    let trimmed = text.trim();
    let end = trimmed
        .char_indices()
        .find(|(place, c)| {
            let exponent = matches!(c, 'e' | 'E')
                && trimmed
                    .get(..*place)
                    .is_some_and(|before| before.ends_with(|c: char| c.is_ascii_digit()));
            !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-') || exponent)
        })
        .map_or(trimmed.len(), |(place, _)| place);
    let (digits, own_unit) = trimmed.split_at(end);
    let own_unit = own_unit.trim();
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("{at}: `{}` is no number", shown::excerpt(text, 60)))?;
    let unit = match (own_unit, value.unit.as_deref()) {
        ("", unit) => unit,
        (own, None) if unit::convert(1.0, own, wanted).is_some() => Some(own),
        (own, Some(unit)) if own == unit => Some(own),
        (own, unit) => {
            let said = unit.unwrap_or(if wanted.is_empty() { "a pure number" } else { wanted });
            return Err(format!(
                "{at}: `{}` is in {own}, and {said} is wanted",
                shown::excerpt(text, 60)
            ));
        }
    };
    converted(value, number, unit, Some(wanted), at)
}

fn converted(
    value: &Value,
    number: f64,
    unit: Option<&str>,
    wanted: Option<&str>,
    at: &str,
) -> Result<Read, Wrong> {
    let mut number = number;
    if value.zero_is_unknown && number == 0.0 {
        return Ok(Read::Unknown);
    }
    if value.f32 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the file has a number of single precision"
        )]
        let single = number as f32;
        number = single.to_string().parse().unwrap_or(number);
    }
    if let (Some(unit), Some(wanted)) = (unit, wanted) {
        number = unit::convert(number, unit, wanted)
            .ok_or_else(|| format!("{at}: {unit} cannot be converted to {wanted}"))?;
    }
    Ok(Read::Number(if value.negate { -number } else { number }))
}

fn mapped(value: &Value, text: &str, at: &str) -> Result<Read, Wrong> {
    if let Some(scalar) = value.mapped(text) {
        return Ok(of_scalar(scalar));
    }
    let known: Vec<String> = value.map.iter().map(|(key, _)| key.to_string()).collect();
    let text = shown::excerpt(text, 60);
    Err(format!("{at}: `map` has nothing for `{text}`: {}", known.join(", ")))
}

fn stand_in(otherwise: &Otherwise) -> Read {
    match otherwise {
        Otherwise::Unknown => Read::Unknown,
        Otherwise::Default => Read::Default,
        Otherwise::Value(scalar) => of_scalar(scalar),
    }
}

fn of_scalar(scalar: &Scalar) -> Read {
    match scalar {
        Scalar::Text(text) => Read::Text(text.clone()),
        Scalar::Integer(number) => Read::Number(*number as f64),
        Scalar::Float(number) => Read::Number(*number),
        Scalar::Bool(truth) => Read::Bool(*truth),
    }
}

/// Whether a row fulfils a condition.
pub(super) fn holds(condition: &Condition, row: &Json) -> Result<bool, Wrong> {
    match &condition.wanted {
        Wanted::Number(sign, number) => {
            column_number(row, &condition.column).map(|own| sign.holds(own, *number))
        }
        Wanted::Text(text) => {
            let own = column(row, &condition.column)?;
            Ok(match own {
                Json::String(own) => own == text,
                Json::Bool(truth) => (if *truth { "true" } else { "false" }) == text,
                _ => false,
            })
        }
    }
}

fn column<'r>(row: &'r Json, name: &str) -> Result<&'r Json, Wrong> {
    row.get(name).ok_or_else(|| format!("the rows have no column `{name}`"))
}

/// The number in a column.
pub(super) fn column_number(row: &Json, name: &str) -> Result<f64, Wrong> {
    let own = column(row, name)?;
    let number = match own {
        Json::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("`{own}` in the column `{name}` is no number"))
}

/// A time, in UTC where its offset is known.
fn moment(text: &str, zone: Option<Zone>, at: String) -> Result<Moment, Wrong> {
    let as_written = text.to_owned();
    if let Ok(time) = text.trim().parse::<Timestamp>() {
        return Ok(Moment { utc: Some(time.to_string()), as_written, at });
    }
    let local: DateTime = text
        .trim()
        .parse()
        .map_err(|_| format!("{at}: `{}` is no time", shown::excerpt(text, 60)))?;
    match zone {
        Some(Zone::Unknown) => Ok(Moment { utc: None, as_written, at }),
        Some(Zone::Offset(seconds)) => {
            let utc = Offset::from_seconds(seconds)
                .ok()
                .and_then(|offset| offset.to_timestamp(local).ok());
            let utc = utc.ok_or_else(|| format!("{at}: `{text}` is out of range"))?;
            Ok(Moment { utc: Some(utc.to_string()), as_written, at })
        }
        None => Err(format!(
            "{at}: `{text}` has no offset from UTC: write `zone = \"unknown\"` or one such as \"+02:00\""
        )),
    }
}
