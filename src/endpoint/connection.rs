//! One HTTP/1.1 connection, driven by whoever consumes its answers.
//!
//! There is no background task: the connection reads only while its consumer asks for the next
//! piece. So nothing is read ahead of a throttled consumer, and the meter's last read is the one
//! that completed the piece just returned.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Context;
use std::{future, io};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Target;
use super::meter::{Meter, MeteredTcp, Transport, Wire};

/// hyper's buffer must hold all headers, however small the reads are.
const HEADER_ROOM: usize = 64 * 1024;

/// A connection to one server; one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<Wire, Full<Bytes>>,
    /// The driver has ended and must not be polled again.
    ended: bool,
    meter: Arc<Meter>,
}

/// A connection that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("no TLS with {address}: {source}")]
    Tls { address: String, source: io::Error },
    #[error("the HTTP connection broke: {}", chain(.0))]
    Http(#[from] hyper::Error),
}

impl Connection {
    /// Connects; every read from the socket asks for `read_buffer` bytes.
    pub async fn open(target: &Target, read_buffer: usize) -> Result<Self, ConnectionError> {
        let address = || format!("{}:{}", target.host, target.port);
        let connect = |source| ConnectionError::Connect { address: address(), source };
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let meter = Arc::new(Meter::default());
        let socket = MeteredTcp::new(stream, Arc::clone(&meter), read_buffer);
        let transport = if target.tls {
            let tls = |source| ConnectionError::Tls { address: address(), source };
            let name = ServerName::try_from(target.host.clone())
                .map_err(|error| tls(io::Error::other(error)))?;
            let connector = tls_connector().map_err(tls)?;
            let stream = connector.connect(name, socket).await.map_err(tls)?;
            Transport::Tls(Box::new(stream))
        } else {
            Transport::Plain(socket)
        };
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(read_buffer.max(HEADER_ROOM)))
            .handshake(Wire::new(transport, read_buffer))
            .await?;
        Ok(Self { sender, driver, ended: false, meter })
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

fn tls_connector() -> Result<TlsConnector, io::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
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
