//! Templates → Markdown. A pure function: no clock, no locale, no order of hashes.

use std::borrow::Cow;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use super::completeness::{self, Missing, Stale};
use super::context::{CellView, Context, RunRow};
use super::data::{Cell, Data};
use super::{escape, functions};

/// Templates in the binary; those with `_` hold macros for the others.
const BUILTIN: [(&str, &str); 6] = [
    ("study.md.j2", include_str!("../../templates/study.md.j2")),
    ("tr117.md.j2", include_str!("../../templates/tr117.md.j2")),
    ("python_ceiling.md.j2", include_str!("../../templates/python_ceiling.md.j2")),
    ("cell.md.j2", include_str!("../../templates/cell.md.j2")),
    ("_sections.md.j2", include_str!("../../templates/_sections.md.j2")),
    ("_comparison.md.j2", include_str!("../../templates/_comparison.md.j2")),
];
/// The template of studies that name none.
pub const GENERAL: &str = "study.md.j2";
const CELL: &str = "cell.md.j2";
const MARKDOWN: AutoEscape = AutoEscape::Custom(Cow::Borrowed("markdown"));

/// A template: its name in messages, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    pub source: String,
}

impl Template {
    /// The one in the binary, if there is one of that name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let whole = BUILTIN.iter().filter(|(own, _)| !own.starts_with('_') && *own != CELL);
        whole
            .clone()
            .find(|(own, _)| *own == name)
            .map(|(name, source)| Self { name: (*name).into(), source: (*source).into() })
    }
}

/// A report that cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the study is not complete")]
    Incomplete { missing: Vec<Missing>, stale: Vec<Stale> },
    #[error(transparent)]
    Template(Box<TemplateError>),
}

/// An error in a template, with its place.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{name}:{line}: {message}")]
pub struct TemplateError {
    pub name: String,
    /// From 1.
    pub line: usize,
    pub message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    span: Option<SourceSpan>,
}

/// Renders the report of a study. Missing or stale runs are an error unless `partial`, which makes
/// the report say so.
pub fn study(data: &Arc<Data>, template: &Template, partial: bool) -> Result<String, RenderError> {
    let (missing, stale) = (completeness::missing(data), completeness::stale(data));
    let complete = missing.is_empty() && stale.is_empty();
    if !complete && !partial {
        return Err(RenderError::Incomplete { missing, stale });
    }
    let env = environment(data, partial, template)?;
    let context = Value::from(Serde(Context::new(data)));
    render(&env, &template.name, context, &template.source)
}

/// Renders a page per cell: configuration, runs, statistics; in the order of the plan.
pub fn cells(data: &Arc<Data>) -> Result<Vec<String>, RenderError> {
    #[derive(Serialize)]
    struct Page<'a> {
        study: &'a super::data::StudyFacts,
        cell: CellView<'a>,
        runs: Vec<RunRow<'a>>,
        metrics: Vec<MetricLine<'a>>,
    }
    let source = BUILTIN.iter().find(|(name, _)| *name == CELL).map_or("", |(_, source)| source);
    let template = Template { name: CELL.into(), source: source.into() };
    let env = environment(data, true, &template)?;
    data.cells
        .iter()
        .map(|cell| {
            let page = Page {
                study: &data.study,
                cell: CellView::new(cell, &cell.factors),
                runs: completeness::fresh(cell).map(|run| RunRow::new(cell, run)).collect(),
                metrics: metric_lines(data, cell),
            };
            render(&env, CELL, Value::from(Serde(page)), source)
        })
        .collect()
}

/// One metric of a cell.
#[derive(Debug, Serialize)]
struct MetricLine<'a> {
    name: &'a str,
    unit: &'a str,
    clock: &'static str,
    n: usize,
    mean: f64,
    sd: Option<f64>,
    median: f64,
    ci: Option<[f64; 2]>,
}

fn metric_lines<'a>(data: &'a Data, cell: &Cell) -> Vec<MetricLine<'a>> {
    data.metrics()
        .filter_map(|info| {
            let values = completeness::fresh(cell)
                .filter_map(|run| super::select::value(run, info.name))
                .collect();
            let sample = crate::stats::Sample::new(values).ok()?;
            Some(MetricLine {
                name: info.name,
                unit: info.unit,
                clock: info.clock.name(),
                n: sample.n(),
                mean: sample.mean(),
                sd: sample.sd(),
                median: sample.median(),
                ci: sample.mean_ci(0.95).map(|ci| [ci.low, ci.high]),
            })
        })
        .collect()
}

fn environment(
    data: &Arc<Data>,
    partial: bool,
    template: &Template,
) -> Result<Environment<'static>, RenderError> {
    let mut env = Environment::new();
    env.set_debug(true);
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = env.syntax().to_builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    env.set_syntax(syntax.build().map_err(|error| place(&error, ""))?);
    env.set_auto_escape_callback(|_| MARKDOWN);
    env.set_formatter(|out, state, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        let plain = value.is_safe() || *state.auto_escape() != MARKDOWN || value.is_number();
        let written = match value {
            value if value.is_none() => out.write_str("unknown"),
            value if plain => out.write_fmt(format_args!("{value}")),
            value => out.write_str(&escape::text(&value.to_string())),
        };
        written.map_err(|_| Error::from(ErrorKind::WriteFailure))
    });
    functions::add(&mut env, data, partial);
    env.add_global("partial", partial);
    for (name, source) in BUILTIN {
        env.add_template(name, source).map_err(|error| place(&error, source))?;
    }
    env.add_template_owned(template.name.clone(), template.source.clone())
        .map_err(|error| place(&error, &template.source))?;
    Ok(env)
}

fn render(
    env: &Environment,
    name: &str,
    context: Value,
    source: &str,
) -> Result<String, RenderError> {
    env.get_template(name)
        .and_then(|template| template.render(context))
        .map_err(|error| place(&error, source))
}

/// Says where in which template an error is.
fn place(error: &Error, source: &str) -> RenderError {
    // an error in an included template or a macro is the cause of the one at the place of its use
    let mut innermost = error;
    while let Some(cause) =
        std::error::Error::source(innermost).and_then(|cause| cause.downcast_ref::<Error>())
    {
        innermost = cause;
    }
    let source = innermost.template_source().unwrap_or(source).to_owned();
    let name = innermost.name().unwrap_or("template").to_owned();
    let message = match innermost.detail() {
        Some(detail) if innermost.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", innermost.kind()),
        None => innermost.kind().to_string(),
    };
    let span = innermost
        .range()
        .filter(|range| range.end <= source.len())
        .map(|range| SourceSpan::from((range.start, range.len())));
    RenderError::Template(Box::new(TemplateError {
        line: innermost.line().unwrap_or(1),
        source_code: NamedSource::new(&name, source),
        name,
        message,
        span,
    }))
}
