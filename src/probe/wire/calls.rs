//! From captured packets to the calls of a run: each call of the agent's record is looked for on the wire.
//!
//! A call is found by the request id that it sends; an encrypted one by the port that it came from and
//! the time at which its request was handed over. One that does not agree with its record has no figures,
//! and a reason.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use agent::http::Delays;
use formats::protocol::{AgentRecord, CallRecord, Spec};

use super::capture::Captured;
use super::connection::{Connection, Told};
use super::exchange::{Asked, Exchange};
use super::fault::Fault;
use super::packet::Segment;
use super::spool::Spooled;
use super::streams::Disorder;
use super::summary::Summary;
use super::table::{CallOnTheWire, Passed};
use super::tls::{Known, Side};
use super::watch::Watch;

/// How much earlier than its arrival a chunk may be taken, and a request be sent than its call begins:
/// clocks are compared no better.
const SLACK_NS: u64 = 1_000_000;

/// What the wire showed of a run.
#[derive(Debug)]
pub struct CallsOnTheWire {
    /// In the order of the agent's record.
    pub calls: Vec<CallOnTheWire>,
    pub without: Vec<WithoutFigures>,
    pub summary: Summary,
}

/// A call that was not found, or not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutFigures {
    pub agent: String,
    pub call: u32,
    pub warmup: bool,
    pub reason: Fault,
}

impl CallsOnTheWire {
    /// The contract of the probe's table: at least one of the measured calls has figures. Otherwise, why
    /// the first has none.
    pub fn check(&self, record: &AgentRecord) -> Result<(), String> {
        let is_found = |call: &&CallRecord| {
            self.calls.iter().any(|own| own.agent == call.agent && own.call == call.call)
        };
        let mut measured = record.calls.iter().filter(|call| !call.warmup).peekable();
        let first = self.without.iter().find(|call| !call.warmup);
        match (measured.peek().is_some() && !measured.any(|call| is_found(&call)), first) {
            (true, Some(first)) => Err(format!(
                "no measured call was found whole on the wire; {} call {}: {}",
                first.agent, first.call, first.reason
            )),
            _ => Ok(()),
        }
    }
}

impl Captured {
    /// Puts the connections together and looks for every call of the record. Fails where the capture's
    /// own file cannot be read.
    pub fn calls(self, spec: &Spec, record: &AgentRecord) -> io::Result<CallsOnTheWire> {
        let began = Instant::now();
        let asked = asked(spec, record);
        let mut summary = Summary {
            stamps: "the kernel's, when a segment came in or went out".to_owned(),
            buffer_bytes: self.buffer_bytes,
            buffer_is_limited: self.buffer_is_limited,
            dropped: self.dropped,
            unstamped: self.unstamped,
            cut: self.cut,
            bytes: self.spool.bytes(),
            bytes_in_file: self.spool.in_file(),
            interfaces: self.interfaces,
            broken: self.broken,
            cpu_s: self.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e9),
            ..Summary::default()
        };
        summary.cpu_percent = summary
            .cpu_s
            .filter(|_| self.wall_ns > 0)
            .map(|cpu_s| 100.0 * cpu_s / (self.wall_ns as f64 / 1e9));
        let mut connections = Connections::new(self.watches);
        self.spool.read(&mut |packet| connections.take(packet, &asked))?;
        let told = connections.finish(&mut summary);
        let mut found = CallsOnTheWire { calls: Vec::new(), without: Vec::new(), summary };
        let seen = Seen::new(&told);
        for call in &record.calls {
            let looked_for = match &self.clock {
                Some(clock) => seen.find(&id(spec, call), call, clock),
                None => Err(Fault::ClockSet),
            };
            found.note(call, looked_for);
        }
        found.summary.decode_s = began.elapsed().as_secs_f64();
        Ok(found)
    }
}

impl CallsOnTheWire {
    fn note(&mut self, call: &CallRecord, found: Result<Found, Fault>) {
        match found {
            Ok(Found { own, is_encrypted }) => {
                self.summary.calls += 1;
                self.summary.encrypted += u64::from(is_encrypted);
                self.calls.push(own);
            }
            Err(reason) => {
                let reason = self.explained(reason);
                *self.summary.without_figures.entry(reason.to_string()).or_default() += 1;
                self.without.push(WithoutFigures {
                    agent: call.agent.clone(),
                    call: call.call,
                    warmup: call.warmup,
                    reason,
                });
            }
        }
    }

    /// What the capture itself lost explains what is missing at the end of a connection, where no hole
    /// tells of it.
    fn explained(&self, reason: Fault) -> Fault {
        let is_missing = match reason {
            Fault::Chunks { wire, record } => wire < record,
            Fault::NotSeen | Fault::RequestCut | Fault::NoAnswer => true,
            _ => false,
        };
        match reason {
            _ if is_missing && self.summary.broken.is_some() => Fault::Ended,
            Fault::Chunks { .. } if is_missing && self.summary.dropped > 0 => Fault::Hole,
            reason => reason,
        }
    }
}

/// The request id of a call.
fn id(spec: &Spec, call: &CallRecord) -> String {
    format!("{}/{}/{}", spec.run, call.agent, call.call)
}

fn asked(spec: &Spec, record: &AgentRecord) -> Asked {
    let apis: HashMap<&str, _> =
        spec.agents.iter().map(|agent| (agent.name.as_str(), agent.api)).collect();
    let of = |call: &CallRecord| Some((id(spec, call), *apis.get(call.agent.as_str())?));
    record.calls.iter().filter_map(of).collect()
}

/// The connections of the capture, while packets are taken.
struct Connections {
    watches: Vec<Watch>,
    /// By the ends of client and server.
    open: HashMap<(SocketAddr, SocketAddr), Connection>,
    over: Vec<Connection>,
    segments: u64,
    fragments: u64,
}

impl Connections {
    fn new(watches: Vec<Watch>) -> Self {
        Self { watches, open: HashMap::new(), over: Vec::new(), segments: 0, fragments: 0 }
    }

    fn take(&mut self, packet: &Spooled<'_>, asked: &Asked) {
        let Some(segment) = Segment::parse(packet.bytes) else { return };
        let Some(side) = self.side(&segment) else { return };
        self.segments += 1;
        self.fragments += u64::from(segment.fragment);
        let ends = match side {
            Side::Client => (segment.source, segment.destination),
            Side::Server => (segment.destination, segment.source),
        };
        let begun = || Connection::new(ends.0.port(), packet.stamp_ns);
        let connection = match self.open.entry(ends) {
            Entry::Vacant(none) => none.insert(begun()),
            Entry::Occupied(mut last) => {
                if last.get().is_succeeded_by(side, &segment) {
                    self.over.push(last.insert(begun()));
                }
                last.into_mut()
            }
        };
        connection.take(side, &segment, packet.stamp_ns, packet.interface, asked);
    }

    /// Which end sent it; `None`: neither is a server of the run.
    fn side(&self, segment: &Segment<'_>) -> Option<Side> {
        let is_server =
            |end: SocketAddr| self.watches.iter().any(|own| own.is(end.ip(), end.port()));
        match (is_server(segment.destination), is_server(segment.source)) {
            (true, false) => Some(Side::Client),
            (false, true) => Some(Side::Server),
            (false, false) => None,
            // A client that happens to come from a server's port: the connection's first segment tells.
            (true, true) => {
                let answers = self.open.contains_key(&(segment.destination, segment.source))
                    || segment.syn && segment.ack;
                Some(if answers { Side::Server } else { Side::Client })
            }
        }
    }

    fn finish(self, summary: &mut Summary) -> Vec<Told> {
        let connections = self.over.into_iter().chain(self.open.into_values());
        let told: Vec<Told> = connections.map(Connection::finish).collect();
        summary.connections = told.len() as u64;
        summary.segments = self.segments;
        summary.fragments = self.fragments;
        for Disorder { retransmitted, out_of_order, copies } in told.iter().map(|own| own.disorder)
        {
            summary.retransmitted += retransmitted;
            summary.out_of_order += out_of_order;
            summary.copies += copies;
        }
        told
    }
}

/// A call that was found.
struct Found {
    own: CallOnTheWire,
    is_encrypted: bool,
}

/// Everything that was said, to look for calls in.
struct Seen<'t> {
    told: &'t [Told],
    /// By request id, each with the port that it came from.
    exchanges: HashMap<&'t str, Vec<(u16, &'t Exchange)>>,
}

impl<'t> Seen<'t> {
    fn new(told: &'t [Told]) -> Self {
        let mut exchanges: HashMap<&str, Vec<(u16, &Exchange)>> = HashMap::new();
        for connection in told {
            for exchange in &connection.exchanges {
                let own = (connection.client_port, exchange);
                exchanges.entry(exchange.id.as_str()).or_default().push(own);
            }
        }
        Self { told, exchanges }
    }

    fn find(&self, id: &str, call: &CallRecord, clock: &Delays) -> Result<Found, Fault> {
        let Some(exchange) = self.exchange(id, call)? else {
            return self.by_port(call, clock);
        };
        if let Some(fault) = &exchange.fault {
            return Err(fault.clone());
        }
        let passed = |(stamp_ns, bytes)| Passed { time_ns: clock.monotonic_ns(stamp_ns), bytes };
        let request_ns = exchange.request_ns.ok_or(Fault::RequestCut)?;
        let found = CallOnTheWire {
            agent: call.agent.clone(),
            call: call.call,
            request: passed((request_ns, exchange.request_bytes)),
            chunks: exchange.chunks.iter().copied().map(passed).collect(),
            first_bytes: None,
        };
        agrees(call, &found)?;
        Ok(Found { own: found, is_encrypted: false })
    }

    /// The exchange with this id; of several the one that came from the call's port: a proxy in between
    /// sends a request a second time.
    fn exchange(&self, id: &str, call: &CallRecord) -> Result<Option<&'t Exchange>, Fault> {
        let Some(found) = self.exchanges.get(id) else { return Ok(None) };
        if let [(_, only)] = found[..] {
            return Ok(Some(only));
        }
        let mut own = found.iter().filter(|(port, _)| call.local_port == Some(*port));
        match (own.next(), own.next()) {
            (Some((_, exchange)), None) => Ok(Some(exchange)),
            _ => Err(Fault::Ambiguous),
        }
    }

    /// A call whose id was not seen: an encrypted one, or one with a reason.
    fn by_port(&self, call: &CallRecord, clock: &Delays) -> Result<Found, Fault> {
        let monotonic = |stamp_ns| clock.monotonic_ns(stamp_ns);
        let Some(port) = call.local_port else {
            let encrypted = self.told.iter().any(|own| own.encrypted.is_some());
            return Err(match (call.connected_ns, encrypted) {
                (None, false) if call.sent_ns.is_none() => Fault::NotSent,
                (_, true) => Fault::NoPort,
                _ => Fault::NotSeen,
            });
        };
        // A port may be used again by a later connection.
        let lasted = |own: &&Told| {
            own.client_port == port
                && monotonic(own.first_ns) <= call.end_ns
                && monotonic(own.last_ns) >= call.start_ns
        };
        let connection = self.told.iter().filter(lasted).max_by_key(|own| own.first_ns);
        let Some(connection) = connection else { return Err(Fault::NotSeen) };
        let missing = |otherwise| connection.fault.clone().unwrap_or(otherwise);
        let Some(encrypted) = &connection.encrypted else {
            let otherwise = if call.sent_ns.is_none() { Fault::NotSent } else { Fault::NotSeen };
            return Err(missing(otherwise));
        };
        let sent_ns = call.sent_ns.ok_or_else(|| missing(Fault::NoSent))?;
        let known = Known {
            sent_ns,
            headers_ns: call.headers_ns,
            end_ns: call.end_ns,
            is_first: call.connected_ns.is_some(),
        };
        let found = encrypted.call(known, &monotonic).ok_or_else(|| missing(Fault::NoAnswer))?;
        let passed = |(stamp_ns, bytes)| Passed { time_ns: monotonic(stamp_ns), bytes };
        let own = CallOnTheWire {
            agent: call.agent.clone(),
            call: call.call,
            request: passed((found.request_ns, found.request_bytes)),
            chunks: Vec::new(),
            first_bytes: found.first.map(passed),
        };
        Ok(Found { own, is_encrypted: true })
    }
}

/// Whether the record and the wire tell of the same call.
fn agrees(call: &CallRecord, found: &CallOnTheWire) -> Result<(), Fault> {
    let (wire, record) = (found.chunks.len(), call.text_offsets_ns.len());
    if wire != record {
        return Err(Fault::Chunks { wire, record });
    }
    let taken = call.text_offsets_ns.iter().map(|offset| call.start_ns.saturating_add(*offset));
    let mut both = found.chunks.iter().zip(taken);
    if found.chunks.first().is_some_and(|first| first.time_ns < found.request.time_ns) {
        return Err(Fault::Early);
    }
    let early = both.any(|(chunk, taken_ns)| taken_ns.saturating_add(SLACK_NS) < chunk.time_ns);
    if early || found.request.time_ns.saturating_add(SLACK_NS) < call.start_ns {
        return Err(Fault::Order);
    }
    Ok(())
}
