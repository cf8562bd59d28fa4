//! Words of a command line with places for levels: `--model={model}`, `{model|slug}.json`.
//!
//! What a place means in one cell is decided by the plan and, for folders, by the executor.

/// A word, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// The cell's level on this axis.
    Level {
        axis: String,
        /// As file names carry it.
        slug: bool,
    },
    Place(Place),
}

/// What differs from run to run or from machine to machine, so it is no part of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The folder for the run's files, absolute.
    Out,
    /// The manifest's folder, absolute.
    Study,
    /// Number of the repeat, from 1.
    Repeat,
}

impl Place {
    pub const ALL: [Place; 3] = [Place::Out, Place::Study, Place::Repeat];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Place::Out => "out",
            Place::Study => "study",
            Place::Repeat => "repeat",
        }
    }

    /// The place of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

impl Template {
    /// Parses `{axis}`, `{axis|slug}`, `{out}`, `{study}` and `{repeat}`; `{{` and `}}` are braces.
    pub fn parse(word: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, brace, after)) = cut_out(rest) {
            text.push_str(before);
            if let Some(after) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(format!("`{word}` closes a brace that it does not open; write }}}}"));
            }
            let (inner, after) = after.split_once('}').ok_or_else(|| {
                format!("`{word}` opens a brace that it does not close; write {{{{ for a brace")
            })?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(place(inner)?);
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() || parts.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts })
    }

    /// The axes whose levels it needs.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Level { axis, .. } => Some(axis.as_str()),
            Part::Text(_) | Part::Place(_) => None,
        })
    }

    /// The places that it has.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(place) => Some(*place),
            Part::Text(_) | Part::Level { .. } => None,
        })
    }

    /// With its levels put in; places stay.
    #[must_use]
    pub fn with_levels(&self, level: impl Fn(&str, bool) -> String) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text.clone(),
                Part::Level { axis, slug } => level(axis, *slug),
                Part::Place(place) => {
                    parts.push(Part::Place(*place));
                    continue;
                }
            };
            match parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(&text),
                _ => parts.push(Part::Text(text)),
            }
        }
        Self { parts }
    }

    /// The word, with what stands for its places.
    #[must_use]
    pub fn fill(&self, place: impl Fn(Place) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Level { axis, .. } => format!("{{{axis}}}"),
                Part::Place(own) => place(*own),
            })
            .collect()
    }
}

/// As it is written in a manifest, so that two templates that read alike are alike.
impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
                Part::Level { axis, slug: false } => write!(f, "{{{axis}}}")?,
                Part::Level { axis, slug: true } => write!(f, "{{{axis}|slug}}")?,
                Part::Place(place) => write!(f, "{{{}}}", place.name())?,
            }
        }
        Ok(())
    }
}

/// The text before the first brace, the brace, and the text behind it.
fn cut_out(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_at(text.find(['{', '}'])?);
    let (brace, after) = rest.split_at(1);
    Some((before, brace, after))
}

fn place(inner: &str) -> Result<Part, String> {
    let (name, slug) = match inner.split_once('|') {
        None => (inner.trim(), false),
        Some((name, filter)) if filter.trim() == "slug" => (name.trim(), true),
        Some((_, filter)) => {
            return Err(format!("`{}` is no filter of levels: use slug", filter.trim()));
        }
    };
    Ok(match Place::named(name) {
        Some(place) => Part::Place(place),
        None => Part::Level { axis: name.to_owned(), slug },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_places_are_told_from_braces() {
        let word = Template::parse("a{{b}}{x}-{x|slug}/{out}").unwrap();
        assert_eq!(word.axes().collect::<Vec<_>>(), ["x", "x"]);
        let of_cell = word.with_levels(|_, slug| if slug { "s" } else { "{l}" }.to_owned());
        assert_eq!(of_cell.to_string(), "a{{b}}{{l}}-s/{out}");
        assert_eq!(of_cell.fill(|_| "/o".to_owned()), "a{b}{l}-s//o");
        assert_eq!(Template::parse("").unwrap().fill(|_| String::new()), "");
        for (wrong, because) in [
            ("{x", "does not close"),
            ("x}", "does not open"),
            ("{x|upper}", "`upper` is no filter"),
        ] {
            let message = Template::parse(wrong).unwrap_err();
            assert!(message.contains(because), "{message}");
        }
    }
}
