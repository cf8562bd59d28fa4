//! One HTTP/1.1 connection, driven by whoever consumes its answers.
//!
//! There is no background task: the connection reads only while its consumer asks for the next
//! piece. So nothing is read ahead of a throttled consumer, and the meter's last read is the one
//! that completed the piece just returned.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::{future, io};

use bytes::Bytes;
use formats::clock;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Target;
use super::meter::{Buffers, Meter, MeteredTcp, Transport, Wire};

/// hyper's buffer must hold all headers, however small the reads are. What is longer is no HTTP that is read,
/// in the Python runtime, too.
const HEADER_ROOM: usize = 100 * 1024;
/// Most headers of an answer.
const HEADERS_LIMIT: usize = 512;

/// A connection to one server; one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<Wire, Full<Bytes>>,
    /// The driver has ended and must not be polled again.
    ended: bool,
    meter: Arc<Meter>,
    connected_ns: u64,
    local_port: Option<u16>,
}

/// A connection that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("no TLS with {address}: {source}")]
    Tls { address: String, source: io::Error },
    #[error("no connection through the proxy {proxy}: {source}")]
    Proxy { proxy: String, source: io::Error },
    #[error("the HTTP connection broke: {}", chain(.0))]
    Http(#[from] hyper::Error),
}

impl Connection {
    /// Connects; every read from the socket asks for as many bytes as the buffer has.
    pub async fn open(target: &Target, buffers: Buffers) -> Result<Self, ConnectionError> {
        let address = || {
            let (host, port) = target.destination();
            format!("{host}:{port}")
        };
        let connect = |source| ConnectionError::Connect { address: address(), source };
        let stream = if target.addresses.is_empty() {
            TcpStream::connect(target.destination()).await
        } else {
            TcpStream::connect(&target.addresses[..]).await
        };
        let stream = stream.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let local_port = stream.local_addr().ok().map(|address| address.port());
        let Buffers { read: buffer, arrivals } = buffers;
        let read_buffer = buffer.len();
        let mut socket = MeteredTcp::new(stream, read_buffer, arrivals);
        let meter = Arc::clone(socket.meter());
        let transport = if let Some(config) = &target.tls {
            if target.proxy.is_some() {
                let through = |source| ConnectionError::Proxy { proxy: address(), source };
                tunnel(&mut socket, &target.host, target.port).await.map_err(through)?;
            }
            let to = || format!("{}:{}", target.host, target.port);
            let tls = |source| ConnectionError::Tls { address: to(), source };
            let name = ServerName::try_from(target.host.clone())
                .map_err(|error| tls(io::Error::other(error)))?;
            let connector = TlsConnector::from(Arc::clone(config));
            let stream = connector.connect(name, socket).await.map_err(tls)?;
            Transport::Tls(Box::new(stream))
        } else {
            Transport::Plain(socket)
        };
        let connected_ns = clock::monotonic_ns();
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(read_buffer.max(HEADER_ROOM)))
            .max_headers(HEADERS_LIMIT)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(Wire::new(transport, buffer))
            .await?;
        meter.begin_request();
        Ok(Self { sender, driver, ended: false, meter, connected_ns, local_port })
    }

    /// Readies a kept connection for another call; false: it was closed, or has more to say than the
    /// answer that was taken, and cannot be used.
    pub fn begin_again(&mut self) -> bool {
        self.meter.begin_call();
        let mut nobody = Context::from_waker(Waker::noop());
        drive(&mut self.driver, &mut self.ended, &mut nobody);
        !self.ended && self.sender.is_ready() && self.meter.bytes() == 0
    }

    /// When it was open, TLS included, monotonic nanoseconds.
    #[must_use]
    pub fn connected_ns(&self) -> u64 {
        self.connected_ns
    }

    /// Port of this machine that it was made from.
    #[must_use]
    pub fn local_port(&self) -> Option<u16> {
        self.local_port
    }

    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut response = pin!(self.sender.send_request(request));
        let (driver, ended) = (&mut self.driver, &mut self.ended);
        future::poll_fn(|cx| {
            drive(driver, ended, cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// The next piece of the answer; `None` at its end.
    pub async fn next(&mut self, body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let frame = future::poll_fn(|cx| {
                drive(&mut self.driver, &mut self.ended, cx);
                Pin::new(&mut *body).poll_frame(cx)
            });
            match frame.await? {
                // Trailers carry nothing of interest.
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Lets the connection read and write what it can. Its errors reach the answer that waits for it.
fn drive(
    driver: &mut http1::Connection<Wire, Full<Bytes>>,
    ended: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*ended {
        *ended = Pin::new(driver).poll(cx).is_ready();
    }
}

/// Has the proxy at the other end connect to a server and pass on every byte (RFC 9110, section 9.3.6).
async fn tunnel(socket: &mut MeteredTcp, host: &str, port: u16) -> io::Result<()> {
    /// Longest answer of a proxy that is read, bytes.
    const HEAD_LIMIT: usize = 8 * 1024;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to the server.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_LIMIT {
            return Err(io::Error::other("the proxy's answer has no end"));
        }
        head.push(socket.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let first = text.lines().next().unwrap_or_default();
    match first.split_whitespace().nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("it answers {first:?}"))),
    }
}

/// An error with its causes, which is where hyper says what happened.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
