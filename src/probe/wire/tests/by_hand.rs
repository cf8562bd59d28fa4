//! Packets made by hand, from the IP header on, with the records of the calls that they are of.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::http::{Arrivals, Delays};
use formats::endpoint::{Api, Dialect, Route};
use formats::protocol::{
    AgentRecord, AgentSpec, CallRecord, ClockPair, Connection, Outcome, PROTOCOL, ProbeSpec,
    RuntimeInfo, ServerCounts, Spec,
};

use super::super::capture::Captured;
use super::super::spool::{Spool, Spooled};
use super::super::{CallsOnTheWire, Watch};

pub const MS: u64 = 1_000_000;
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// The record of a call that was answered, without any time.
pub fn blank(agent: &str, call: u32) -> CallRecord {
    CallRecord {
        agent: agent.to_owned(),
        call,
        warmup: false,
        start_ns: 0,
        connected_ns: None,
        local_port: None,
        sent_ns: None,
        headers_ns: None,
        text_offsets_ns: Vec::new(),
        end_ns: 0,
        http_status: Some(200),
        retry_after_s: None,
        outcome: Outcome::Ok,
        error: None,
        chunks: 0,
        bytes: 0,
        reads: None,
        largest_read: None,
        read_delays_ns: None,
        finish_reason: None,
        model: None,
        text_bytes: Vec::new(),
        server: ServerCounts::default(),
    }
}

/// A TCP connection whose packets are written down, a millisecond apart.
pub struct Talk {
    client: SocketAddrV4,
    server: SocketAddrV4,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    pub packets: Vec<Packet>,
}

#[derive(Clone)]
pub struct Packet {
    pub after_ms: u64,
    pub bytes: Vec<u8>,
}

impl Talk {
    /// Begins with the handshake.
    pub fn open(client_port: u16, after_ms: u64) -> Self {
        let mut talk = Self {
            client: SocketAddrV4::new(Ipv4Addr::LOCALHOST, client_port),
            server: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 11434),
            // Both wrap soon.
            next: [u32::MAX - 20, u32::MAX - 50],
            packets: Vec::new(),
        };
        talk.say(0, after_ms, SYN, b"");
        talk.say(1, after_ms, SYN | ACK, b"");
        talk
    }

    pub fn client(&mut self, after_ms: u64, text: impl AsRef<[u8]>) {
        self.say(0, after_ms, ACK, text.as_ref());
    }

    pub fn server(&mut self, after_ms: u64, text: impl AsRef<[u8]>) {
        self.say(1, after_ms, ACK, text.as_ref());
    }

    pub fn say(&mut self, side: usize, after_ms: u64, flags: u8, payload: &[u8]) {
        let [from, to] =
            if side == 0 { [self.client, self.server] } else { [self.server, self.client] };
        let mut bytes = vec![0x45, 0];
        bytes.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        bytes.extend(from.ip().octets());
        bytes.extend(to.ip().octets());
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        bytes.extend(self.next[side].to_be_bytes());
        bytes.extend(self.next[1 - side].to_be_bytes());
        bytes.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        let length = u32::try_from(payload.len()).unwrap() + u32::from(flags & (SYN | FIN) != 0);
        self.next[side] = self.next[side].wrapping_add(length);
        self.packets.push(Packet { after_ms, bytes });
    }

    /// A request of the agent's call, whole, and the head of a chunked answer.
    pub fn call(&mut self, after_ms: u64, call: u32) {
        self.client(after_ms, request(call));
        self.server(after_ms + 1, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    /// Lines with text, each in a segment of its own, and the end of the answer.
    pub fn answer(&mut self, after_ms: &[u64]) {
        for after_ms in after_ms {
            self.server(*after_ms, chunk(&line("text")));
        }
        let last = after_ms.last().unwrap() + 1;
        self.server(last, chunk(LAST) + "0\r\n\r\n");
    }
}

pub const LAST: &str =
    "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}\n";

pub fn line(text: &str) -> String {
    format!("{{\"response\":\"{text}\",\"done\":false}}\n")
}

pub fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

pub fn request(call: u32) -> String {
    format!(
        "POST /api/generate HTTP/1.1\r\nx-request-id: run/a/{call}\r\ncontent-length: 5\r\n\r\nhello"
    )
}

pub fn spec() -> Spec {
    let agent = AgentSpec {
        name: "a".to_owned(),
        api: Api::Ollama,
        url: "http://127.0.0.1:11434".to_owned(),
        route: Route::default(),
        api_key_env: None,
        headers: BTreeMap::new(),
        model: "m".to_owned(),
        answers_as: Vec::new(),
        options: BTreeMap::new(),
        extra: BTreeMap::new(),
        dialect: Dialect::default(),
        max_tokens: None,
        accept_context_full: false,
        calls: Vec::new(),
        workflow: None,
    };
    Spec {
        protocol: PROTOCOL,
        run: "run".to_owned(),
        artifacts: "/".into(),
        agents: vec![agent],
        tokenize: None,
        timeout_ns: 1,
        read_buffer: None,
        throttle: None,
        connection: Connection::Keep,
        lag_dose: None,
        probes: ProbeSpec::default(),
        variant: BTreeMap::new(),
    }
}

/// Stamps and the agent's times of a capture that was made by hand.
pub struct Clock {
    delays: Delays,
    day_ns: u64,
}

impl Clock {
    /// One for all tests.
    pub fn known() -> &'static Self {
        static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);
        &CLOCK
    }

    fn new() -> Self {
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let arrivals = Arrivals::begin();
        // Pairs that lie close together would tell nothing of times far from them.
        thread::sleep(Duration::from_millis(10));
        let delays = arrivals.end().unwrap();
        Self { delays, day_ns: u64::try_from(day.as_nanos()).unwrap() }
    }

    pub fn stamp_ns(&self, after_ms: u64) -> u64 {
        self.day_ns + after_ms * MS
    }

    pub fn monotonic_ns(&self, after_ms: u64) -> u64 {
        self.delays.monotonic_ns(self.stamp_ns(after_ms))
    }

    /// A call that began, was sent, took its chunks and ended at these times.
    pub fn record(&self, call: u32, began_ms: u64, taken_ms: &[u64], end_ms: u64) -> CallRecord {
        let start_ns = self.monotonic_ns(began_ms);
        CallRecord {
            start_ns,
            local_port: Some(40_000),
            sent_ns: Some(start_ns),
            text_offsets_ns: taken_ms.iter().map(|taken| (taken - began_ms) * MS).collect(),
            end_ns: self.monotonic_ns(end_ms),
            ..blank("a", call)
        }
    }

    pub fn captured(&self, packets: &[Packet]) -> Captured {
        let mut spool = Spool::new(Path::new("/"), 1 << 20);
        for Packet { after_ms, bytes } in packets {
            let (stamp_ns, length) =
                (self.stamp_ns(*after_ms), u32::try_from(bytes.len()).unwrap());
            spool.push(&Spooled { stamp_ns, interface: 1, length, bytes }).unwrap();
        }
        Captured {
            spool,
            watches: vec![Watch { address: None, port: 11434 }],
            clock: Some(self.delays),
            buffer_bytes: 0,
            buffer_is_limited: false,
            dropped: 0,
            unstamped: 0,
            cut: 0,
            interfaces: Vec::new(),
            broken: None,
            cpu_ns: None,
            wall_ns: 0,
        }
    }

    pub fn read(&self, packets: &[Packet], calls: Vec<CallRecord>) -> CallsOnTheWire {
        self.captured(packets).calls(&spec(), &record(calls)).unwrap()
    }

    /// The times of a call's request and chunks, milliseconds.
    pub fn times(&self, found: &CallsOnTheWire, index: usize) -> (u64, Vec<u64>) {
        let ms = |time_ns: u64| {
            let since_ns = time_ns + MS / 2 - self.monotonic_ns(0);
            since_ns / MS
        };
        let call = &found.calls[index];
        (ms(call.request.time_ns), call.chunks.iter().map(|own| ms(own.time_ns)).collect())
    }
}

pub fn record(calls: Vec<CallRecord>) -> AgentRecord {
    AgentRecord {
        protocol: PROTOCOL,
        runtime: RuntimeInfo {
            name: "rust".to_owned(),
            version: String::new(),
            details: BTreeMap::new(),
        },
        clock: ClockPair { monotonic_ns: 0, utc: String::new() },
        calls,
        idle: None,
        probe_cost_ns: BTreeMap::new(),
        stages: Vec::new(),
        tokenize: None,
    }
}
