//! A socket that notes every read and write: when, how many bytes, and when the kernel had received them.
//!
//! Sits right above the operating system's socket, below TLS and HTTP, so that the time of a chunk
//! is the time its bytes reached this process and not the time somebody looked at them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use formats::clock;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::arrival::Arrival;
use crate::os::receive::Receiver;

/// Bytes asked for in one read when nobody says otherwise.
pub const DEFAULT_READ_BUFFER: usize = 64 * 1024;
/// Reads that room is made for before a connection is used.
const ROOM: usize = 4096;

/// What a connection has read and written since its call began. Written by the socket, read by whoever
/// drives it; both are on one thread, so the lock is never waited for.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Readings>);

#[derive(Debug, Default)]
struct Readings {
    last_read_ns: Option<u64>,
    last_write_ns: Option<u64>,
    bytes: u64,
    reads: u64,
    largest: u64,
    arrivals: Vec<Arrival>,
}

impl Meter {
    fn new(arrivals: Vec<Arrival>) -> Self {
        Self(Mutex::new(Readings { arrivals, ..Readings::default() }))
    }

    /// When the last read that brought data returned, monotonic nanoseconds; `None`: none did yet.
    #[must_use]
    pub fn last_read_ns(&self) -> Option<u64> {
        self.lock().last_read_ns
    }

    /// Right before the last write of the request, monotonic nanoseconds; `None`: there was none yet.
    #[must_use]
    pub fn last_write_ns(&self) -> Option<u64> {
        self.lock().last_write_ns
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Reads that brought data.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Bytes of the largest read.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.lock().largest
    }

    /// The reads that the kernel had stamped the bytes of, in order, taken out.
    #[must_use]
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.lock().arrivals)
    }

    /// A request is about to be written: what was written and read before (a TLS handshake, the answer of a
    /// proxy) was none of it.
    pub(super) fn begin_request(&self) {
        let mut readings = self.lock();
        let mut arrivals = std::mem::take(&mut readings.arrivals);
        arrivals.clear();
        *readings = Readings { arrivals, ..Readings::default() };
    }

    /// Another call uses the connection.
    pub(super) fn begin_call(&self) {
        let room = Vec::with_capacity(ROOM);
        *self.lock() = Readings { arrivals: room, ..Readings::default() };
    }

    fn note_read(&self, read_ns: u64, bytes: usize, stamp_ns: Option<u64>) {
        let mut readings = self.lock();
        let bytes = bytes as u64;
        readings.last_read_ns = Some(read_ns);
        readings.bytes += bytes;
        readings.reads += 1;
        readings.largest = readings.largest.max(bytes);
        readings.arrivals.extend(stamp_ns.map(|stamp_ns| Arrival { read_ns, stamp_ns }));
    }

    fn note_write(&self, time_ns: u64) {
        self.lock().last_write_ns = Some(time_ns);
    }

    /// Numbers stay usable whatever happened to another thread that held them.
    fn lock(&self) -> MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory of one connection, made before the clock of its call starts: the first write to each page of it
/// stops the process for a moment, and 64 streams that start together would wait for all of them.
#[derive(Debug)]
pub struct Buffers {
    pub(super) read: Box<[u8]>,
    pub(super) arrivals: Vec<Arrival>,
}

impl Buffers {
    /// For reads of so many bytes.
    #[must_use]
    pub fn new(read_buffer: usize) -> Self {
        // Zeroes are promised by the system and only made when they are looked at; others are there.
        let read = vec![1; read_buffer.max(1)].into_boxed_slice();
        Self { read, arrivals: Vec::with_capacity(ROOM) }
    }
}

/// The operating system's socket with its meter; no read asks for more than `read_buffer` bytes.
#[derive(Debug)]
pub(super) struct MeteredTcp {
    stream: TcpStream,
    receiver: Receiver,
    meter: Arc<Meter>,
    read_buffer: usize,
}

impl MeteredTcp {
    pub(super) fn new(stream: TcpStream, read_buffer: usize, arrivals: Vec<Arrival>) -> Self {
        let receiver = Receiver::of(&stream);
        let meter = Arc::new(Meter::new(arrivals));
        Self { stream, receiver, meter, read_buffer }
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

impl AsyncRead for MeteredTcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, receiver, meter, read_buffer } = self.get_mut();
        let size = buffer.remaining().min(*read_buffer);
        let space = buffer.initialize_unfilled_to(size);
        let (bytes, stamp_ns) = loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_io(Interest::READABLE, || receiver.receive(stream, space)) {
                // The readiness was an old one; the next look at it waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let read_ns = clock::monotonic_ns();
        if bytes < size && cfg!(target_os = "linux") {
            // There was no more. Asking once again would only cost a call; whatever comes next is told
            // by the event loop, which runs on this very thread.
            let _ = stream
                .try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        buffer.advance(bytes);
        if bytes > 0 {
            meter.note_read(read_ns, bytes, stamp_ns);
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
        // Before the write, not after it: the kernel may let the server run first, on this very core.
        let time_ns = clock::monotonic_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.meter.note_write(time_ns);
        Poll::Ready(Ok(written))
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
    pub(super) fn new(transport: Transport, buffer: Box<[u8]>) -> Self {
        Self { transport, buffer }
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
