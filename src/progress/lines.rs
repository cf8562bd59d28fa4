//! Plain lines, for logs and pipes.

use std::io::Write;
use std::time::Instant;

use super::tally::{Tally, sentence, short};
use crate::execute::ExecEvent;

/// Writes a line for what is worth one.
pub(super) struct Lines<W> {
    writer: W,
    tally: Tally,
}

impl<W: Write> Lines<W> {
    pub fn new(writer: W) -> Self {
        Self { writer, tally: Tally::default() }
    }

    pub fn hear(&mut self, event: &ExecEvent) {
        let now = Instant::now();
        self.tally.hear(event, now);
        if let Some(mut line) = sentence(event, &self.tally) {
            let left = self.tally.left(now).filter(|left| !left.is_zero());
            if let (ExecEvent::RunFinished { .. }, Some(left)) = (event, left) {
                line += &format!(", about {} left", short(left));
            }
            let _ = writeln!(self.writer, "{line}").and_then(|()| self.writer.flush());
        }
    }
}
