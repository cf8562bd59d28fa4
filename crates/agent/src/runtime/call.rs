//! One agent's calls: when each begins, what is sent, what is kept, how it ended.
//!
//! Each call opens a connection of its own unless the spec says otherwise: a kept one may be closed by the
//! server at the moment it is used. Everything that a call needs is made before its clock starts, and that of
//! calls that start together before the first of their clocks. Leaves the answer's chunks to
//! [`super::stream`].

use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use formats::clock;
use formats::protocol::{
    self, AgentSpec, CallRecord, Event, Outcome, ServerCounts, Spec, StageRecord,
};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, TRANSFER_ENCODING, USER_AGENT,
};
use tokio::sync::{Barrier, watch};

use super::access::Access;
use super::judge::{End, Judge};
use super::pieces::Pieces;
use super::stream::stream;
use super::taker::Taker;
use super::variant::Variant;
use super::workflow::Workflow;
use crate::http::{
    Arrival, Buffers, Connection, ConnectionError, DEFAULT_READ_BUFFER, Delays, Target,
    retry_after_s,
};
use crate::output::Events;
use crate::wire::{self, Decoder, Prompt, error_body};

/// Longest body of an error that is read, bytes.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// Room made before a call for its chunks, so that none is made while they come.
const CHUNK_ROOM: usize = 4096;

/// What is the same for all calls of a run.
#[derive(Debug)]
pub(super) struct Settings {
    run: String,
    timeout: Duration,
    read_buffer: usize,
    variant: Variant,
    /// Connections are kept for the next call.
    keep: bool,
    pub(super) throttle: Option<f64>,
    pub(super) chunks: bool,
}

impl Settings {
    pub(super) fn of(spec: &Spec, variant: Variant) -> Self {
        let read_buffer = spec.read_buffer.map(usize::try_from);
        Self {
            run: spec.run.clone(),
            timeout: Duration::from_nanos(spec.timeout_ns),
            read_buffer: read_buffer.and_then(Result::ok).unwrap_or(DEFAULT_READ_BUFFER),
            variant,
            keep: spec.connection == protocol::Connection::Keep,
            throttle: spec.throttle,
            chunks: spec.probes.chunks,
        }
    }
}

/// Everything kept of one call until the window has ended.
#[derive(Debug)]
pub(super) struct CallLog {
    pub(super) record: CallRecord,
    /// The prompt of a workflow's call, as it was sent.
    pub(super) prompt: Option<String>,
    pub(super) text: String,
    pub(super) chunks: Vec<ChunkRow>,
    arrivals: Vec<Arrival>,
}

/// Everything kept of one agent.
#[derive(Debug)]
pub(super) struct AgentLog {
    pub(super) calls: Vec<CallLog>,
    pub(super) stages: Vec<StageRecord>,
}

/// One chunk, as the chunk probe tells of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkRow {
    pub(super) time_ns: u64,
    pub(super) read_ns: u64,
    pub(super) bytes: usize,
    pub(super) parse_ns: u64,
    pub(super) text: bool,
}

/// One agent: makes its calls one after the other.
#[derive(Debug)]
pub(super) struct Caller {
    settings: Arc<Settings>,
    agent: AgentSpec,
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Of the call that is being made, or kept from the last one.
    connection: Option<Connection>,
    /// Of the connection that is opened next.
    buffers: Option<Buffers>,
    /// Of the answer that is being read.
    decoder: Option<Box<dyn Decoder>>,
    events: Events,
}

impl Caller {
    pub(super) fn new(
        settings: Arc<Settings>,
        agent: AgentSpec,
        access: Access,
        events: Events,
    ) -> Self {
        let Access { target, headers } = access;
        Self {
            settings,
            agent,
            target,
            headers,
            connection: None,
            buffers: None,
            decoder: None,
            events,
        }
    }

    /// Makes all calls; waits at `barrier` between warm-up and measured ones.
    pub(super) async fn make_calls(
        mut self,
        barrier: Arc<Barrier>,
        mut cancelled: watch::Receiver<bool>,
    ) -> AgentLog {
        let calls = std::mem::take(&mut self.agent.calls);
        let workflow = self.agent.workflow.take();
        let mut workflow = workflow.map(|spec| Workflow::new(&self.agent.name, spec));
        let warmups = calls.iter().take_while(|call| call.warmup).count();
        let mut logs: Vec<CallLog> = Vec::with_capacity(calls.len());
        for (index, call) in (0..).zip(&calls) {
            let log = CallLog::new(&self.agent.name, index, call.warmup, &self.settings);
            let request = self.request(index, &call.prompt);
            self.make_buffers();
            if index as usize == warmups {
                barrier.wait().await;
            }
            if *cancelled.borrow() {
                continue;
            }
            let former = logs.last().map_or("", |log| log.text.as_str());
            let log = match workflow.as_mut().zip(call.stage) {
                None => self.make(log, request, &mut cancelled).await,
                Some((workflow, stage)) => {
                    let begun = workflow.begin(call, stage, former);
                    // Only now is its prompt known.
                    let request = self.request(index, &begun.prompt);
                    let log = self.make(log, request, &mut cancelled).await;
                    workflow.end(&begun, index, call.warmup, log.record.end_ns);
                    CallLog { prompt: Some(begun.prompt), ..log }
                }
            };
            logs.push(log);
        }
        if warmups == calls.len() {
            // Others may wait for this agent, though it has nothing left to do.
            barrier.wait().await;
        }
        AgentLog { calls: logs, stages: workflow.map(Workflow::into_stages).unwrap_or_default() }
    }

    /// For the connection that is opened next; none is where one was kept.
    fn make_buffers(&mut self) {
        if self.connection.is_none() && self.buffers.is_none() {
            self.buffers = Some(Buffers::new(self.settings.read_buffer));
        }
    }

    async fn make(
        &mut self,
        mut log: CallLog,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
        cancelled: &mut watch::Receiver<bool>,
    ) -> CallLog {
        if self.connection.is_some() {
            // The event loop looks at its sockets once, so that a server's goodbye that came with the end of
            // the last answer, or since, is seen.
            tokio::task::yield_now().await;
        }
        if self.connection.as_mut().is_some_and(|kept| !kept.begin_again()) {
            self.connection = None;
            self.make_buffers();
        }
        let (agent, call, warmup) = (self.agent.name.clone(), log.record.call, log.record.warmup);
        let t_ns = clock::monotonic_ns();
        self.events.send(Event::CallStarted { t_ns, agent: agent.clone(), call, warmup });
        log.record.start_ns = clock::monotonic_ns();
        let limit = self.settings.timeout;
        let end = match request {
            Ok(request) => within(limit, cancelled, self.exchange(request, &mut log)).await,
            Err(error) => End::failed(Outcome::ConnectError, error.to_string()),
        };
        self.finish(&mut log, end);
        let CallRecord { end_ns: t_ns, outcome, ref server, .. } = log.record;
        self.events.send(Event::CallFinished { t_ns, agent, call, outcome, tokens: server.tokens });
        log
    }

    fn request(
        &self,
        index: u32,
        prompt: &str,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let agent = &self.agent;
        let body = Prompt {
            api: agent.api,
            model: &agent.model,
            text: prompt,
            options: &agent.options,
            extra: &agent.extra,
            dialect: agent.dialect,
            max_tokens: agent.max_tokens,
        };
        let id = format!("{}/{}/{index}", self.settings.run, agent.name);
        let mut request = Request::post(self.target.request_target(agent.api))
            .header(HOST, self.target.authority())
            .header(USER_AGENT, concat!("runner/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            // A body that is packed comes in other pieces than it was sent.
            .header(ACCEPT_ENCODING, "identity")
            .header("x-request-id", id);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(body.body())))
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>, log: &mut CallLog) -> End {
        let connection = match &mut self.connection {
            Some(kept) => kept,
            none => {
                let made = || Buffers::new(self.settings.read_buffer);
                let buffers = self.buffers.take().unwrap_or_else(made);
                match Connection::open(&self.target, buffers).await {
                    Ok(opened) => {
                        log.record.connected_ns = Some(opened.connected_ns());
                        none.insert(opened)
                    }
                    Err(error) => return before_answer(&error),
                }
            }
        };
        log.record.local_port = connection.local_port();
        let response = match connection.send(request).await {
            Ok(response) => response,
            Err(error) => return before_answer(&error.into()),
        };
        log.record.sent_ns = connection.meter().last_write_ns();
        if let Some(coding) = other_coding(response.headers()) {
            let message = format!("the answer's transfer-encoding is {coding} and not chunked");
            return End::failed(Outcome::Malformed, message);
        }
        let status = response.status();
        log.record.headers_ns = connection.meter().last_read_ns();
        log.record.http_status = Some(status.as_u16());
        log.record.retry_after_s = retry_after_s(response.headers());
        let headers = response.headers().clone();
        let header = |name: HeaderName| {
            headers.get(name)?.to_str().ok().map(str::trim).filter(|told| !told.is_empty())
        };
        let mut body = response.into_body();
        let packing =
            header(CONTENT_ENCODING).filter(|packing| !packing.eq_ignore_ascii_case("identity"));
        if matches!(status.as_u16(), 301..=303 | 307 | 308) {
            let message = wire::moved(header(LOCATION), self.agent.api.path());
            return End::failed(Outcome::HttpError, message);
        }
        if !status.is_success() {
            let bytes = error_bytes(connection, &mut body).await;
            let message = match packing {
                None => error_body(&bytes).unwrap_or_else(|| format!("HTTP {}", status.as_u16())),
                Some(packing) => {
                    format!("HTTP {}: {}", status.as_u16(), compressed(packing))
                }
            };
            return End::failed(Outcome::HttpError, message);
        }
        if let Some(packing) = packing {
            return End::failed(Outcome::Malformed, compressed(packing));
        }
        let decoder = self.decoder.insert(wire::decoder(self.agent.api, header(CONTENT_TYPE)));
        let mut taker = Taker::new(log, &self.settings, &self.events);
        let mut pieces = Pieces::new(connection, &mut body, self.settings.variant);
        let judge = Judge::new(&self.agent);
        stream(&mut pieces, decoder.as_mut(), &mut taker, &judge).await
    }

    /// Completes the record and closes the connection, unless another call may use it.
    fn finish(&mut self, log: &mut CallLog, end: End) {
        let record = &mut log.record;
        let now_ns = clock::monotonic_ns();
        let mut last_read_ns = None;
        if let Some(connection) = self.connection.take() {
            let meter = connection.meter();
            last_read_ns = meter.last_read_ns();
            record.sent_ns = record.sent_ns.or(meter.last_write_ns());
            record.bytes = meter.bytes();
            record.reads = Some(meter.reads());
            record.largest_read = Some(meter.largest()).filter(|&bytes| bytes > 0);
            log.arrivals = meter.take_arrivals();
            if self.settings.keep && end.outcome.counts() {
                self.connection = Some(connection);
            }
        }
        let whole = end.outcome.is_whole();
        let last_taken_ns = record.text_offsets_ns.last().map(|offset| record.start_ns + offset);
        record.end_ns =
            if whole { last_read_ns.max(last_taken_ns).unwrap_or(now_ns) } else { now_ns };
        record.outcome = end.outcome;
        record.error = end.error;
        if let Some(decoder) = self.decoder.take() {
            let ending = decoder.ending();
            record.finish_reason.clone_from(&ending.finish_reason);
            record.model.clone_from(&ending.model);
            record.server = ending.counts.clone();
        }
    }
}

impl CallLog {
    fn new(agent: &str, call: u32, warmup: bool, settings: &Settings) -> Self {
        let record = CallRecord {
            agent: agent.to_owned(),
            call,
            warmup,
            start_ns: 0,
            connected_ns: None,
            local_port: None,
            sent_ns: None,
            headers_ns: None,
            text_offsets_ns: Vec::with_capacity(CHUNK_ROOM),
            text_bytes: Vec::with_capacity(CHUNK_ROOM),
            end_ns: 0,
            http_status: None,
            retry_after_s: None,
            outcome: Outcome::Cancelled,
            error: None,
            chunks: 0,
            bytes: 0,
            reads: None,
            largest_read: None,
            read_delays_ns: None,
            finish_reason: None,
            model: None,
            server: ServerCounts::default(),
        };
        let chunks = Vec::with_capacity(if settings.chunks { CHUNK_ROOM } else { 0 });
        let text = String::with_capacity(4 * CHUNK_ROOM);
        Self { record, prompt: None, text, chunks, arrivals: Vec::new() }
    }

    /// Reads that the kernel had stamped the bytes of.
    pub(super) fn stamped_reads(&self) -> usize {
        self.arrivals.len()
    }

    /// The record, with how long each read's bytes had lain where `delays` can tell.
    pub(super) fn into_record(mut self, delays: Option<Delays>) -> CallRecord {
        // A read without a stamp, and the list says nothing of any: which one it was is not known.
        let stamped = self.record.reads == Some(self.arrivals.len() as u64);
        if let Some(delays) = delays.filter(|_| stamped && !self.arrivals.is_empty()) {
            let of = |arrival: &Arrival| delays.of(*arrival);
            self.record.read_delays_ns = Some(self.arrivals.iter().map(of).collect());
        }
        self.record
    }
}

/// A connection that broke, or was never made, before the answer began.
fn before_answer(error: &ConnectionError) -> End {
    let outcome = match error {
        ConnectionError::Http(error) if error.is_parse() => Outcome::Malformed,
        _ => Outcome::ConnectError,
    };
    End::failed(outcome, error.to_string())
}

/// What a body is packed in beside its pieces; hyper takes it for one that is not.
fn other_coding(headers: &HeaderMap) -> Option<String> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let all: Vec<_> = codings.by_ref().map(|coding| coding.as_bytes().trim_ascii()).collect();
    let is_chunked = all.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    (!is_chunked || all.len() > 1)
        .then(|| String::from_utf8_lossy(&all.join(&b", "[..])).into_owned())
}

/// What is said of an answer that is packed.
fn compressed(packing: &str) -> String {
    format!(
        "the answer is compressed (content-encoding {packing}), though none was asked for: switch \
         compression off in the server or the proxy before it"
    )
}

/// The body of an error, as far as it came.
async fn error_bytes(connection: &mut Connection, body: &mut Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < ERROR_BODY_LIMIT {
        match connection.next(body).await {
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            Some(Err(_)) | None => break,
        }
    }
    bytes
}

/// Runs a call until its end, its limit or the cancelling of all calls.
///
/// Limit and cancelling are asked first: a stream that always has more to give would otherwise use
/// up the task's budget before them, every time.
async fn within(
    limit: Duration,
    cancelled: &mut watch::Receiver<bool>,
    call: impl Future<Output = End>,
) -> End {
    let mut call = pin!(call);
    let mut limit_reached = pin!(tokio::time::sleep(limit));
    let mut cancelled = pin!(async {
        // A sender that is gone cannot cancel any more.
        if cancelled.wait_for(|&cancelled| cancelled).await.is_err() {
            future::pending::<()>().await;
        }
    });
    future::poll_fn(|cx| {
        if limit_reached.as_mut().poll(cx).is_ready() {
            let reason = format!("no end within {} s", limit.as_secs_f64());
            return Poll::Ready(End::failed(Outcome::Timeout, reason));
        }
        if cancelled.as_mut().poll(cx).is_ready() {
            let reason = "the run was stopped from outside";
            return Poll::Ready(End::failed(Outcome::Cancelled, reason));
        }
        call.as_mut().poll(cx)
    })
    .await
}
