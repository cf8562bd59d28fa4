//! Server-sent events (WHATWG HTML, section 9.2), taken out of a byte stream however it was cut.
//!
//! What an event means is the protocol's business ([`Dialect`]). Fields that inference servers add to
//! the format are not skipped: that could hide an error.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use super::json::{self, Payload, not_allowed};
use super::lines::{LINE_LIMIT, LineEnd, Lines};
use super::opening::{Opening, page_so_far};
use super::words::{after_error, error_words, title};
use super::{Chunk, DecodeError, Ending};

/// Data of an event that is the mark of an answer's end, whatever the protocol.
const END_MARK: &[u8] = b"[DONE]";

/// What the events of one protocol mean.
pub(super) trait Dialect: Payload + std::fmt::Debug + Send {
    /// A stream that is closed after a finish reason is whole, though its last event is missing.
    const REASON_IS_ENOUGH: bool;

    /// The text of a whole JSON answer that came in place of a stream.
    fn whole<'a>(body: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError>;
}

/// Incremental decoder of one answer.
#[derive(Debug)]
pub(super) struct Decoder<D> {
    opening: Opening,
    lines: Lines,
    event: Event,
    /// The first line of a body that is no stream was looked at.
    looked_at_line: bool,
    ending: Ending,
    dialect: PhantomData<D>,
}

/// The event that is being read.
#[derive(Debug)]
struct Event {
    /// Its `data:` lines, joined by `\n`.
    data: Vec<u8>,
    has_data: bool,
    /// It has the name `error`.
    is_error: bool,
    /// It was handed out and gives way to the next one.
    dispatched: bool,
}

impl<D> Default for Decoder<D> {
    fn default() -> Self {
        let data = Vec::with_capacity(1024);
        Self {
            opening: Opening::Unknown,
            lines: Lines::new(LineEnd::Any),
            event: Event { data, has_data: false, is_error: false, dispatched: false },
            looked_at_line: false,
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
        self.opening = self.opening.look(&mut self.lines, |came| Some(came.starts_with(b"{")))?;
        if self.opening == Opening::Whole {
            self.look_at_whole()?;
        }
        if self.opening != Opening::Stream {
            return Ok(None);
        }
        while !self.ending.complete && self.ending.error.is_none() {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            if self.take(line)? {
                let bytes = self.event.data.len();
                let text = read::<D>(&self.event, &mut self.ending)?;
                return Ok(text.map(|text| Chunk { bytes, text }));
            }
        }
        Ok(None)
    }

    /// A last event without its blank line; one that is cut in the middle is no chunk.
    fn last_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        if self.ending.complete || self.ending.error.is_some() {
            return Ok(None);
        }
        if self.opening == Opening::Whole {
            return whole::<D>(self.lines.untaken()?, &mut self.ending);
        }
        if let Some(line) = self.lines.rest() {
            let _ = self.take(line);
        }
        // An empty range stands for the blank line that is missing.
        if !matches!(self.take(0..0), Ok(true)) {
            return Ok(None);
        }
        let bytes = self.event.data.len();
        // What an event that is wrong says of the end is not believed.
        let mut ending = self.ending.clone();
        let Ok(text) = read::<D>(&self.event, &mut ending) else {
            return Ok(None);
        };
        self.ending = ending;
        Ok(text.map(|text| Chunk { bytes, text }))
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
    /// What a body that is no stream says before its end: a page its title, a first line an error, after which
    /// other lines may come.
    fn look_at_whole(&mut self) -> Result<(), DecodeError> {
        let body = self.lines.untaken()?;
        page_so_far(body)?;
        if !self.looked_at_line
            && let Some(end) = body.trim_ascii_start().iter().position(|&byte| byte == b'\n')
        {
            self.looked_at_line = true;
            let mut aside = Ending::default();
            let _ = json::read::<D>(&body.trim_ascii_start()[..end], &mut aside);
            self.ending.error = aside.error;
        }
        Ok(())
    }

    /// Takes one line; true when it completed an event that is to be read.
    fn take(&mut self, line: Range<usize>) -> Result<bool, DecodeError> {
        let event = &mut self.event;
        if event.dispatched {
            event.data.clear();
            event.dispatched = false;
            event.is_error = false;
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
                if event.has_data {
                    event.data.push(b'\n');
                }
                if event.data.len() + value.len() > LINE_LIMIT {
                    return Err(DecodeError::TooLong { limit: LINE_LIMIT });
                }
                event.data.extend_from_slice(value);
                event.has_data = true;
            }
            b"event" => event.is_error = value.trim_ascii() == b"error",
            // llama.cpp writes its errors so.
            field if field.eq_ignore_ascii_case(b"error") => {
                self.ending.error = Some(error_words(value));
            }
            // A line that starts with a colon is a comment, often a keep-alive.
            b"" | b"id" | b"retry" => {}
            _ => {
                // An error object can stand in the stream without `data:`. Other lines break the protocol,
                // and skipping them could hide text.
                let read = json::read::<D>(line, &mut self.ending).map(|_| ());
                if self.ending.error.is_none() {
                    let stray = not_allowed("no field of an event", line);
                    return Err(read.err().unwrap_or(stray));
                }
            }
        }
        Ok(false)
    }

    /// The end of an event; true when it has data to be read.
    fn dispatch(&mut self) -> bool {
        let event = &mut self.event;
        if !event.has_data {
            if event.is_error {
                self.ending.error = Some(String::new());
            }
            return false;
        }
        event.has_data = false;
        event.dispatched = true;
        event.is_error || !event.data.trim_ascii().is_empty()
    }
}

/// The text of an event's data. `None`: it is the mark of the end and no chunk.
fn read<'a, D: Dialect>(
    event: &'a Event,
    ending: &mut Ending,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let data = event.data.trim_ascii();
    if event.is_error {
        ending.error = Some(error_words(data));
        return Ok(Some(Cow::Borrowed("")));
    }
    if data == END_MARK {
        ending.complete = true;
        return Ok(None);
    }
    if let Some(words) = after_error(data) {
        ending.error = Some(error_words(words));
        return Ok(Some(Cow::Borrowed("")));
    }
    json::read::<D>(data, ending).map(Some)
}

/// A body that is no stream of events; `None`: it was cut.
fn whole<'a, D: Dialect>(
    body: &'a [u8],
    ending: &mut Ending,
) -> Result<Option<Chunk<'a>>, DecodeError> {
    let body = body.trim_ascii();
    if body.starts_with(b"<") {
        return Err(DecodeError::page(title(body)));
    }
    if json::is_cut(body) {
        return Ok(None);
    }
    let text = D::whole(body, ending)?;
    ending.complete = true;
    ending.not_streamed = true;
    Ok(Some(Chunk { bytes: body.len(), text }))
}
