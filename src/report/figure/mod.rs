//! Figures as SVG: drawn from stored runs only, the same bytes on every machine.
//!
//! The writer is our own and small, because the picture's colours are style classes (light and dark),
//! every mark carries its value as a title, and no font may be measured. A figure whose data do not
//! exist is not drawn empty: it says why. Which figures a report has is left to the templates.

mod artifacts;
mod by_cell;
mod by_factor;
mod by_load;
mod distribution;
mod drift;
mod frontier;
mod groups;
mod over_time;
mod plot;
mod scale;
mod svg;
mod thin;

use super::data::{Cell, Data};
use super::select::{SelectError, Selection, nearest};
use crate::metrics::MetricInfo;
use crate::report::select;

pub use svg::escape;

/// Style of all figures, light and dark; a page holds it once.
pub const STYLE: &str = include_str!("theme.css");

/// A figure that a report asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// File name without `.svg`: letters, digits, `-` and `_`.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it: which marks, which runs, what was left out.
    pub caption: String,
    size: (f64, f64),
    content: String,
}

impl Figure {
    /// How each file of a figure begins, and no other file does.
    pub const START: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"";

    /// As a file of its own, with its style; begins with [`Figure::START`].
    #[must_use]
    pub fn standalone(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {}>\n<style>\n{STYLE}</style>\n{}</svg>\n",
            self.attributes(),
            self.content
        )
    }

    /// As part of a page that has [`STYLE`].
    #[must_use]
    pub fn inline(&self) -> String {
        format!("<svg {}>\n{}</svg>", self.attributes(), self.content)
    }

    fn attributes(&self) -> String {
        let (width, height) = (svg::px(self.size.0), svg::px(self.size.1));
        format!(
            "class=\"fig\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" aria-label=\"{}\"",
            svg::escape(&self.title)
        )
    }
}

/// What became of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawn {
    Figure(Figure),
    /// Why there is nothing to draw, as the end of a sentence.
    Absent(String),
}

/// A figure that cannot be asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FigureError {
    #[error("there is no figure `{name}`{hint} (there are: {})", KINDS.map(|kind| kind.name).join(", "))]
    UnknownKind { name: String, hint: String },
    #[error("figure `{kind}` needs `{argument} = …`")]
    Missing { kind: &'static str, argument: &'static str },
    #[error("figure `{kind}`: `{argument}` is {expected}")]
    Wrong { kind: &'static str, argument: &'static str, expected: &'static str },
    #[error("figure `{kind}`: there is no factor `{name}` in the selected cells{hint}")]
    UnknownFactor { kind: &'static str, name: String, hint: String },
    #[error("figure `{kind}`: {said} has no run `{run}`")]
    UnknownRun { kind: &'static str, said: String, run: String },
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// A figure that there is.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Its own arguments; all others select cells.
    pub arguments: &'static [&'static str],
    draw: fn(&Request<'_>) -> Result<Drawn, FigureError>,
}

/// Every figure that a template can ask for.
pub const KINDS: [Kind; 9] = [
    Kind {
        name: by_cell::NAME,
        arguments: &["metric", "bars", "log", "reference"],
        draw: by_cell::draw,
    },
    Kind { name: by_factor::NAME, arguments: &["metric", "factor"], draw: by_factor::draw },
    Kind {
        name: by_load::NAME,
        arguments: &["metric", "load", "series", "log", "reference"],
        draw: by_load::draw,
    },
    Kind { name: drift::NAME, arguments: &["metric"], draw: drift::draw },
    Kind { name: frontier::NAME, arguments: &["x", "y"], draw: frontier::draw },
    Kind { name: over_time::LAG, arguments: &["run"], draw: over_time::draw_lag },
    Kind { name: over_time::GPU, arguments: &["run"], draw: over_time::draw_gpu },
    Kind { name: distribution::LAG, arguments: &["run"], draw: distribution::draw_lag },
    Kind { name: distribution::GAPS, arguments: &["run"], draw: distribution::draw_gaps },
];

/// The figure of that name.
pub fn kind(name: &str) -> Result<&'static Kind, FigureError> {
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| FigureError::UnknownKind {
        name: name.to_owned(),
        hint: nearest(name, KINDS.iter().map(|kind| kind.name)),
    })
}

/// An argument of a figure as a template writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// What a template asks for.
#[derive(Debug)]
pub struct Request<'a> {
    pub data: &'a Data,
    pub kind: &'static Kind,
    pub selection: &'a Selection<'a>,
    /// Those of [`Kind::arguments`] that were given.
    pub arguments: &'a [(String, Argument)],
}

impl<'a> Request<'a> {
    /// Draws it.
    pub fn draw(&self) -> Result<Drawn, FigureError> {
        (self.kind.draw)(self)
    }

    fn argument(&self, name: &'static str) -> Option<&Argument> {
        self.arguments.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    fn text(&self, argument: &'static str) -> Result<Option<&str>, FigureError> {
        match self.argument(argument) {
            None => Ok(None),
            Some(Argument::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(argument, "a text")),
        }
    }

    fn number(&self, argument: &'static str) -> Result<Option<f64>, FigureError> {
        match self.argument(argument) {
            None => Ok(None),
            Some(Argument::Number(number)) if number.is_finite() => Ok(Some(*number)),
            Some(_) => Err(self.wrong(argument, "a number")),
        }
    }

    fn flag(&self, argument: &'static str) -> Result<bool, FigureError> {
        match self.argument(argument) {
            None => Ok(false),
            Some(Argument::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(argument, "true or false")),
        }
    }

    fn metric(&self, argument: &'static str) -> Result<MetricInfo<'a>, FigureError> {
        let name = self.text(argument)?;
        let name = name.ok_or(FigureError::Missing { kind: self.kind.name, argument })?;
        Ok(select::metric(self.data, name)?)
    }

    fn wrong(&self, argument: &'static str, expected: &'static str) -> FigureError {
        FigureError::Wrong { kind: self.kind.name, argument, expected }
    }

    /// A name from the experiment, the kind and what it is of.
    fn name(&self, of: &[&str]) -> String {
        let experiment = self.selection.experiment.map_or("study", |own| own.name.as_str());
        let parts = [&[experiment, self.kind.name], of].concat();
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        parts.join("-").chars().map(plain).collect()
    }

    /// Which experiment, or nothing for the whole study.
    fn of_experiment(&self) -> String {
        self.selection
            .experiment
            .map_or_else(String::new, |own| format!(" (experiment {})", own.name))
    }

    /// What must stand under every picture of a paced endpoint, and of what this program did not measure.
    fn origin(&self) -> &'static str {
        let any = |is: fn(&Cell) -> bool| self.selection.cells.iter().any(|cell| is(cell));
        match (any(|cell| cell.simulated), any(|cell| cell.imported)) {
            (true, true) => " SIMULATED in part, IMPORTED in part.",
            (true, false) => " SIMULATED.",
            (false, true) => " IMPORTED.",
            (false, false) => "",
        }
    }

    fn picture(
        &self,
        name: String,
        title: String,
        caption: &str,
        height: f64,
        content: svg::Svg,
    ) -> Drawn {
        let paper = "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n";
        Drawn::Figure(Figure {
            name,
            title,
            caption: format!("{caption}{}", self.origin()),
            size: (plot::WIDTH, height),
            content: format!("{paper}{}", content.finish()),
        })
    }
}
