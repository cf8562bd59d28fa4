//! One TCP connection to a server of the run: both directions put together, and what is said in them,
//! in the clear or encrypted.

use super::exchange::{Asked, Exchange, Exchanges, Next};
use super::fault::Fault;
use super::packet::Segment;
use super::streams::{Disorder, Stream};
use super::tls::{Encrypted, Side, begins_with_handshake};

/// A connection, and what was seen of it.
#[derive(Debug)]
pub struct Connection {
    /// The port that the client came from.
    pub client_port: u16,
    /// Stamps of its first and last segment.
    pub first_ns: u64,
    pub last_ns: u64,
    client: Stream,
    server: Stream,
    said: Said,
    /// Why nothing more is to be learned from it.
    fault: Option<Fault>,
    is_closed: bool,
}

#[derive(Debug)]
enum Said {
    /// The client's first bytes will tell.
    Nothing,
    Clear(Exchanges),
    Encrypted(Encrypted),
}

/// What a connection tells when it is over.
#[derive(Debug)]
pub struct Told {
    pub client_port: u16,
    pub first_ns: u64,
    pub last_ns: u64,
    /// Of the run's calls, if it was not encrypted.
    pub exchanges: Vec<Exchange>,
    pub encrypted: Option<Encrypted>,
    /// Why there may have been more calls than it tells of.
    pub fault: Option<Fault>,
    pub disorder: Disorder,
}

impl Connection {
    /// Begins with its first segment, which is to be taken then.
    #[must_use]
    pub fn new(client_port: u16, stamp_ns: u64) -> Self {
        Self {
            client_port,
            first_ns: stamp_ns,
            last_ns: stamp_ns,
            client: Stream::default(),
            server: Stream::default(),
            said: Said::Nothing,
            fault: None,
            is_closed: false,
        }
    }

    /// Whether the segment belongs to a later connection between the same ports.
    #[must_use]
    pub fn is_succeeded_by(&self, side: Side, segment: &Segment<'_>) -> bool {
        // The server's number is new with the client's.
        side == Side::Client
            && (self.client.is_reopened_by(segment)
                || segment.syn && (self.is_closed || !self.client.has_begun()))
    }

    /// Takes a segment that one end sent.
    pub fn take(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        stamp_ns: u64,
        interface: u32,
        asked: &Asked,
    ) {
        self.last_ns = self.last_ns.max(stamp_ns);
        let stream = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        if segment.syn {
            stream.begin(segment.sequence);
        }
        if !stream.has_begun() && !segment.rst {
            self.fault.get_or_insert(Fault::Begun);
        }
        if segment.fragment {
            self.fault.get_or_insert(Fault::Fragments);
        }
        let (said, fault) = (&mut self.said, &mut self.fault);
        stream.push(segment, stamp_ns, interface, &mut |stamp_ns, bytes| {
            if fault.is_none() {
                *fault = said.take(side, stamp_ns, bytes, asked).err();
            }
        });
        if side == Side::Server
            && let (Some(stamp_ns), Said::Clear(exchanges)) =
                (self.server.closed_ns(), &mut self.said)
        {
            exchanges.close(stamp_ns);
        }
        let both_closed = self.client.closed_ns().and(self.server.closed_ns()).is_some();
        self.is_closed |= segment.rst || both_closed;
    }

    /// What it tells.
    #[must_use]
    pub fn finish(self) -> Told {
        let hole = self.client.has_hole() || self.server.has_hole();
        let (client, server) = (self.client.disorder, self.server.disorder);
        // Whatever else went wrong, a hole is what it comes from.
        let fault = if hole { Some(Fault::Hole) } else { self.fault };
        let (exchanges, encrypted) = match self.said {
            Said::Nothing => (Vec::new(), None),
            Said::Clear(exchanges) => (exchanges.finish(fault.as_ref()), None),
            Said::Encrypted(encrypted) => (Vec::new(), Some(encrypted)),
        };
        Told {
            client_port: self.client_port,
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            exchanges,
            encrypted,
            fault,
            disorder: Disorder {
                retransmitted: client.retransmitted + server.retransmitted,
                out_of_order: client.out_of_order + server.out_of_order,
                copies: client.copies + server.copies,
            },
        }
    }
}

impl Said {
    fn take(
        &mut self,
        side: Side,
        stamp_ns: u64,
        bytes: &[u8],
        asked: &Asked,
    ) -> Result<(), Fault> {
        if matches!(self, Self::Nothing) {
            *self = match side {
                Side::Server => return Err(Fault::NotHttp),
                Side::Client if begins_with_handshake(bytes) => {
                    Self::Encrypted(Encrypted::default())
                }
                Side::Client => Self::Clear(Exchanges::default()),
            };
        }
        match self {
            Self::Nothing => Ok(()),
            Self::Encrypted(encrypted) => encrypted.take(side, stamp_ns, bytes),
            Self::Clear(exchanges) => {
                let Next::Tunnel(rest) = exchanges.take(side, stamp_ns, bytes, asked)? else {
                    return Ok(());
                };
                // What was said before was the proxy's; who is behind it is spoken to from now on.
                *self = Self::Nothing;
                if rest.is_empty() { Ok(()) } else { Err(Fault::NotHttp) }
            }
        }
    }
}
