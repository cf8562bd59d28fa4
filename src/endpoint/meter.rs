//! A socket that notes every read: when it returned, how many bytes it brought, how large it could be.
//!
//! Sits right above the operating system's socket, below TLS and HTTP, so that the time of a chunk
//! is the time its bytes reached this process and not the time somebody looked at them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::os;

/// Bytes asked for in one read when nobody says otherwise.
pub const DEFAULT_READ_BUFFER: usize = 64 * 1024;

/// What a connection's reads have brought so far. Written by the socket, read by whoever drives it;
/// both are on one thread, the atomics only let the pair move together.
#[derive(Debug, Default)]
pub struct Meter {
    last_read_ns: AtomicU64,
    bytes: AtomicU64,
    reads: AtomicU64,
    largest: AtomicU64,
}

impl Meter {
    /// When the last read that brought data returned, monotonic nanoseconds; `None`: none did yet.
    #[must_use]
    pub fn last_read_ns(&self) -> Option<u64> {
        Some(self.last_read_ns.load(Relaxed)).filter(|&time| time > 0)
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Reads that brought data.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// Bytes of the largest read.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest.load(Relaxed)
    }

    fn note(&self, time_ns: u64, bytes: usize) {
        let bytes = bytes as u64;
        self.last_read_ns.store(time_ns, Relaxed);
        self.bytes.store(self.bytes() + bytes, Relaxed);
        self.reads.store(self.reads() + 1, Relaxed);
        self.largest.store(self.largest().max(bytes), Relaxed);
    }
}

/// The operating system's socket with its meter; no read asks for more than `read_buffer` bytes.
#[derive(Debug)]
pub(super) struct MeteredTcp {
    stream: TcpStream,
    meter: Arc<Meter>,
    read_buffer: usize,
}

impl MeteredTcp {
    pub(super) fn new(stream: TcpStream, meter: Arc<Meter>, read_buffer: usize) -> Self {
        Self { stream, meter, read_buffer: read_buffer.max(1) }
    }
}

impl AsyncRead for MeteredTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = buffer.remaining().min(self.read_buffer);
        let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(size));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut limited))?;
        let time_ns = os::monotonic_ns();
        let bytes = limited.filled().len();
        buffer.advance(bytes);
        if bytes > 0 {
            self.meter.note(time_ns, bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What HTTP runs on: the metered socket, with TLS above it for `https`.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(MeteredTcp),
    Tls(Box<TlsStream<MeteredTcp>>),
}

/// [`Transport`] as hyper wants it. hyper's own buffer takes any size it likes, so each read goes
/// through a buffer of exactly the size that was asked for.
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    buffer: Box<[u8]>,
}

impl Wire {
    pub(super) fn new(transport: Transport, read_buffer: usize) -> Self {
        Self { transport, buffer: vec![0; read_buffer.max(1)].into_boxed_slice() }
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { transport, buffer } = &mut *self;
        let size = buffer.len().min(cursor.remaining());
        let mut read = ReadBuf::new(&mut buffer[..size]);
        ready!(match transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, &mut read),
        })?;
        cursor.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
