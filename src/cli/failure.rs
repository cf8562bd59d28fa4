//! How commands fail: a message for people and an exit code for programs.

use std::fmt::{self, Write as _};

use miette::Diagnostic;

use super::exit;
use crate::manifest::{LoadError, ManifestErrors};
use crate::shown;

/// Problems of a manifest that are shown in full.
const SHOWN: usize = 50;

/// The end of a command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    /// One after the other; the last says how it ended.
    reports: Vec<miette::Report>,
}

impl Failure {
    /// From a plain message; `help` says what to do.
    pub fn new(code: u8, message: impl fmt::Display, help: Option<&str>) -> Self {
        // Words of servers may be in it. What it is drawn with comes later, so this is the place for it.
        let mut diagnostic = miette::MietteDiagnostic::new(shown::lines(&message.to_string()));
        diagnostic.help = help.map(|help| shown::lines(help).into_owned());
        Self { code, reports: vec![diagnostic.into()] }
    }

    /// From an error with its chain of causes.
    pub fn error(code: u8, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::new(code, message, None)
    }

    /// From a diagnostic that points into a source text, which was made fit to be shown.
    pub fn diagnostic(code: u8, diagnostic: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self { code, reports: vec![diagnostic.into()] }
    }

    /// From a message with a word on what to do.
    fn plain(code: u8, diagnostic: &dyn Diagnostic) -> Self {
        let help = diagnostic.help().map(|help| help.to_string());
        Self::new(code, diagnostic, help.as_deref())
    }

    /// From a manifest that cannot be used.
    #[must_use]
    pub fn load(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(errors) => Self::manifest(errors),
            error @ LoadError::Encoding { .. } => Self::plain(exit::INVALID_MANIFEST, &error),
            other => Self::plain(exit::USAGE, &other),
        }
    }

    /// From everything that is wrong with a manifest: each problem at its place, then their number.
    #[must_use]
    pub fn manifest(errors: ManifestErrors) -> Self {
        let mut summary = errors.to_string();
        if let Some(more) = errors.problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let _ = write!(
                summary,
                "; the first {SHOWN} are shown, `runner check --json` lists these {more}, too"
            );
        }
        let summary = miette::MietteDiagnostic::new(shown::lines(&summary));
        let shown = errors.problems.into_iter().take(SHOWN);
        let mut reports: Vec<miette::Report> = shown.map(miette::Report::from).collect();
        reports.push(summary.into());
        Self { code: exit::INVALID_MANIFEST, reports }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, report) in self.reports.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{report:?}")?;
        }
        Ok(())
    }
}
