//! Templates → Markdown. A pure function: no clock, no locale, no order of hashes.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use miette::{Diagnostic, NamedSource, SourceSpan};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use super::completeness::{self, Missing, Stale};
use super::context::{CellView, Context, RunRow};
use super::data::{Cell, Data};
use super::figure::Figure;
use super::illustrate::{self, Figures};
use super::{cell_table, escape, functions, html, mark};
use crate::shown;

/// Templates in the binary; those with `_` hold macros for the others.
const BUILTIN: [(&str, &str); 7] = [
    ("study.md.j2", include_str!("../../templates/study.md.j2")),
    ("tr117.md.j2", include_str!("../../templates/tr117.md.j2")),
    ("python_ceiling.md.j2", include_str!("../../templates/python_ceiling.md.j2")),
    ("cell.md.j2", include_str!("../../templates/cell.md.j2")),
    ("_figures.md.j2", include_str!("../../templates/_figures.md.j2")),
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
        whole()
            .find(|(own, _)| *own == name)
            .map(|(name, source)| Self { name: (*name).into(), source: (*source).into() })
    }

    /// Names of those in the binary.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        whole().map(|(name, _)| *name).collect()
    }
}

/// Built-in templates of whole reports.
fn whole() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    BUILTIN.iter().filter(|(own, _)| !own.starts_with('_') && *own != CELL)
}

/// A report that cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the study is not complete")]
    Incomplete { missing: Vec<Missing>, stale: Vec<Stale> },
    #[error(transparent)]
    Template(Box<TemplateError>),
    #[error("the tables cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
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

/// A rendered report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Markdown whose numbers are marked.
    marked: String,
    figures: Vec<Figure>,
    name: String,
}

impl Report {
    /// As Markdown, with its figures as `figures/<name>.svg` beside it.
    #[must_use]
    pub fn markdown(&self) -> String {
        mark::strip(&self.marked)
    }

    /// As one page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(&self.marked, &self.figures, &self.name)
    }

    #[must_use]
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }
}

/// Renders the report of a study. Missing or stale runs are an error unless `partial`, which makes
/// the report say so.
pub fn study(data: &Arc<Data>, template: &Template, partial: bool) -> Result<Report, RenderError> {
    must_be_complete(data, partial)?;
    let figures = Figures::default();
    let mut env = environment(data, partial, template)?;
    illustrate::add(&mut env.templates, data, &figures);
    let context = Value::from(Serde(Context::new(data)));
    let marked = render(&env, &template.name, context, &template.source)?;
    Ok(Report { marked, figures: figures.take(), name: data.study.name.clone() })
}

/// What the report's tables show, for programs: the names of a template, and every table of a metric by
/// cell. Missing or stale runs are an error unless `partial`.
pub fn json(data: &Data, partial: bool) -> Result<Vec<u8>, RenderError> {
    /// Version of the document.
    const FORMAT: u32 = 1;
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        #[serde(flatten)]
        context: Context<'a>,
        tables: Vec<cell_table::Table>,
        runs: Vec<RunRow<'a>>,
    }
    must_be_complete(data, partial)?;
    let runs = data
        .cells
        .iter()
        .flat_map(|cell| completeness::fresh(cell).map(move |run| RunRow::new(cell, run)));
    let document = Document {
        format: FORMAT,
        context: Context::new(data),
        tables: cell_table::tables(data),
        runs: runs.collect(),
    };
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

fn must_be_complete(data: &Data, partial: bool) -> Result<(), RenderError> {
    let (missing, stale) = (completeness::missing(data), completeness::stale(data));
    if partial || (missing.is_empty() && stale.is_empty()) {
        return Ok(());
    }
    Err(RenderError::Incomplete { missing, stale })
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
            let marked = render(&env, CELL, Value::from(Serde(page)), source)?;
            Ok(mark::strip(&marked))
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
) -> Result<Templates, RenderError> {
    let is_full = Arc::new(AtomicBool::new(false));
    let mut env = Environment::new();
    env.set_debug(true);
    env.set_fuel(Some(MOST_STEPS));
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = env.syntax().to_builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    env.set_syntax(syntax.build().map_err(|error| place(&error, ""))?);
    env.set_auto_escape_callback(|_| MARKDOWN);
    let stop = Arc::clone(&is_full);
    env.set_formatter(move |out, state, value| {
        if stop.load(Ordering::Relaxed) {
            return Err(too_long());
        }
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
    Ok(Templates { templates: env, is_full })
}

fn render(
    env: &Templates,
    name: &str,
    context: Value,
    source: &str,
) -> Result<String, RenderError> {
    let mut page = Page { text: Vec::new(), is_full: Arc::clone(&env.is_full) };
    let rendered = env
        .templates
        .get_template(name)
        .and_then(|template| template.render_captured_to(context, &mut page).map(drop));
    // Text without values in it is written on without a word.
    let rendered = rendered.and_then(|()| if env.is_full() { Err(too_long()) } else { Ok(()) });
    rendered.map_err(|error| place(&error, source))?;
    Ok(String::from_utf8_lossy(&page.text).into_owned())
}

/// Steps of the template engine that one page may take, some seconds of them; a long report takes a million.
const MOST_STEPS: u64 = 100_000_000;
/// Bytes that a page may have.
const LONGEST_PAGE: usize = 256 << 20;

/// Templates with all that they may use.
struct Templates {
    templates: Environment<'static>,
    is_full: Arc<AtomicBool>,
}

impl Templates {
    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// What a template writes, up to a bound. An error of a writer has no place in the template, so the next value that
/// is written tells of it.
struct Page {
    text: Vec<u8>,
    is_full: Arc<AtomicBool>,
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > LONGEST_PAGE {
            self.is_full.store(true, Ordering::Relaxed);
        } else {
            self.text.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_long() -> Error {
    let most = LONGEST_PAGE >> 20;
    let message = format!("the page gets longer than {most} MiB; does a loop here write too much?");
    Error::new(ErrorKind::InvalidOperation, message)
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
        _ if innermost.kind() == ErrorKind::OutOfFuel => format!(
            "the page takes more than {MOST_STEPS} steps; does a loop or a macro here go on without end?"
        ),
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
        // Places are bytes of it.
        source_code: NamedSource::new(shown::line(&name), shown::source(&source).into_owned()),
        name: shown::line(&name).into_owned(),
        message: shown::lines(&message).into_owned(),
        span,
    }))
}
