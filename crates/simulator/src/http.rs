//! Requests read whole from a connection: HTTP/1.1 as far as clients of inference servers need it.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use formats::clock::monotonic_ns;

use super::arrival;
use super::log::Came;

/// The largest body that is accepted.
const MAX_BODY: u64 = 64 << 20;
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

/// One request, with its whole body.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The `x-request-id` header.
    pub id: Option<String>,
    /// The client asked for the connection to be closed after the answer.
    pub close: bool,
    pub body: Vec<u8>,
    /// When its last byte came; read before it was parsed.
    pub came: Came,
}

/// Why there is no next request.
#[derive(Debug)]
pub enum NoRequest {
    /// The connection ended, properly or not.
    Gone,
    /// To be answered with this status; the connection cannot be used after it.
    Refused { status: u16, reason: &'static str },
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

const fn refused(status: u16, reason: &'static str) -> NoRequest {
    NoRequest::Refused { status, reason }
}

/// The reading side of a connection; keeps bytes that belong to the next request.
#[derive(Debug)]
pub struct Reader<'c> {
    stream: &'c TcpStream,
    buffer: Vec<u8>,
    /// When the last read for this request returned, monotonic nanoseconds; `None` as long as all
    /// of it came with the request before.
    read_ns: Option<u64>,
    /// When the kernel had received what that read brought.
    arrived_ns: Option<u64>,
}

struct Head {
    request: Request,
    body: Body,
    expects_continue: bool,
}

enum Body {
    Length(u64),
    Chunked,
}

impl<'c> Reader<'c> {
    pub fn new(stream: &'c TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), read_ns: None, arrived_ns: None }
    }

    /// Waits for the next request.
    pub fn next(&mut self) -> Result<Request, NoRequest> {
        self.read_ns = None;
        self.arrived_ns = None;
        let head = loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                break head;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(refused(431, "the head of the request is too large"));
            }
            self.fill()?;
        };
        if head.expects_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut request = head.request;
        request.body = match head.body {
            Body::Length(length) => self.take(length)?,
            Body::Chunked => self.take_chunked()?,
        };
        request.came.read_ns = self.read_ns.unwrap_or_else(monotonic_ns);
        request.came.arrived_ns = self.arrived_ns;
        Ok(request)
    }

    /// Reads at least one byte more.
    fn fill(&mut self) -> Result<(), NoRequest> {
        let mut piece = [0; 16 << 10];
        let read = self.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(())
    }

    /// Bytes read, 1 or more.
    fn read(&mut self, piece: &mut [u8]) -> Result<usize, NoRequest> {
        let (read, arrived_ns) = arrival::read(self.stream, piece)?;
        self.read_ns = Some(monotonic_ns());
        self.arrived_ns = arrived_ns;
        if read == 0 { Err(NoRequest::Gone) } else { Ok(read) }
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, NoRequest> {
        if length > MAX_BODY {
            return Err(refused(413, "the body is larger than 64 MiB"));
        }
        let there = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
        let mut body: Vec<u8> = self.buffer.drain(..there).collect();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut piece = [0; 16 << 10];
        while body.len() < length {
            let most = piece.len().min(length - body.len());
            let read = self.read(&mut piece[..most])?;
            body.extend_from_slice(&piece[..read]);
        }
        Ok(body)
    }

    fn take_chunked(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let size = match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.drain(..length);
                    size
                }
                Ok(httparse::Status::Partial) if self.buffer.len() <= MAX_HEAD => {
                    self.fill()?;
                    continue;
                }
                _ => return Err(refused(400, "malformed chunk size")),
            };
            if size == 0 {
                break;
            }
            if size.saturating_add(body.len() as u64) > MAX_BODY {
                return Err(refused(413, "the body is larger than 64 MiB"));
            }
            body.append(&mut self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err(refused(400, "malformed chunk"));
            }
        }
        while self.take_line()? > 0 {}
        Ok(body)
    }

    /// Drops a line (of the trailers) and returns its length without its end.
    fn take_line(&mut self) -> Result<usize, NoRequest> {
        loop {
            if let Some(length) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                self.buffer.drain(..length + 2);
                return Ok(length);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(refused(431, "the trailers are too large"));
            }
            self.fill()?;
        }
    }
}

/// `None` when the head is not there yet; otherwise with its length in bytes.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(refused(431, "too many headers")),
        Err(_) => return Err(refused(400, "malformed request")),
    };
    if parsed.version != Some(1) {
        return Err(refused(505, "only HTTP/1.1 is spoken here"));
    }
    let path = parsed.path.unwrap_or_default();
    let mut head = Head {
        request: Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.split('?').next().unwrap_or_default().to_owned(),
            id: None,
            close: false,
            body: Vec::new(),
            came: Came { arrived_ns: None, read_ns: 0 },
        },
        body: Body::Length(0),
        expects_continue: false,
    };
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = value.parse().map_err(|_| refused(400, "malformed content-length"))?;
                if !matches!(head.body, Body::Chunked) {
                    head.body = Body::Length(length);
                }
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                head.body = Body::Chunked;
            }
            "transfer-encoding" => return Err(refused(501, "unknown transfer-encoding")),
            "connection" => {
                let close = |part: &str| part.trim().eq_ignore_ascii_case("close");
                head.request.close |= value.split(',').any(close);
            }
            "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
            "x-request-id" if !value.is_empty() => head.request.id = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(Some((head, length)))
}

/// Closes without destroying what was just sent: closing a socket with unread bytes resets it.
pub fn close_gently(stream: &TcpStream) {
    const PATIENCE: Duration = Duration::from_millis(200);
    const ENOUGH: u64 = 4 * MAX_BODY;
    if stream.shutdown(Shutdown::Write).is_ok() && stream.set_read_timeout(Some(PATIENCE)).is_ok() {
        let _ = io::copy(&mut stream.take(ENOUGH), &mut io::sink());
    }
}
