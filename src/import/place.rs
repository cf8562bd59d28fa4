//! What stands at the places of a map: pointers with patterns followed through a document.

use serde_json::Value as Json;

use super::document::{Document, Files};
use crate::manifest::import::pattern::{Captures, Filled, Place, Segment};
use crate::manifest::nearest::nearest;
use crate::store::record::Origin;

/// Something that stands somewhere.
#[derive(Debug, Clone)]
pub struct Found<'d> {
    pub value: &'d Json,
    /// The pointer, in the file that the place is in.
    pub pointer: String,
    /// What was bound, and what the place's own captures are.
    pub captures: Captures,
}

/// Everything that matches a pattern of steps, from this value on.
#[must_use]
pub fn follow<'d>(
    from: &'d Json,
    pointer: &str,
    steps: &[Segment],
    bound: &Captures,
) -> Vec<Found<'d>> {
    let mut found =
        vec![Found { value: from, pointer: pointer.to_owned(), captures: bound.clone() }];
    for step in steps {
        found = found.iter().flat_map(|own| one_step(own, step)).collect();
    }
    found
}

/// The runs of a document: what matches `each`, or the document itself.
#[must_use]
pub fn elements<'d>(document: &'d Json, each: Option<&Place>, bound: &Captures) -> Vec<Found<'d>> {
    follow(document, "", each.map_or(&[], |each| each.steps.as_slice()), bound)
}

fn one_step<'d>(from: &Found<'d>, step: &Segment) -> Vec<Found<'d>> {
    let further = |key: &str, value: &'d Json, captures: Captures| {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        Found { value, pointer: format!("{}/{escaped}", from.pointer), captures }
    };
    if let Some(key) = step.fixed(&from.captures) {
        // A choice holds for what was bound before, too.
        if step.matched(&key, &from.captures).is_none() {
            return Vec::new();
        }
        let value = match from.value {
            Json::Object(map) => map.get(&key),
            Json::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => None,
        };
        return value
            .map(|value| further(&key, value, from.captures.clone()))
            .into_iter()
            .collect();
    }
    match from.value {
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| {
                Some(further(key, value, step.matched(key, &from.captures)?))
            })
            .collect(),
        Json::Array(list) => list
            .iter()
            .enumerate()
            .filter_map(|(index, value)| {
                let key = index.to_string();
                Some(further(&key, value, step.matched(&key, &from.captures)?))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Where places of one run start.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'s> {
    pub files: &'s Files,
    pub document: &'s Document,
    /// The element at hand, and its pointer.
    pub element: &'s Json,
    pub pointer: &'s str,
    pub captures: &'s Captures,
}

/// A place with the file that it is in.
#[derive(Debug, Clone)]
pub struct Opened {
    pub document: Document,
    /// It is in another file than the row.
    pub is_companion: bool,
}

impl<'s> Scope<'s> {
    /// The same, at another element.
    #[must_use]
    pub fn at(self, element: &'s Json, pointer: &'s str, captures: &'s Captures) -> Self {
        Self { element, pointer, captures, ..self }
    }

    /// The file that a place is in.
    pub fn open(&self, place: &Place) -> Result<Opened, String> {
        let Some(file) = &place.file else {
            return Ok(Opened { document: self.document.clone(), is_companion: false });
        };
        let path = self.beside(file)?;
        let document = self
            .files
            .read(&path, None)
            .map_err(|reason| format!("the file {path} beside it {reason}"))?;
        Ok(Opened { document, is_companion: true })
    }

    /// The path of another file, relative to the folder of the row's, with captures in their places.
    fn beside(&self, file: &[Segment]) -> Result<String, String> {
        let mut parts: Vec<String> =
            self.document.origin.path.split('/').map(str::to_owned).collect();
        parts.pop();
        for segment in file {
            let text = Filled(segment.clone())
                .text(self.captures)
                .map_err(|name| format!("nothing captures {{{name}}}"))?;
            match text.as_str() {
                "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err("a file beside it would lie outside of the root".to_owned());
                    }
                }
                _ if text.contains(['/', '\\']) => {
                    return Err(format!("`{text}` is no name of a file"));
                }
                _ => parts.push(text),
            }
        }
        Ok(parts.join("/"))
    }

    /// Everything that stands at a place of an opened file.
    #[must_use]
    pub fn all<'d>(&self, place: &Place, opened: &'d Opened) -> Vec<Found<'d>>
    where
        's: 'd,
    {
        if place.from_element {
            follow(self.element, self.pointer, &place.steps, self.captures)
        } else {
            follow(&opened.document.value, "", &place.steps, self.captures)
        }
    }

    /// Why nothing stands at a place: the first step that leads nowhere, with what is near.
    #[must_use]
    pub fn missing(&self, place: &Place, opened: &Opened) -> String {
        let (mut value, mut pointer) = if place.from_element {
            (self.element, self.pointer.to_owned())
        } else {
            (&*opened.document.value, String::new())
        };
        for step in &place.steps {
            let here = Found { value, pointer: pointer.clone(), captures: self.captures.clone() };
            if let Some(next) = one_step(&here, step).first() {
                (value, pointer) = (next.value, next.pointer.clone());
                continue;
            }
            let key = step.fixed(self.captures).unwrap_or_else(|| step.to_string());
            let near = match value {
                Json::Object(map) => nearest(&key, map.keys().map(String::as_str)),
                _ => None,
            };
            let near = near.map_or_else(String::new, |near| format!("; there is `{near}`"));
            let at =
                if pointer.is_empty() { "at the top".to_owned() } else { format!("at {pointer}") };
            return format!("there is no `{key}` {at}{near}");
        }
        format!("nothing stands at {}", place.written)
    }
}

/// As messages name it.
#[must_use]
pub fn named(origin: &Origin, pointer: &str) -> String {
    if pointer.is_empty() { origin.path.clone() } else { format!("{}#{pointer}", origin.path) }
}
