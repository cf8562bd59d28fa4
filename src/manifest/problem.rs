//! What is wrong with a manifest, and where: collected as it is found, shown all at once.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::source::{At, Source};
use crate::shown;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A lower-case fragment that names the key and the value.
    pub message: String,
    /// Bytes of the manifest.
    pub span: Range<usize>,
    /// A few words beside the place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
}

/// Problems as they are found.
#[derive(Debug)]
pub struct Problems<'s> {
    source: &'s Source,
    found: Vec<Problem>,
    /// Of other files that this one names.
    others: Vec<Located>,
}

impl<'s> Problems<'s> {
    #[must_use]
    pub fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new(), others: Vec::new() }
    }

    /// Goes on from problems that were found earlier.
    #[must_use]
    pub fn after(source: &'s Source, found: Vec<Problem>) -> Self {
        Self { source, found, others: Vec::new() }
    }

    /// Problems of another file that this one names.
    pub fn of_other(&mut self, errors: ManifestErrors) {
        for problem in errors.problems {
            // Several parts of a manifest may name one file.
            if !self.others.contains(&problem) {
                self.others.push(problem);
            }
        }
    }

    /// A problem with a value.
    pub fn value(&mut self, at: &At<'_>, message: impl Into<String>, help: Option<String>) {
        let span = self.source.value_span(at);
        self.push(span, message.into(), help);
    }

    /// A problem with a key.
    pub fn key(&mut self, at: &At<'_>, message: impl Into<String>, help: Option<String>) {
        let span = self.source.key_span(at);
        self.push(span, message.into(), help);
    }

    fn push(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.found.push(Problem { message, span, label: "here".to_owned(), help });
    }

    #[must_use]
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// How many were found so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len() + self.others.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing wrong: `Ok`; else the error with all of it.
    pub fn finish(self) -> Result<(), ManifestErrors> {
        if self.is_empty() {
            return Ok(());
        }
        let mut errors = ManifestErrors::new(self.source, self.found);
        errors.problems.extend(self.others);
        Err(errors)
    }
}

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone)]
pub struct ManifestErrors {
    pub path: PathBuf,
    pub problems: Vec<Located>,
}

/// A problem with the text it points into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// From 1.
    pub line: usize,
    pub problem: Problem,
    source: Arc<Shown>,
}

/// The text of a manifest as it is shown.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    text: String,
}

/// Bytes of one line that are shown.
const LONGEST: usize = 240;
const LONGEST_MESSAGE: usize = 2000;
/// Bytes of a place of several lines, and of a place with the lines beside it.
const LONGEST_PLACE: usize = 4000;

impl ManifestErrors {
    /// All problems of a manifest, in the order of its text.
    #[must_use]
    pub fn new(source: &Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        let name = shown::line(&source.path.display().to_string()).into_owned();
        let shown = Arc::new(Shown { name, text: shown::source(&source.text).into_owned() });
        let (mut line, mut counted) = (1, 0);
        let located = problems.into_iter().map(|problem| {
            // Each part of the text is looked at once, however many problems it has.
            let start = problem.span.start.clamp(counted, source.text.len());
            let passed = source.text.as_bytes().get(counted..start).unwrap_or_default();
            line += memchr::memchr_iter(b'\n', passed).count();
            counted = start;
            let fit = |text: &str| shown::cut(&shown::lines(text), LONGEST_MESSAGE).into_owned();
            let problem = Problem {
                message: fit(&problem.message),
                label: fit(&problem.label),
                help: problem.help.as_deref().map(fit),
                span: problem.span,
            };
            Located { line, problem, source: Arc::clone(&shown) }
        });
        Self { path: source.path.clone(), problems: located.collect() }
    }
}

impl Shown {
    /// The part of a line around a place, if the line is too long to be shown: a place in it that is no longer than
    /// what is shown of it.
    fn part(&self, place: &Range<usize>) -> Option<Range<usize>> {
        let text = &self.text;
        let before = text.get(..place.start)?;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = text.get(place.start..)?.find('\n').map_or(text.len(), |end| place.start + end);
        if end - start <= LONGEST {
            return None;
        }
        let from = shown::boundary(text, place.start.saturating_sub(LONGEST / 4)).max(start);
        Some(from..shown::boundary(text, (from + LONGEST).min(end)))
    }

    /// A place within what is shown: of a long line its beginning.
    fn cut(&self, place: &Range<usize>) -> Range<usize> {
        match self.part(place) {
            Some(part) => place.start..place.end.min(part.end).max(place.start),
            None if place.len() > LONGEST_PLACE => {
                let end = shown::boundary(&self.text, place.start + LONGEST_PLACE);
                place.start..end.max(place.start)
            }
            None => place.clone(),
        }
    }
}

impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let place = span.offset()..span.offset() + span.len();
        let Some(part) = self.part(&place) else {
            let read = |before, after| self.text.as_str().read_span(span, before, after);
            let whole = match read(lines_before, lines_after)? {
                // A line beside it is too long.
                whole if whole.data().len() > LONGEST_PLACE => read(0, 0)?,
                whole => whole,
            };
            return Ok(Box::new(MietteSpanContents::new_named(
                self.name.clone(),
                whole.data(),
                *whole.span(),
                whole.line(),
                whole.column(),
                whole.line_count(),
            )));
        };
        let before = self.text.get(..part.start).unwrap_or_default();
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.text.as_bytes().get(part.clone()).ok_or(MietteError::OutOfBounds)?,
            (part.start, part.len()).into(),
            before.matches('\n').count(),
            column,
            1,
        )))
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.problems.len();
        let s = if n == 1 { "" } else { "s" };
        write!(f, "{}: {n} problem{s}", self.path.display())
    }
}

impl std::error::Error for ManifestErrors {}

impl Diagnostic for ManifestErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Located {}

impl Diagnostic for Located {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.source.cut(&self.problem.span);
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            Some(self.problem.label.clone()),
            span,
        ))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
