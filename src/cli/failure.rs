//! How commands fail: a message for people and an exit code for programs.

use std::fmt;

use miette::Diagnostic;

use super::exit;
use crate::manifest::{LoadError, ManifestErrors};

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
        // Words of servers may be in it: what could steer a terminal is taken out.
        let harmless = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        let message: String = message.to_string().chars().map(harmless).collect();
        let mut diagnostic = miette::MietteDiagnostic::new(message);
        diagnostic.help = help.map(str::to_owned);
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

    /// From a diagnostic that points into a source text.
    pub fn diagnostic(code: u8, diagnostic: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self { code, reports: vec![diagnostic.into()] }
    }

    /// From a manifest that cannot be used.
    #[must_use]
    pub fn load(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(errors) => Self::manifest(errors),
            error @ LoadError::Encoding { .. } => Self::diagnostic(exit::INVALID_MANIFEST, error),
            other => Self::diagnostic(exit::USAGE, other),
        }
    }

    /// From everything that is wrong with a manifest: each problem at its place, then their number.
    #[must_use]
    pub fn manifest(errors: ManifestErrors) -> Self {
        let summary = miette::MietteDiagnostic::new(errors.to_string());
        let mut reports: Vec<miette::Report> =
            errors.problems.into_iter().map(miette::Report::from).collect();
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
