//! What is wrong with a manifest, and where: collected as it is found, shown all at once.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource};

use super::source::{At, Source};

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
}

impl<'s> Problems<'s> {
    #[must_use]
    pub fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Goes on from problems that were found earlier.
    #[must_use]
    pub fn after(source: &'s Source, found: Vec<Problem>) -> Self {
        Self { source, found }
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
        self.found.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Nothing wrong: `Ok`; else the error with all of it.
    pub fn finish(self) -> Result<(), ManifestErrors> {
        if self.found.is_empty() {
            Ok(())
        } else {
            Err(ManifestErrors::new(self.source, self.found))
        }
    }
}

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone)]
pub struct ManifestErrors {
    pub path: PathBuf,
    pub problems: Vec<Located>,
}

/// A problem with the text it points into.
#[derive(Debug, Clone)]
pub struct Located {
    /// From 1.
    pub line: usize,
    pub problem: Problem,
    source: Arc<NamedSource<Arc<str>>>,
}

impl ManifestErrors {
    /// All problems of a manifest, in the order of its text.
    #[must_use]
    pub fn new(source: &Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        let named =
            Arc::new(NamedSource::new(source.path.display().to_string(), Arc::clone(&source.text)));
        let located = problems.into_iter().map(|problem| Located {
            line: source.line(problem.span.start),
            problem,
            source: Arc::clone(&named),
        });
        Self { path: source.path.clone(), problems: located.collect() }
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
        let span = self.problem.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            Some(self.problem.label.clone()),
            span,
        ))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
