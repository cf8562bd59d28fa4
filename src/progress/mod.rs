//! Bars for a terminal, plain lines for a file, JSON lines for a program.
//!
//! Only listens to events; where the text goes is decided by `cli`.

mod bars;
mod lines;
mod sentence;
mod tally;

use std::io::Write;

use crate::execute::ExecEvent;
use crate::shown;
use bars::Bars;
use lines::Lines;

/// A listener that writes to `W` or draws bars.
pub struct Progress<W>(Kind<W>);

enum Kind<W> {
    Bars(Box<Bars>),
    Lines(Lines<W>),
    Json(W),
}

impl<W> std::fmt::Debug for Progress<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Bars(_) => "Progress::Bars",
            Kind::Lines(_) => "Progress::Lines",
            Kind::Json(_) => "Progress::Json",
        })
    }
}

impl<W: Write> Progress<W> {
    /// Two bars on standard error, which must be a terminal.
    #[must_use]
    pub fn bars() -> Self {
        Self(Kind::Bars(Box::new(Bars::new())))
    }

    /// A line per run.
    pub fn lines(writer: W) -> Self {
        Self(Kind::Lines(Lines::new(writer)))
    }

    /// Every event as one line of JSON.
    pub fn json(writer: W) -> Self {
        Self(Kind::Json(writer))
    }

    /// Shows one event. A reader that has gone away is no reason to stop measuring.
    pub fn hear(&mut self, event: &ExecEvent) {
        match &mut self.0 {
            Kind::Bars(bars) => bars.hear(event),
            Kind::Lines(lines) => lines.hear(event),
            Kind::Json(writer) => {
                let line = serde_json::to_string(event).unwrap_or_default();
                let _ = writeln!(writer, "{}", shown::json(&line)).and_then(|()| writer.flush());
            }
        }
    }
}

#[cfg(test)]
mod tests;
