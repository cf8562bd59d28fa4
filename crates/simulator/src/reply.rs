//! The sending side of a connection: one write per chunk, logged right before it happens.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use formats::clock::monotonic_ns;

use super::clock::{Stopped, nanoseconds, sleep_until};
use super::log::{RequestLog, Row};

/// The answer to one request.
#[derive(Debug)]
pub struct Reply<'c> {
    stream: &'c TcpStream,
    stopping: &'c AtomicBool,
    log: Arc<RequestLog>,
    /// The connection is closed after the answer.
    close: bool,
    /// Bytes are sent one by one, this far apart.
    slow: Option<Duration>,
    index: u32,
    /// One write, kept to be filled again.
    frame: Vec<u8>,
}

impl<'c> Reply<'c> {
    pub fn new(
        stream: &'c TcpStream,
        stopping: &'c AtomicBool,
        log: Arc<RequestLog>,
        close: bool,
    ) -> Self {
        Self { stream, stopping, log, close, slow: None, index: 0, frame: Vec::new() }
    }

    /// The name under which its sends are logged.
    pub fn name(&self) -> &str {
        &self.log.name
    }

    /// The number of the request, counting from 1.
    pub fn number(&self) -> u64 {
        self.log.number
    }

    pub fn slow_down(&mut self, gap: Duration) {
        self.slow = Some(gap);
    }

    /// A complete answer in one write. Returns the time of the send, as all methods here do.
    pub fn whole(
        &mut self,
        status: u16,
        content_type: &str,
        body: &[u8],
        tokens: u32,
    ) -> io::Result<u64> {
        self.head(status, content_type)?;
        write!(self.frame, "Content-Length: {}\r\n\r\n", body.len())?;
        self.frame.extend_from_slice(body);
        self.send(tokens)
    }

    /// The head of a stream, with its first chunk unless that is empty.
    pub fn begin(&mut self, content_type: &str, opening: &[u8]) -> io::Result<u64> {
        self.head(200, content_type)?;
        self.frame.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        self.frame_chunk(opening)?;
        self.send(0)
    }

    /// One chunk of a stream.
    pub fn chunk(&mut self, body: &[u8], tokens: u32) -> io::Result<u64> {
        self.frame_chunk(body)?;
        self.send(tokens)
    }

    /// The proper end of a stream at HTTP level, after a last chunk unless that is empty.
    pub fn end(&mut self, body: &[u8]) -> io::Result<u64> {
        self.frame_chunk(body)?;
        self.frame.extend_from_slice(b"0\r\n\r\n");
        self.send(0)
    }

    fn head(&mut self, status: u16, content_type: &str) -> io::Result<()> {
        let connection = if self.close { "close" } else { "keep-alive" };
        write!(
            self.frame,
            "HTTP/1.1 {status} {}\r\nServer: simulated\r\nContent-Type: {content_type}\r\n\
             Connection: {connection}\r\n",
            phrase(status)
        )
    }

    fn frame_chunk(&mut self, body: &[u8]) -> io::Result<()> {
        // A chunk of length 0 would end the stream.
        if !body.is_empty() {
            write!(self.frame, "{:x}\r\n", body.len())?;
            self.frame.extend_from_slice(body);
            self.frame.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn send(&mut self, tokens: u32) -> io::Result<u64> {
        let bytes = u32::try_from(self.frame.len()).unwrap_or(u32::MAX);
        let mut rest = self.frame.as_slice();
        if let Some(gap) = self.slow {
            let mut due_ns = monotonic_ns();
            while rest.len() > 1 {
                self.stream.write_all(&rest[..1])?;
                rest = &rest[1..];
                due_ns = due_ns.saturating_add(nanoseconds(gap));
                sleep_until(due_ns, self.stopping)
                    .map_err(|Stopped| io::Error::from(io::ErrorKind::ConnectionAborted))?;
            }
        }
        let time_ns = monotonic_ns();
        // Logged before the write: whoever has read a chunk finds it in the log.
        self.log.push(Row { time_ns, index: self.index, tokens, bytes });
        let written = self.stream.write_all(rest);
        self.frame.clear();
        if written.is_err() {
            self.log.pop();
        }
        self.index += 1;
        written.map(|()| time_ns)
    }
}

/// The words of the status line; clients ignore them, people read them.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}
