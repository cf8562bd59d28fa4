//! Splitting a byte stream into lines, however the transport cut it.
//!
//! Knows nothing of JSON or events. Holds at most one unfinished line, so that a server which never
//! ends its line cannot exhaust memory.

use std::ops::Range;

use super::DecodeError;

/// Longest line that is accepted, bytes.
pub(super) const LINE_LIMIT: usize = 16 * 1024 * 1024;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// A line feed, with a carriage return before it or not.
    Feed,
    /// These, or a carriage return alone.
    Any,
}

/// Bytes that were pushed and not yet taken as lines.
#[derive(Debug)]
pub(super) struct Lines {
    end: LineEnd,
    /// The last line ended with a carriage return, so that a line feed next belongs to its end.
    returned: bool,
    buffer: Vec<u8>,
    /// Start of the first line that was not taken.
    start: usize,
    /// Everything before it was searched for a line end: a line that arrives byte by byte is
    /// searched once.
    searched: usize,
    limit: usize,
}

impl Lines {
    pub(super) fn new(end: LineEnd) -> Self {
        let buffer = Vec::with_capacity(4096);
        Self { end, returned: false, buffer, start: 0, searched: 0, limit: LINE_LIMIT }
    }

    /// Adds bytes. Ranges that were returned before are invalid afterwards.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub(super) fn next(&mut self) -> Result<Option<Range<usize>>, DecodeError> {
        if self.returned && self.start < self.buffer.len() {
            self.returned = false;
            if self.buffer[self.start] == b'\n' {
                self.start += 1;
                self.searched = self.searched.max(self.start);
            }
        }
        let rest = &self.buffer[self.searched..];
        let found = match self.end {
            LineEnd::Feed => rest.iter().position(|&byte| byte == b'\n'),
            LineEnd::Any => rest.iter().position(|&byte| byte == b'\n' || byte == b'\r'),
        };
        let Some(offset) = found else {
            self.searched = self.buffer.len();
            self.check(self.buffer.len() - self.start)?;
            return Ok(None);
        };
        let end = self.searched + offset;
        self.returned = self.buffer[end] == b'\r';
        let line = self.without_return(self.start..end);
        self.start = end + 1;
        self.searched = self.start;
        self.check(line.len())?;
        Ok(Some(line))
    }

    /// Everything that was pushed and not taken, while it is no longer than a line may be.
    pub(super) fn untaken(&self) -> Result<&[u8], DecodeError> {
        self.check(self.buffer.len() - self.start)?;
        Ok(&self.buffer[self.start..])
    }

    /// Leaves out bytes before the next line.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.buffer.len());
        self.searched = self.searched.max(self.start);
    }

    /// Takes a line back, so that it is the next again.
    pub(super) fn take_back(&mut self, line: &Range<usize>) {
        self.start = line.start;
    }

    /// What is left when the stream has ended without a line end.
    pub(super) fn rest(&mut self) -> Option<Range<usize>> {
        let line = self.without_return(self.start..self.buffer.len());
        self.start = self.buffer.len();
        self.searched = self.start;
        (!line.is_empty()).then_some(line)
    }

    pub(super) fn get(&self, line: Range<usize>) -> &[u8] {
        self.buffer.get(line).unwrap_or_default()
    }

    fn without_return(&self, line: Range<usize>) -> Range<usize> {
        let returned = self.get(line.clone()).ends_with(b"\r");
        line.start..line.end - usize::from(returned)
    }

    fn check(&self, length: usize) -> Result<(), DecodeError> {
        if length > self.limit {
            return Err(DecodeError::TooLong { limit: self.limit });
        }
        Ok(())
    }
}
