//! The framing of HTTP/1.1, as far as a witness needs it: where messages begin and end, what they say of
//! themselves, and which bytes are body.
//!
//! Bytes are given as they come, cut anywhere. What a body means is left to the decoders.

use super::fault::Fault;

/// Longest head of a message, and longest line that announces a chunk.
const HEAD_LIMIT: usize = 256 * 1024;
const LINE_LIMIT: usize = 16 * 1024;
const MOST_HEADERS: usize = 256;

/// What a message says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Of a request.
    pub method: Option<String>,
    /// Of a response.
    pub status: Option<u16>,
    /// The header `x-request-id`.
    pub id: Option<String>,
    /// The header `content-encoding`, unless it says that there is none.
    pub encoding: Option<String>,
    /// The header `content-type`.
    pub content_type: Option<String>,
    /// Bytes of the head on the wire.
    pub bytes: usize,
}

/// What comes next in one direction.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'b> {
    Head(Head),
    /// Bytes of the body, without framing.
    Body(&'b [u8]),
    /// The message is whole.
    End,
}

/// Which kind of messages a direction carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Requests,
    Responses,
}

/// The messages of one direction, one after the other.
#[derive(Debug)]
pub struct Messages {
    kind: Kind,
    state: State,
    /// A head or line that is not whole yet.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// That many bytes of body are left.
    Length(u64),
    /// The line with the size of the next chunk.
    Size,
    /// That many bytes of the chunk are left.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// Lines up to an empty one.
    Trailers,
    UntilClose,
}

impl Messages {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, state: State::Head, line: Vec::new() }
    }

    /// The message whose head came last has no body, whatever it says: it answers `HEAD` or `CONNECT`.
    pub fn without_body(&mut self) {
        self.state = State::Length(0);
    }

    /// The direction was closed: whether that is the end of the last message.
    pub fn close(&mut self) -> bool {
        let ends = self.state == State::UntilClose;
        if ends {
            self.state = State::Head;
        }
        ends
    }

    /// The next event, taken off the front of the bytes; `None`: more bytes are needed.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<Event<'b>>, Fault> {
        loop {
            match self.state {
                State::Head => {
                    let Some(head) = self.head(bytes)? else { return Ok(None) };
                    // An interim answer is followed by the one that counts.
                    if head.status.is_none_or(|status| status >= 200) {
                        return Ok(Some(Event::Head(head)));
                    }
                }
                State::Length(0) => {
                    self.state = State::Head;
                    return Ok(Some(Event::End));
                }
                State::Length(left) => {
                    let Some(body) = take(bytes, left) else { return Ok(None) };
                    self.state = State::Length(left - body.len() as u64);
                    return Ok(Some(Event::Body(body)));
                }
                State::UntilClose => {
                    let body = take(bytes, u64::MAX);
                    return Ok(body.map(Event::Body));
                }
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(left) => {
                    let Some(body) = take(bytes, left) else { return Ok(None) };
                    self.state = State::Chunk(left - body.len() as u64);
                    return Ok(Some(Event::Body(body)));
                }
                State::Size | State::ChunkEnd | State::Trailers => {
                    let Some(line) = self.line(bytes)? else { return Ok(None) };
                    match self.state {
                        State::Size => {
                            self.state = match size(&line)? {
                                0 => State::Trailers,
                                size => State::Chunk(size),
                            }
                        }
                        State::ChunkEnd if line.is_empty() => self.state = State::Size,
                        State::ChunkEnd => return Err(Fault::NotHttp),
                        _ if line.is_empty() => self.state = State::Length(0),
                        _ => {}
                    }
                }
            }
        }
    }

    /// A line without its end.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = take(bytes, end.map_or(u64::MAX, |end| end as u64 + 1)).unwrap_or_default();
        self.line.extend_from_slice(part);
        if self.line.len() > LINE_LIMIT {
            return Err(Fault::NotHttp);
        }
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        line.pop_if(|last| *last == b'\r');
        Ok(Some(line))
    }

    /// The whole head of the next message.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<Option<Head>, Fault> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = take(bytes, end as u64 + 1).unwrap_or_default();
            // Empty lines before a message are to be passed over.
            if self.line.is_empty() && matches!(line, b"\n" | b"\r\n") {
                continue;
            }
            self.line.extend_from_slice(line);
            if self.line.ends_with(b"\n\r\n") || self.line.ends_with(b"\n\n") {
                let head = std::mem::take(&mut self.line);
                return self.read_head(&head).map(Some);
            }
        }
        self.line.extend_from_slice(bytes);
        *bytes = &[];
        if self.line.len() > HEAD_LIMIT { Err(Fault::NotHttp) } else { Ok(None) }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Head, Fault> {
        let mut room = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = Head { bytes: bytes.len(), ..Head::default() };
        let headers: &[httparse::Header<'_>] = match self.kind {
            Kind::Requests => {
                let mut request = httparse::Request::new(&mut room);
                request.parse(bytes).map_err(|_| Fault::NotHttp)?;
                head.method = request.method.map(str::to_owned);
                request.headers
            }
            Kind::Responses => {
                let mut response = httparse::Response::new(&mut room);
                response.parse(bytes).map_err(|_| Fault::NotHttp)?;
                head.status = response.code;
                response.headers
            }
        };
        let (mut length, mut chunked) = (None, false);
        for header in headers {
            let Ok(value) = std::str::from_utf8(header.value) else { continue };
            let value = value.trim();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("x-request-id") {
                head.id = Some(value.to_owned());
            } else if is("content-length") {
                length = Some(value.parse::<u64>().map_err(|_| Fault::NotHttp)?);
            } else if is("transfer-encoding") {
                // The last of several says how the message ends.
                chunked = value.rsplit(',').next().is_some_and(is_chunked);
            } else if is("content-encoding") && !value.eq_ignore_ascii_case("identity") {
                head.encoding = Some(value.to_owned());
            } else if is("content-type") {
                head.content_type = Some(value.to_owned());
            }
        }
        self.state = match (self.kind, head.status) {
            (Kind::Responses, Some(101)) => return Err(Fault::NotHttp),
            (Kind::Responses, Some(100..200)) => State::Head,
            (Kind::Responses, Some(204 | 304)) => State::Length(0),
            _ if chunked => State::Size,
            (Kind::Responses, _) => length.map_or(State::UntilClose, State::Length),
            (Kind::Requests, _) => State::Length(length.unwrap_or(0)),
        };
        Ok(head)
    }
}

fn is_chunked(coding: &str) -> bool {
    coding.trim().eq_ignore_ascii_case("chunked")
}

/// The size in a line that announces a chunk; what follows a semicolon is an extension.
fn size(line: &[u8]) -> Result<u64, Fault> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let digits = std::str::from_utf8(digits).map_err(|_| Fault::NotHttp)?;
    u64::from_str_radix(digits, 16).map_err(|_| Fault::NotHttp)
}

/// Up to that many bytes off the front; `None`: there are none.
fn take<'b>(bytes: &mut &'b [u8], most: u64) -> Option<&'b [u8]> {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    (!taken.is_empty()).then_some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events of a direction that is given in pieces; bodies as text, neighbours joined.
    fn events(kind: Kind, pieces: &[&[u8]]) -> Result<Vec<String>, Fault> {
        let mut messages = Messages::new(kind);
        let mut events: Vec<String> = Vec::new();
        for piece in pieces {
            let mut bytes = *piece;
            while let Some(event) = messages.next(&mut bytes)? {
                match event {
                    Event::Head(head) => events.push(format!(
                        "{}{} {} ",
                        head.method.unwrap_or_default(),
                        head.status.map_or_else(String::new, |status| status.to_string()),
                        head.id.unwrap_or_default()
                    )),
                    Event::Body(body) => {
                        events.last_mut().unwrap().push_str(std::str::from_utf8(body).unwrap());
                    }
                    Event::End => events.last_mut().unwrap().push('.'),
                }
            }
        }
        if messages.close() {
            events.last_mut().unwrap().push('|');
        }
        Ok(events)
    }

    const REQUESTS: &[u8] = b"POST http://host:1/api HTTP/1.1\r\nX-Request-Id: r/a/0\r\nContent-Length: 5\r\n\r\nhello\
        POST /api HTTP/1.1\r\nx-request-id: r/a/1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        \r\nGET /api/ps HTTP/1.1\r\n\r\n";
    const RESPONSES: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
        4;name=value\r\nwiki\r\n00A\r\n0123456789\r\n0\r\nTrailer: yes\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno\
        HTTP/1.0 200 OK\r\n\r\nto the end";

    fn expected(kind: Kind) -> (&'static [u8], Vec<&'static str>) {
        match kind {
            Kind::Requests => (REQUESTS, vec!["POST r/a/0 hello.", "POST r/a/1 abc.", "GET  ."]),
            Kind::Responses => {
                (RESPONSES, vec!["200  wiki0123456789.", "204  .", "404  no.", "200  to the end|"])
            }
        }
    }

    #[test]
    fn messages_follow_each_other_however_they_are_framed() {
        for kind in [Kind::Requests, Kind::Responses] {
            let (bytes, expected) = expected(kind);
            assert_eq!(events(kind, &[bytes]).unwrap(), expected);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(events(kind, &single).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let broken: [&[u8]; 5] = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\n\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        ];
        for bytes in broken {
            assert!(events(Kind::Requests, &[bytes]).is_err(), "{}", bytes.escape_ascii());
        }
        assert!(events(Kind::Responses, &[b"HTTP/1.1 101 Switching\r\n\r\n"]).is_err());
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(requests: bool, cuts in proptest::collection::vec(0..400_usize, 0..20)) {
            let kind = if requests { Kind::Requests } else { Kind::Responses };
            let (bytes, expected) = expected(kind);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(kind, &pieces).unwrap(), expected);
        }

        #[test]
        fn nothing_makes_it_panic(requests: bool, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let kind = if requests { Kind::Requests } else { Kind::Responses };
            let _ = Messages::new(kind).next(&mut &bytes[..]);
        }
    }
}
