//! One syntax of patterns for paths and for places in files: texts with `*` and named captures between.

use std::collections::BTreeMap;
use std::fmt;

/// What captures stand for, by their names.
pub type Captures = BTreeMap<String, String>;

/// A piece of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// `*`: any text.
    Any,
    /// `?`, in the keys of `map` alone: any one character.
    One,
    /// `{name}`, or `{name:a|b}` that is one of these; any text but none where no choices are given.
    Capture {
        name: String,
        choices: Vec<String>,
    },
}

/// A component of a path or a step of a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment(pub Vec<Part>);

impl Segment {
    /// Reads one; the error is a sentence fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(place) = rest.find(['*', '{', '}']) {
            let (before, from) = rest.split_at(place);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            if let Some(after) = from.strip_prefix('*') {
                parts.push(Part::Any);
                rest = after;
            } else if let Some((inside, after)) =
                from.strip_prefix('{').and_then(|from| from.split_once('}'))
            {
                parts.push(capture(inside, text)?);
                rest = after;
            } else {
                return Err(format!("`{text}` has a brace that nothing closes or opens"));
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The text itself where nothing in it varies once these captures are put in their places.
    #[must_use]
    pub fn fixed(&self, bound: &Captures) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Any | Part::One => None,
            Part::Capture { name, .. } => bound.get(name).cloned(),
        };
        self.0.iter().map(text).collect()
    }

    /// What its captures are where it matches a text; those that are bound already must be the same.
    #[must_use]
    pub fn matched(&self, text: &str, bound: &Captures) -> Option<Captures> {
        let mut found = bound.clone();
        matched(&self.0, text, &mut found).then_some(found)
    }

    /// The names of its captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Capture { name, .. } => Some(name.as_str()),
            Part::Text(_) | Part::Any | Part::One => None,
        })
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Any => f.write_str("*")?,
                Part::One => f.write_str("?")?,
                Part::Capture { name, choices } if choices.is_empty() => write!(f, "{{{name}}}")?,
                Part::Capture { name, choices } => write!(f, "{{{name}:{}}}", choices.join("|"))?,
            }
        }
        Ok(())
    }
}

fn capture(inside: &str, whole: &str) -> Result<Part, String> {
    let (name, choices) = match inside.split_once(':') {
        None => (inside, Vec::new()),
        Some((name, choices)) => (name, choices.split('|').map(str::to_owned).collect()),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!(
            "`{{{inside}}}` in `{whole}` is no capture: write a name of letters, digits and `_`, such as `{{repeat}}`"
        ));
    }
    if choices.iter().any(String::is_empty) {
        return Err(format!("`{{{inside}}}` has an empty choice"));
    }
    Ok(Part::Capture { name: name.to_owned(), choices })
}

fn matched(parts: &[Part], text: &str, found: &mut Captures) -> bool {
    let Some((first, others)) = parts.split_first() else { return text.is_empty() };
    match first {
        Part::Text(own) => {
            text.strip_prefix(own.as_str()).is_some_and(|rest| matched(others, rest, found))
        }
        Part::Any => ends(text).any(|(_, rest)| matched(others, rest, found)),
        Part::One => {
            let mut rest = text.chars();
            rest.next().is_some() && matched(others, rest.as_str(), found)
        }
        Part::Capture { name, choices } => {
            if let Some(bound) = found.get(name).cloned() {
                let rest = text.strip_prefix(bound.as_str());
                return rest.is_some_and(|rest| matched(others, rest, found));
            }
            if !choices.is_empty() {
                return choices.iter().any(|choice| {
                    text.strip_prefix(choice.as_str())
                        .is_some_and(|rest| with(name, choice, others, rest, found))
                });
            }
            ends(text)
                .filter(|(taken, _)| !taken.is_empty())
                .any(|(taken, rest)| with(name, taken, others, rest, found))
        }
    }
}

/// Goes on with a capture bound; what was bound is taken back where that leads nowhere.
fn with(name: &str, text: &str, others: &[Part], rest: &str, found: &mut Captures) -> bool {
    found.insert(name.to_owned(), text.to_owned());
    let fits = matched(others, rest, found);
    if !fits {
        found.remove(name);
    }
    fits
}

/// Every way of cutting a text in two, the shortest first part first.
fn ends(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices()
        .map(|(place, _)| place)
        .chain([text.len()])
        .map(|place| text.split_at(place))
}

/// A pattern of paths below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    pub written: String,
    parts: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    /// `**`: any number of components.
    Any,
    One(Segment),
}

impl PathPattern {
    pub fn parse(written: &str) -> Result<Self, String> {
        if written.is_empty() || written.starts_with('/') || written.contains('\\') {
            return Err(format!(
                "`{written}` is no pattern of paths below the root, with `/` between folders"
            ));
        }
        let parts = written
            .split('/')
            .map(|component| match component {
                "**" => Ok(Component::Any),
                "" | "." | ".." => Err(format!(
                    "`{written}` has a component `{component}`, which no path below the root has"
                )),
                component if component.contains("**") => {
                    Err(format!("`{component}` in `{written}`: `**` stands for whole components"))
                }
                component => Segment::parse(component).map(Component::One),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { written: written.to_owned(), parts })
    }

    /// What its captures are where it matches a path, given by its components.
    #[must_use]
    pub fn matched(&self, path: &[&str]) -> Option<Captures> {
        let mut found = Captures::new();
        components(&self.parts, path, &mut found).then_some(found)
    }

    /// The names of its captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| {
            match part {
                Component::Any => None,
                Component::One(segment) => Some(segment.captures()),
            }
            .into_iter()
            .flatten()
        })
    }
}

fn components(parts: &[Component], path: &[&str], found: &mut Captures) -> bool {
    let Some((first, others)) = parts.split_first() else { return path.is_empty() };
    match first {
        Component::Any => (0..=path.len())
            .any(|skipped| components(others, path.get(skipped..).unwrap_or_default(), found)),
        Component::One(segment) => {
            let Some((component, rest)) = path.split_first() else { return false };
            let Some(mut with) = segment.matched(component, found) else { return false };
            let fits = components(others, rest, &mut with);
            if fits {
                *found = with;
            }
            fits
        }
    }
}

/// A place in a file: a pointer (RFC 6901) whose steps may be patterns, from the file's top or from the element at
/// hand, in the file itself or in one beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub written: String,
    /// Relative to the folder of the file; captures in it are put in.
    pub file: Option<Vec<Segment>>,
    pub from_element: bool,
    pub steps: Vec<Segment>,
}

impl Place {
    /// Whether a text is meant as a place.
    #[must_use]
    pub fn is_place(text: &str) -> bool {
        text == "@" || text.starts_with('/') || text.starts_with("@/") || text.contains("#/")
    }

    pub fn parse(written: &str) -> Result<Self, String> {
        let (file, pointer) = match written.split_once('#') {
            Some((file, pointer)) => {
                let file = file.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
                (Some(file), pointer)
            }
            None => (None, written),
        };
        let (from_element, pointer) = match pointer.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, pointer),
        };
        if from_element && file.is_some() {
            return Err(format!("`{written}`: another file has no element at hand"));
        }
        let steps = match pointer.strip_prefix('/') {
            Some(steps) => steps.split('/').map(step).collect::<Result<_, _>>()?,
            None if pointer.is_empty() => Vec::new(),
            None => return Err(format!("`{written}` is no place: a pointer begins with `/`")),
        };
        Ok(Self { written: written.to_owned(), file, from_element, steps })
    }
}

/// `~1` stands for `/` and `~0` for `~`.
fn step(text: &str) -> Result<Segment, String> {
    let mut segment = Segment::parse(text)?;
    for part in &mut segment.0 {
        if let Part::Text(text) = part {
            *text = text.replace("~1", "/").replace("~0", "~");
        }
    }
    Ok(segment)
}

/// A text with captures, such as `{repeat}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled(pub Segment);

impl Filled {
    /// The text, or the name of the capture that nothing gives.
    pub fn text(&self, bound: &Captures) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0.0 {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Any => text.push('*'),
                Part::One => text.push('?'),
                Part::Capture { name, .. } => match bound.get(name) {
                    Some(own) => text.push_str(own),
                    None => return Err(name.clone()),
                },
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
        let components: Vec<&str> = path.split('/').collect();
        let found = PathPattern::parse(pattern).unwrap().matched(&components)?;
        Some(found.into_iter().collect())
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn captures_lie_between_texts_and_within_components() {
        let pattern = "data/{dir}/test{test}/run_{repeat}/metrics.json";
        let path = "data/chimera-homo/test007/run_2/metrics.json";
        let found = [pair("dir", "chimera-homo"), pair("repeat", "2"), pair("test", "007")];
        assert_eq!(of(pattern, path), Some(found.to_vec()));
        assert_eq!(of(pattern, "data/a/b/test007/run_2/metrics.json"), None);
        assert_eq!(of(pattern, "data/a/test/run_2/metrics.json"), None, "an empty capture");
    }

    #[test]
    fn stars_are_of_a_component_and_two_of_any_number() {
        assert!(of("**/*.md", "a/b/c.md").is_some() && of("**/*.md", "c.md").is_some());
        assert!(of("*.md", "a/c.md").is_none());
        assert!(of("experiments/**", "experiments/a/b").is_some());
        assert!(of("experiments/**", "other/a").is_none());
    }

    #[test]
    fn a_name_twice_is_the_same_text_and_choices_are_the_only_ones() {
        assert!(of("{a}/{a}.csv", "x/x.csv").is_some() && of("{a}/{a}.csv", "x/y.csv").is_none());
        assert_eq!(of("{a:one|two}/f", "two/f"), Some(vec![pair("a", "two")]));
        assert_eq!(of("{a:one|two}/f", "three/f"), None);
        assert_eq!(of("{a}-{b}", "x-y-z"), Some(vec![pair("a", "x"), pair("b", "y-z")]));
    }

    #[test]
    fn places_are_pointers_with_patterns() {
        let place = Place::parse("../summary.json#/{agent}/Tokens~1Sec").unwrap();
        assert!(!place.from_element && place.file.as_ref().unwrap().len() == 2);
        assert_eq!(place.steps[1], Segment(vec![Part::Text("Tokens/Sec".to_owned())]));
        let element = Place::parse("@/a").unwrap();
        assert!(element.from_element && element.steps.len() == 1);
        for wrong in ["a/b", "f.json#@/a", "/{a", "/{1}"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
