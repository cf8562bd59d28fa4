//! One thing that was found: how bad, about what, what to do, and which cells it is about.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::Needs;
use super::needs::FallbackStep;
use crate::plan::CellId;
use crate::shown;

/// Something to know or to repair before the first call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub subject: Subject,
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// Requests can be made all the same, and what was found may be wrong.
    pub can_be_tried: bool,
    /// Those that it dooms, or that a warning is about; empty: it is about the machine.
    #[serde(serialize_with = "short_ids")]
    pub cells: Vec<CellId>,
    /// Cells of fallbacks that it dooms.
    #[serde(serialize_with = "short_ids", skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<CellId>,
    /// Where it dooms nothing but fallbacks, which: step and experiment, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// How bad a finding is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Its cells cannot be made.
    Blocking,
    /// They can, and may measure something else than is wanted.
    Warning,
}

/// What a finding is about. As text: a word, and a name where there are several of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Results,
    Disk,
    Endpoint(String),
    Model {
        model: String,
        endpoint: String,
    },
    Runtime(String),
    /// By its program.
    Command(String),
    Tokenizer(String),
    Probe(&'static str),
    Gpu,
    Cpu,
    Memory,
    Clock,
    OpenFiles,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results => f.write_str("results"),
            Self::Disk => f.write_str("disk"),
            Self::Endpoint(name) => write!(f, "endpoint `{name}`"),
            Self::Model { model, endpoint } => write!(f, "model `{model}` on `{endpoint}`"),
            Self::Command(program) => write!(f, "command `{program}`"),
            Self::Runtime(name) => write!(f, "runtime `{name}`"),
            Self::Tokenizer(name) => write!(f, "tokenizer `{name}`"),
            Self::Probe(name) => write!(f, "probe `{name}`"),
            Self::Gpu => f.write_str("gpu"),
            Self::Cpu => f.write_str("cpu"),
            Self::Memory => f.write_str("memory"),
            Self::Clock => f.write_str("clock"),
            Self::OpenFiles => f.write_str("open files"),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Finding {
    pub(super) fn blocking(
        subject: Subject,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (severity, advice) = (Severity::Blocking, advice.into());
        // Parts of it are the words of servers.
        let message = shown::line(&message.into()).into_owned();
        let (cells, fallbacks, steps) = (Vec::new(), Vec::new(), Vec::new());
        let can_be_tried = false;
        Self { severity, subject, message, advice, can_be_tried, cells, fallbacks, steps }
    }

    pub(super) fn warning(
        subject: Subject,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let severity = Severity::Warning;
        Self { severity, can_be_tried: true, ..Self::blocking(subject, message, advice) }
    }

    /// Of a server: only a request shows whether it is so.
    pub(super) fn or_tried(self) -> Self {
        Self { can_be_tried: true, ..self }
    }

    pub(super) fn about(self, cells: &[CellId]) -> Self {
        Self { cells: cells.to_vec(), ..self }
    }

    /// The results cannot be written: what is measured, and what fails, could not be kept.
    #[must_use]
    pub fn results(error: &dyn fmt::Display, cells: &[CellId]) -> Self {
        let message = format!("the results cannot be written: {error}");
        let advice = "make the folder writable, or name another one by --results";
        Self::blocking(Subject::Results, message, advice).about(cells)
    }

    /// Tells the cells of fallbacks from those that are asked for. What stands against a fallback alone
    /// blocks nothing: it may never be needed.
    pub(super) fn sparing(mut self, needs: &Needs) -> Self {
        if self.severity == Severity::Warning {
            return self;
        }
        let is_fallback = |cell: &CellId| needs.fallbacks.contains_key(cell);
        (self.fallbacks, self.cells) = self.cells.into_iter().partition(is_fallback);
        if !self.cells.is_empty() || self.fallbacks.is_empty() {
            return self;
        }
        let steps: BTreeSet<&FallbackStep> =
            self.fallbacks.iter().filter_map(|cell| needs.fallbacks.get(cell)).flatten().collect();
        let named = |FallbackStep { step, experiment }: &FallbackStep| {
            format!("fallback {step} of experiment `{experiment}`")
        };
        self.steps = steps.into_iter().map(named).collect();
        self.severity = Severity::Warning;
        self
    }

    /// Whether the rest of a plan cannot be made without its cells either: nothing could be kept.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        let storage = matches!(self.subject, Subject::Results | Subject::Disk);
        self.severity == Severity::Blocking && storage
    }

    /// Without the cells.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.steps.is_empty() {
            return self.reason();
        }
        format!("{} cannot be made: {}", self.steps.join(", "), self.reason())
    }

    /// What stands against each of the cells, whichever.
    pub(super) fn reason(&self) -> String {
        let Self { subject, message, advice, .. } = self;
        if advice.is_empty() {
            format!("{subject}: {message}")
        } else {
            format!("{subject}: {message}; {advice}")
        }
    }
}

fn short_ids<S: Serializer>(cells: &[CellId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cells.iter().map(CellId::short))
}
