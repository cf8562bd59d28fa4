//! Server-sent events (WHATWG HTML, section 9.2), taken out of a byte stream however it was cut.
//!
//! What an event means is the protocol's business ([`Dialect`]). Fields that inference servers add to
//! the format are not skipped: that could hide an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::json::error_body;
use super::lines::{LINE_LIMIT, Lines};
use super::{Chunk, DecodeError, Ending};

/// What the events of one protocol mean.
pub(super) trait Dialect: fmt::Debug + Send {
    /// A stream that is closed after a finish reason is whole, though its last event is missing.
    const REASON_IS_ENOUGH: bool;

    /// The text of an event's data; what it says of the answer's end goes to `ending`. `None`: it is the
    /// mark of the end and no chunk.
    fn read<'a>(data: &'a [u8], ending: &mut Ending) -> Result<Option<Cow<'a, str>>, DecodeError>;

    /// The server's words for an error in a line that is no field of an event, if it is one.
    fn stray(line: &[u8]) -> Result<String, DecodeError>;
}

/// Incremental decoder of one answer.
#[derive(Debug)]
pub(super) struct Decoder<D> {
    lines: Lines,
    /// Data of the event that is being read; `data:` lines of one event are joined by `\n`.
    event: Vec<u8>,
    has_data: bool,
    /// The event was handed out and gives way to the next one.
    dispatched: bool,
    ending: Ending,
    dialect: PhantomData<D>,
}

impl<D> Default for Decoder<D> {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE_LIMIT),
            event: Vec::with_capacity(1024),
            has_data: false,
            dispatched: false,
            ending: Ending::default(),
            dialect: PhantomData,
        }
    }
}

impl<D: Dialect> super::Decoder for Decoder<D> {
    /// Adds bytes of the response body; what follows the answer's end is of no interest.
    fn push(&mut self, bytes: &[u8]) {
        if !self.ending.complete {
            self.lines.push(bytes);
        }
    }

    /// The next event with data.
    fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        while !self.ending.complete {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            if self.take(line)? {
                let bytes = self.event.len();
                let text = D::read(self.event.trim_ascii(), &mut self.ending)?;
                return Ok(text.map(|text| Chunk { bytes, text }));
            }
        }
        Ok(None)
    }

    /// A last event without its blank line; one that is cut in the middle is no chunk.
    fn last_chunk(&mut self) -> Option<Chunk<'_>> {
        if self.ending.complete {
            return None;
        }
        if let Some(line) = self.lines.rest() {
            self.take(line).ok()?;
        }
        // An empty range stands for the blank line that is missing.
        if !self.take(0..0).ok()? {
            return None;
        }
        let bytes = self.event.len();
        let text = D::read(self.event.trim_ascii(), &mut self.ending).ok()??;
        Some(Chunk { bytes, text })
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }

    fn complete_at_close(&self) -> bool {
        let reason = D::REASON_IS_ENOUGH && self.ending.finish_reason.is_some();
        self.ending.complete || reason
    }
}

impl<D: Dialect> Decoder<D> {
    /// Takes one line; true when it completed an event that is to be read.
    fn take(&mut self, line: Range<usize>) -> Result<bool, DecodeError> {
        if self.dispatched {
            self.event.clear();
            self.dispatched = false;
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let line = self.lines.get(line);
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.event.push(b'\n');
                }
                if self.event.len() + value.len() > LINE_LIMIT {
                    return Err(DecodeError::TooLong { limit: LINE_LIMIT });
                }
                self.event.extend_from_slice(value);
                self.has_data = true;
            }
            // llama.cpp writes its errors so.
            b"error" => self.ending.error = Some(error_body(value).unwrap_or_default()),
            // A line that starts with a colon is a comment, often a keep-alive.
            b"" | b"event" | b"id" | b"retry" => {}
            _ => self.ending.error = Some(D::stray(line)?),
        }
        Ok(false)
    }

    /// The end of an event; true when it has data to be read.
    fn dispatch(&mut self) -> bool {
        if !self.has_data {
            return false;
        }
        self.has_data = false;
        self.dispatched = true;
        !self.event.trim_ascii().is_empty()
    }
}
