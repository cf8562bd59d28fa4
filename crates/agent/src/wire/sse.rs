//! Server-sent events (WHATWG HTML, section 9.2), taken out of a byte stream however it was cut.
//!
//! What an event means is the protocol's business ([`Dialect`]). Fields that inference servers add to
//! the format are not skipped: that could hide an error.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use super::json::{self, Payload, not_allowed};
use super::lines::{LINE_LIMIT, LineEnd, Lines};
use super::opening::{Opening, page_so_far, title_of};
use super::words::{after_error, error_words};
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
    /// Bytes of a body that is no stream that were searched for its first line; `None`: it was looked at.
    searched: Option<usize>,
    /// An event was read.
    begun: bool,
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
            searched: Some(0),
            begun: false,
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
        self.opening = self.opening.look(&mut self.lines, |first| first == b'{')?;
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
                self.begun = true;
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
        if let Some(line) = self.lines.rest()
            && let Err(error) = self.take(line.clone())
        {
            let is_alone = !self.begun && !self.event.has_data;
            return cut_or(error, self.lines.get(line), is_alone).map(|()| None);
        }
        // An empty range stands for the blank line that is missing.
        if self.ending.error.is_some() || !self.take(0..0)? {
            return Ok(None);
        }
        let bytes = self.event.data.len();
        // What an event that is wrong says of the end is not believed.
        let mut ending = self.ending.clone();
        match read::<D>(&self.event, &mut ending) {
            Ok(text) => {
                self.ending = ending;
                Ok(text.map(|text| Chunk { bytes, text }))
            }
            Err(error) => {
                (self.ending.model, self.ending.models) = (ending.model, ending.models);
                cut_or(error, &self.event.data, false).map(|()| None)
            }
        }
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
        let Some(searched) = self.searched else { return Ok(()) };
        let found = body[searched..].iter().position(|&byte| byte == b'\n');
        let Some(end) = found.map(|offset| searched + offset) else {
            self.searched = Some(body.len());
            return Ok(());
        };
        self.searched = None;
        let mut aside = Ending::default();
        let _ = json::read::<D>(&body[..end], &mut aside);
        self.ending.error = aside.error;
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
            // A line that starts with a colon is a comment, often a keep-alive.
            b"" | b"id" | b"retry" => {}
            // llama.cpp writes its errors so; a field without a colon is empty.
            _ if error_line(line).is_some() => {
                self.ending.error = error_line(line).map(error_words);
            }
            _ => {
                // An error object can stand in the stream without `data:`. Other lines break the protocol,
                // and skipping them could hide text.
                let mut aside = Ending::default();
                let read = json::read::<D>(line, &mut aside).map(|_| ());
                if aside.error.is_none() {
                    let stray = not_allowed("no field of an event", line);
                    return Err(read.err().unwrap_or(stray));
                }
                self.ending.error = aside.error;
            }
        }
        Ok(false)
    }

    /// The end of an event; true when it has data to be read.
    fn dispatch(&mut self) -> bool {
        let event = &mut self.event;
        if !event.has_data {
            if event.is_error {
                self.ending.error = Some(error_words(b""));
            }
            return false;
        }
        event.has_data = false;
        event.dispatched = true;
        event.is_error || !event.data.trim_ascii().is_empty()
    }
}

/// Whether a last line or event that is wrong and lacks its end was cut; otherwise it is what is wrong.
/// `is_alone`: there is nothing but this line.
fn cut_or(error: DecodeError, told: &[u8], is_alone: bool) -> Result<(), DecodeError> {
    const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];
    let told = told.trim_ascii();
    let may_be_cut = json::is_cut(told) || FIELDS.iter().any(|name| name.starts_with(told));
    if (is_alone && !may_be_cut) || json::is_json(told) { Err(error) } else { Ok(()) }
}

/// The text of an event's data. `None`: it is the mark of the end or an error, and no chunk.
fn read<'a, D: Dialect>(
    event: &'a Event,
    ending: &mut Ending,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let data = event.data.trim_ascii();
    if event.is_error {
        ending.error = Some(error_words(data));
        return Ok(None);
    }
    if data == END_MARK {
        ending.complete = true;
        return Ok(None);
    }
    if let Some(words) = after_error(data) {
        ending.error = Some(error_words(words));
        return Ok(None);
    }
    let text = json::read::<D>(data, ending)?;
    Ok(ending.error.is_none().then_some(text))
}

/// What stands behind `error` in a line that begins with it.
fn error_line(line: &[u8]) -> Option<&[u8]> {
    let is_bare = line.trim_ascii().eq_ignore_ascii_case(b"error");
    if is_bare { Some(b"") } else { after_error(line) }
}

/// A body that is no stream of events; `None`: it was cut.
fn whole<'a, D: Dialect>(
    body: &'a [u8],
    ending: &mut Ending,
) -> Result<Option<Chunk<'a>>, DecodeError> {
    let body = body.trim_ascii();
    if body.starts_with(b"<") {
        return Err(DecodeError::page(title_of(body)));
    }
    if json::is_cut(body) {
        return Ok(None);
    }
    let text = D::whole(body, ending)?;
    if ending.error.is_some() {
        return Ok(None);
    }
    ending.complete = true;
    ending.not_streamed = true;
    Ok(Some(Chunk { bytes: body.len(), text }))
}
