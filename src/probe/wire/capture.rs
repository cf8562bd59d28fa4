//! The capture while a run goes on: a thread that takes packets from the kernel into the spool, and does
//! nothing else. They are stamped already, so it may take its time: it looks now and then, and the
//! kernel's buffer holds what comes meanwhile.
//!
//! A connection of its own on the loopback shows at the beginning that packets are seen and stamped, and
//! at the end that all before it were taken, with the kernel's last word on how many it dropped.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::http::{Arrivals, Delays};
use formats::clock;

use super::Unavailable;
use super::packet::Segment;
use super::spool::{Spool, Spooled};
use super::system::{PacketSocket, interface_name};
use super::watch::Watch;

/// A buffer that holds what comes between two looks many times over.
const LARGE: u64 = 8 << 20;
/// Between two looks where the buffer is large.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the capture's own connection may take to show.
const SHOWS: Duration = Duration::from_secs(1);
/// What a stamp has to be earlier than the look that finds it, to be the kernel's and not the look's own.
const EARLIER: Duration = Duration::from_millis(1);

/// Sizes of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// Asked of the kernel for packets that wait to be taken. The kernel counts twice as much, for its
    /// own records of them.
    pub buffer_bytes: usize,
    /// Kept in memory; what is more goes into a file.
    pub memory_bytes: usize,
}

impl Default for Capture {
    fn default() -> Self {
        Self { buffer_bytes: 64 << 20, memory_bytes: 64 << 20 }
    }
}

/// A capture that is going on.
#[derive(Debug)]
pub struct Recorder {
    /// Closed when the capture is to end.
    going: Sender<()>,
    thread: JoinHandle<Taken>,
    watches: Vec<Watch>,
    arrivals: Arrivals,
    began_ns: u64,
}

/// What the thread has at its end.
#[derive(Debug)]
struct Taken {
    spool: Spool,
    interfaces: BTreeSet<u32>,
    buffer_bytes: u64,
    buffer_is_limited: bool,
    dropped: u64,
    unstamped: u64,
    cut: u64,
    broken: Option<String>,
    cpu_ns: Option<u64>,
}

/// What was captured of a run.
#[derive(Debug)]
pub struct Captured {
    pub(super) spool: Spool,
    pub(super) watches: Vec<Watch>,
    /// `None`: the time of day was set meanwhile.
    pub(super) clock: Option<Delays>,
    pub(super) buffer_bytes: u64,
    pub(super) buffer_is_limited: bool,
    pub(super) dropped: u64,
    pub(super) unstamped: u64,
    pub(super) cut: u64,
    /// Interfaces that packets were seen on, by name.
    pub(super) interfaces: Vec<String>,
    /// Why it ended before it was asked to.
    pub(super) broken: Option<String>,
    pub(super) cpu_ns: Option<u64>,
    pub(super) wall_ns: u64,
}

/// Whether this process may capture packets and sees them stamped.
pub fn available() -> Result<(), Unavailable> {
    let socket = Capture { buffer_bytes: 1 << 20, memory_bytes: 1 << 20 };
    socket.begin(&[], &std::env::temp_dir()).map(|recorder| drop(recorder.stop()))
}

impl Capture {
    /// Captures with the usual sizes what is said to and by these servers.
    pub fn start(watches: &[Watch], folder: &Path) -> Result<Recorder, Unavailable> {
        Self::default().begin(watches, folder)
    }

    /// Captures what is said to and by these servers; returns once packets are seen. What does not fit
    /// into memory goes into a file of the folder that is gone at the end.
    pub fn begin(self, watches: &[Watch], folder: &Path) -> Result<Recorder, Unavailable> {
        let began_ns = clock::monotonic_ns();
        let arrivals = Arrivals::begin();
        let own = Own::open()
            .map_err(|error| Unavailable(format!("no connection on the loopback: {error}")))?;
        let mut all = watches.to_vec();
        all.push(own.watch);
        let mut socket = PacketSocket::open(&all, self.buffer_bytes)?;
        let mut taken = Taken::new(Spool::new(folder, self.memory_bytes));
        taken.await_stamps(&mut socket, &own)?;
        let (going, told) = channel();
        let thread = thread::spawn(move || {
            let cpu = agent::os::thread_cpu_ns();
            taken.take_until_told(&mut socket, &told, &own);
            taken.close(&socket, cpu)
        });
        Ok(Recorder { going, thread, watches: watches.to_vec(), arrivals, began_ns })
    }
}

impl Recorder {
    /// Takes what has come until now, and ends.
    #[must_use]
    pub fn stop(self) -> Captured {
        drop(self.going);
        let taken = self.thread.join().unwrap_or_else(|_| {
            let mut nothing = Taken::new(Spool::new(Path::new("."), 0));
            nothing.broken = Some("its thread ended in an error".to_owned());
            nothing
        });
        Captured {
            watches: self.watches,
            clock: self.arrivals.end(),
            buffer_bytes: taken.buffer_bytes,
            buffer_is_limited: taken.buffer_is_limited,
            dropped: taken.dropped,
            unstamped: taken.unstamped,
            cut: taken.cut,
            interfaces: taken.interfaces.iter().map(|own| interface_name(*own)).collect(),
            broken: taken.broken,
            cpu_ns: taken.cpu_ns,
            wall_ns: clock::monotonic_ns().saturating_sub(self.began_ns),
            spool: taken.spool,
        }
    }
}

impl Taken {
    fn new(spool: Spool) -> Self {
        Self {
            spool,
            interfaces: BTreeSet::new(),
            buffer_bytes: 0,
            buffer_is_limited: false,
            dropped: 0,
            unstamped: 0,
            cut: 0,
            broken: None,
            cpu_ns: None,
        }
    }

    /// Waits until packets of the own connection are seen with stamps that are older than the look at
    /// them: the kernel begins to stamp some time after it was asked to.
    fn await_stamps(&mut self, socket: &mut PacketSocket, own: &Own) -> Result<(), Unavailable> {
        let refused = |what: &str, why: &dyn std::fmt::Display| {
            Unavailable(format!("packets cannot be captured here: {what}{why}"))
        };
        let deadline = Instant::now() + SHOWS;
        let mut seen = false;
        while Instant::now() < deadline {
            own.show().map_err(|error| refused("no connection on the loopback: ", &error))?;
            thread::sleep(2 * EARLIER);
            let old_ns = day_ns().saturating_sub(EARLIER.as_nanos());
            let mut stamped = false;
            self.take(socket, &mut |packet, stamp_ns| {
                if own.is(packet) {
                    seen = true;
                    stamped |= u128::from(stamp_ns) < old_ns;
                }
            })
            .map_err(|error| refused("", &error))?;
            if stamped {
                return Ok(());
            }
        }
        let what = if seen { "the kernel does not stamp them" } else { "none is seen" };
        Err(refused(what, &""))
    }

    fn take_until_told(&mut self, socket: &mut PacketSocket, told: &Receiver<()>, own: &Own) {
        self.buffer_bytes = socket.buffer_bytes();
        self.buffer_is_limited = socket.is_limited();
        let looks_rarely = self.buffer_bytes >= LARGE;
        let result = loop {
            if let Err(error) = self.take(socket, &mut |_, _| {}) {
                break Err(error);
            }
            if looks_rarely {
                if told.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    break self.take_last(socket, own);
                }
                continue;
            }
            if told.try_recv() != Err(TryRecvError::Empty) {
                break self.take_last(socket, own);
            }
            if let Err(error) = self.take_one(socket, true, &mut |_, _| {}) {
                break Err(error);
            }
        };
        self.broken = result.err().map(|error| error.to_string());
    }

    /// Takes packets until the own connection shows behind them.
    fn take_last(&mut self, socket: &mut PacketSocket, own: &Own) -> io::Result<()> {
        let deadline = Instant::now() + SHOWS;
        let mut seen = false;
        while !seen {
            self.take(socket, &mut |_, _| {})?;
            own.show()?;
            self.take(socket, &mut |packet, _| seen |= own.is(packet))?;
            if Instant::now() > deadline {
                return Err(io::Error::other("its own last packet was not seen"));
            }
        }
        Ok(())
    }

    /// Takes all that is there.
    fn take(
        &mut self,
        socket: &mut PacketSocket,
        each: &mut dyn FnMut(&[u8], u64),
    ) -> io::Result<()> {
        while self.take_one(socket, false, each)? {}
        Ok(())
    }

    fn take_one(
        &mut self,
        socket: &mut PacketSocket,
        wait: bool,
        each: &mut dyn FnMut(&[u8], u64),
    ) -> io::Result<bool> {
        let Some(packet) = socket.receive(wait)? else { return Ok(false) };
        each(packet.bytes, packet.stamp_ns);
        self.interfaces.insert(packet.interface);
        self.cut += u64::from(packet.length > packet.bytes.len());
        self.spool.push(&Spooled {
            stamp_ns: packet.stamp_ns,
            interface: packet.interface,
            length: u32::try_from(packet.length).unwrap_or(u32::MAX),
            bytes: packet.bytes,
        })?;
        Ok(true)
    }

    fn close(mut self, socket: &PacketSocket, cpu_began: Option<u64>) -> Self {
        self.dropped = socket.dropped();
        self.unstamped = socket.unstamped();
        let used = agent::os::thread_cpu_ns().zip(cpu_began);
        self.cpu_ns = used.map(|(now, began)| now.saturating_sub(began));
        self
    }
}

/// A server on the loopback that only this capture connects to.
#[derive(Debug)]
struct Own {
    listener: TcpListener,
    address: SocketAddr,
    watch: Watch,
}

impl Own {
    fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let watch = Watch { address: Some(address.ip()), port: address.port() };
        Ok(Self { listener, address, watch })
    }

    /// Opens a connection and closes it.
    fn show(&self) -> io::Result<()> {
        let opened = TcpStream::connect(self.address)?;
        drop(self.listener.accept()?);
        drop(opened);
        Ok(())
    }

    fn is(&self, packet: &[u8]) -> bool {
        let begins = |segment: Segment<'_>| segment.syn && segment.destination == self.address;
        Segment::parse(packet).is_some_and(begins)
    }
}

fn day_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}
