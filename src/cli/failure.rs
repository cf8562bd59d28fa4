//! How commands fail: a message for people and an exit code for programs.

use std::fmt;

use miette::Diagnostic;

/// The end of a command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    report: miette::Report,
}

impl Failure {
    /// From a plain message; `help` says what to do.
    pub fn new(code: u8, message: impl fmt::Display, help: Option<&str>) -> Self {
        let mut diagnostic = miette::MietteDiagnostic::new(message.to_string());
        diagnostic.help = help.map(str::to_owned);
        Self { code, report: diagnostic.into() }
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
        Self { code, report: diagnostic.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.report)
    }
}
