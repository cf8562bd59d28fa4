//! The server's life: listening, one thread per connection, ending them all.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use formats::clock::{self, utc_now};
use formats::pacing::Pacing;
use formats::sends::Send;

use super::SimulatorError;
use super::arrival;
use super::clock::nanoseconds;
use super::connection;
use super::http::Request;
use super::load::Load;
use super::log::Log;
use super::pacing;
use super::reply::Reply;
use super::slots::Slots;

/// Hundreds of clients connect at the same moment; the standard library's queue of 128 would make
/// some of them try again after a second.
const BACKLOG: i32 = 4096;
/// Small, since there are hundreds, but enough for JSON nested as deep as the parser allows.
const STACK: usize = 1 << 20;
/// Model names remembered for the lists of models.
const MAX_MODELS: usize = 1000;

/// A running paced endpoint; ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the connections of a server have in common.
#[derive(Debug)]
pub struct Shared {
    pub pacing: Pacing,
    /// Of the pacing, in the place of a model's digest.
    pub digest: String,
    pub started_at: String,
    pub stopping: AtomicBool,
    /// Calls counted so far.
    pub calls: AtomicU64,
    pub slots: Slots,
    pub load: Load,
    log: Log,
    models: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// The answer to the next request. `None` is one that could not be read to its end: after its
    /// answer the connection is closed.
    pub fn reply<'c>(&'c self, stream: &'c TcpStream, request: Option<&Request>) -> Reply<'c> {
        let name = request.and_then(|request| request.id.clone());
        let log = self.log.begin(name, request.map(|request| request.came));
        let close = request.is_none_or(|request| request.close);
        Reply::new(stream, &self.stopping, log, close)
    }

    /// Any model is served; those asked for are listed.
    pub fn remember(&self, model: &str) {
        let mut models = self.models();
        if models.len() < MAX_MODELS && !models.contains(model) {
            models.insert(model.to_owned());
        }
    }

    /// Models asked for so far.
    pub fn models(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens on the address (port 0: a free one) and serves in threads of its own.
    pub fn start(pacing: Pacing, address: SocketAddr) -> Result<Self, SimulatorError> {
        pacing::check(&pacing)?;
        let listener =
            listen(address).map_err(|source| SimulatorError::Listen { address, source })?;
        arrival::stamp(&listener);
        let address =
            listener.local_addr().map_err(|source| SimulatorError::Listen { address, source })?;
        let shared = Arc::new(Shared {
            digest: digest(&pacing),
            started_at: utc_now(),
            stopping: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            slots: Slots::new(pacing.slots),
            load: Load::new(nanoseconds(pacing.load)),
            log: Log::default(),
            models: Mutex::new(BTreeSet::from(["simulated".to_owned()])),
            pacing,
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("simulator".to_owned())
                .spawn(move || accept(&listener, &shared))
                .map_err(|source| SimulatorError::Thread { source })?
        };
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an endpoint that agents can call.
    #[must_use]
    pub fn endpoint(&self) -> formats::endpoint::Server {
        let api = self.shared.pacing.protocol;
        formats::endpoint::Server::at(api, self.base_url())
    }

    /// The URL that clients of the pacing's protocol want: with `/v1` for OpenAI's.
    #[must_use]
    pub fn base_url(&self) -> String {
        let path = self.shared.pacing.protocol.base();
        format!("http://{}{path}", self.reachable())
    }

    /// Removes and returns the sends of all requests whose name starts with `prefix`, in time order.
    #[must_use]
    pub fn take_sends(&self, prefix: &str) -> Vec<Send> {
        self.shared.log.take(prefix)
    }

    /// Ends all connections, also those in the middle of an answer, and waits for their threads.
    /// Dropping the server does the same.
    pub fn stop(self) {
        drop(self);
    }

    /// The address for clients on this machine.
    fn reachable(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // A connection wakes the acceptor. Without one (no file descriptor left) it is not waited
        // for: it ends with the next client.
        let woken = TcpStream::connect_timeout(&self.reachable(), Duration::from_secs(1));
        if let (Ok(_), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // As the standard library does: elsewhere it would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// SHA-256 of the pacing, hex.
fn digest(pacing: &Pacing) -> String {
    formats::digest::of_bytes(&serde_json::to_vec(pacing).unwrap_or_default())
}

/// Gives each connection a thread, and ends them all when the server stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    // The threads of the connections inherit it.
    clock::wake_on_time();
    let mut connections: Vec<(JoinHandle<()>, Weak<TcpStream>)> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Relaxed) {
            break;
        }
        connections.retain(|(thread, _)| !thread.is_finished());
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: closing connections will free some.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        // Only the connection's thread owns its socket, so that it closes when the thread ends.
        let stream = Arc::new(stream);
        let handle = Arc::downgrade(&stream);
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || connection::serve(&shared, &stream));
        if let Ok(thread) = thread {
            connections.push((thread, handle));
        }
    }
    for (_, stream) in &connections {
        if let Some(stream) = stream.upgrade() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    for (thread, _) in connections {
        let _ = thread.join();
    }
}
