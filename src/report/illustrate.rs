//! The template function `figure`: draws, keeps what was drawn, and says in Markdown where it is.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::data::Data;
use super::escape;
use super::figure::{self, Argument, Drawn, Figure, FigureError, Request};
use super::functions::selection;

/// The figures of one rendering, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<Vec<Figure>>>);

impl Figures {
    /// All of them, which are gone afterwards.
    pub fn take(&self) -> Vec<Figure> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a figure under its name, or under a new one if another has it; says which.
    fn keep(&self, mut figure: Figure) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = figure.name.clone();
        let mut number = 1;
        while let Some(other) = kept.iter().find(|other| other.name == figure.name) {
            if *other == figure {
                return figure.name;
            }
            number += 1;
            figure.name = format!("{name}-{number}");
        }
        let name = figure.name.clone();
        kept.push(figure);
        name
    }
}

/// Adds `figure(kind, …)` to an environment.
pub fn add(env: &mut Environment, data: &Arc<Data>, figures: &Figures) {
    let (data, figures) = (Arc::clone(data), figures.clone());
    env.add_function("figure", move |kind: &str, kwargs: Kwargs| -> Result<Value, Error> {
        let kind = figure::kind(kind)?;
        let mut arguments = Vec::new();
        for name in kind.arguments {
            if kwargs.has(name) {
                arguments.push(((*name).to_owned(), argument(&kwargs.get(name)?)?));
            }
        }
        let selection = selection(&data, &kwargs, kind.arguments)?;
        let request = Request { data: &data, kind, selection: &selection, arguments: &arguments };
        let text = match request.draw()? {
            Drawn::Absent(reason) => format!("No figure: {}.", escape::text(&reason)),
            Drawn::Figure(figure) => {
                let (title, caption) = (escape::text(&figure.title), escape::text(&figure.caption));
                format!("![{title}](figures/{}.svg)\n{caption}", figures.keep(figure))
            }
        };
        Ok(Value::from_safe_string(text))
    });
}

fn argument(value: &Value) -> Result<Argument, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(Argument::Bool(value.is_true())),
        ValueKind::Number => Ok(Argument::Number(f64::try_from(value.clone())?)),
        ValueKind::String => Ok(Argument::Text(value.to_string())),
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("an argument of a figure is a text, a number or a bool, not {kind}"),
        )),
    }
}

impl From<FigureError> for Error {
    fn from(error: FigureError) -> Self {
        Error::new(ErrorKind::InvalidOperation, error.to_string())
    }
}
