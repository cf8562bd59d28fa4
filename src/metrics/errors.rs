//! The error of the client's timestamps, against the send times that the paced endpoint logged.
//!
//! Both clocks are the machine's monotonic clock, so the difference is the error of the client plus
//! the time on the loopback; the schedule itself plays no part.

use std::collections::{BTreeMap, HashMap};

use formats::protocol::{AgentRecord, CallRecord};
use formats::sends::Send;

use super::call::sample;
use super::ms_between;
use crate::store::record::{Calibration, ErrorSummary};

/// Send times of chunks with text, by agent and call.
#[derive(Debug, Default)]
pub struct SendLog {
    /// `None`: two requests had this agent and call, so none can be matched.
    requests: HashMap<(String, u32), Option<Request>>,
}

#[derive(Debug)]
struct Request {
    name: String,
    /// When the kernel had received it, or else when it had been read; absent in logs of earlier versions.
    arrived_ns: Option<u64>,
    /// Time and tokens of every send with text, in the order of the sends.
    texts: Vec<(u64, u32)>,
}

impl SendLog {
    pub fn new(sends: &[Send]) -> Self {
        let mut log = Self::default();
        for send in sends {
            let Some(key) = agent_and_call(&send.request) else { continue };
            let entry = log.requests.entry(key).or_insert_with(|| {
                let arrived_ns = send.request_arrived_ns.or(send.request_read_ns);
                Some(Request { name: send.request.clone(), arrived_ns, texts: Vec::new() })
            });
            match entry {
                Some(request) if request.name == send.request => {
                    if send.tokens > 0 {
                        request.texts.push((send.time_ns, send.tokens));
                    }
                }
                _ => *entry = None,
            }
        }
        log
    }

    fn request(&self, call: &CallRecord) -> Option<&Request> {
        self.requests.get(&(call.agent.clone(), call.call))?.as_ref()
    }

    fn texts(&self, call: &CallRecord) -> Option<&[(u64, u32)]> {
        Some(&self.request(call)?.texts)
    }
}

/// `<run>/<agent>/<call>`; the run's name may contain anything.
fn agent_and_call(request: &str) -> Option<(String, u32)> {
    let (rest, call) = request.rsplit_once('/')?;
    let (_, agent) = rest.rsplit_once('/')?;
    Some((agent.to_owned(), call.parse().ok()?))
}

/// Errors of one call with their signs: above 0 where the client's is longer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallErrors {
    /// The client's time to the first chunk minus the server's, each from the request: as the client
    /// sent it, as it had come to the server. Where a log or a record does not tell the one or the other:
    /// taken by the client minus sent by the server.
    pub ttft_ms: Option<f64>,
    /// Client's gap minus server's gap; empty when they cannot be paired.
    pub gaps_ms: Vec<f64>,
}

impl CallErrors {
    /// Sizes of the gaps' errors.
    pub fn gap_sizes_ms(&self) -> Vec<f64> {
        self.gaps_ms.iter().map(|error| error.abs()).collect()
    }

    pub fn of(call: &CallRecord, log: &SendLog, throttled: bool) -> Self {
        let Some(request) = log.request(call) else { return Self::default() };
        let sent = &request.texts;
        let taken = &call.text_offsets_ns;
        let way = request.arrived_ns.zip(call.sent_ns);
        let way_ms = way.map_or(0.0, |(arrived_ns, sent_ns)| ms_between(sent_ns, arrived_ns));
        let ttft_ms = taken.first().zip(sent.first()).map(|(offset, sent)| {
            ms_between(sent.0, call.start_ns.saturating_add(*offset)) + way_ms
        });
        // a chunk lost or joined shifts all later pairs
        let paired = !throttled && taken.len() == sent.len();
        let gaps_ms = taken
            .windows(2)
            .zip(sent.windows(2))
            .filter(|_| paired)
            .map(|(ours, its)| ms_between(ours[0], ours[1]) - ms_between(its[0].0, its[1].0))
            .collect();
        Self { ttft_ms, gaps_ms }
    }
}

/// What a run against the paced endpoint says of the instrument: its measured calls' errors.
/// `None` when no call or no gap can be paired with the log. The run must not be throttled.
#[must_use]
pub fn calibration(record: &AgentRecord, sends: &[Send]) -> Option<Calibration> {
    let log = SendLog::new(sends);
    let of = |call: &CallRecord| CallErrors::of(call, &log, false);
    summed_up(record, &log, &record.calls.iter().map(of).collect::<Vec<_>>())
}

/// As [`calibration`], from the errors of all calls in the order of the record.
pub fn summed_up(
    record: &AgentRecord,
    log: &SendLog,
    errors: &[CallErrors],
) -> Option<Calibration> {
    let (mut ttfts, mut gaps, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut agents = Vec::new();
    let calls = record.calls.iter().zip(errors);
    for (call, errors) in calls.filter(|(call, _)| !call.warmup && call.outcome.counts()) {
        if !agents.contains(&&call.agent) {
            agents.push(&call.agent);
        }
        ttfts.extend(errors.ttft_ms);
        gaps.extend(&errors.gaps_ms);
        rates.extend(log.texts(call).and_then(sent_rate));
    }
    Some(Calibration {
        runtime: record.runtime.name.clone(),
        settings: BTreeMap::new(),
        apis: Vec::new(),
        streams: u32::try_from(agents.len()).ok()?,
        rate_tok_s: sample(rates)?.median(),
        calls: Some(ttfts.len() as u64),
        samples: gaps.len() as u64,
        ttft_error_ms: summary(&ttfts)?,
        gap_error_ms: summary(&gaps)?,
        own: false,
    })
}

/// Tokens per second that the server really sent, after its first chunk.
fn sent_rate(texts: &[(u64, u32)]) -> Option<f64> {
    let (first, last) = (texts.first()?, texts.last()?);
    let tokens: f64 = texts[1..].iter().map(|(_, tokens)| f64::from(*tokens)).sum();
    super::ratio(tokens, ms_between(first.0, last.0) / 1e3)
}

/// Fewest errors of which a 99th percentile says anything.
pub const ENOUGH_FOR_P99: usize = 100;

fn summary(errors: &[f64]) -> Option<ErrorSummary> {
    let mean = sample(errors.to_vec())?.mean().abs();
    let sizes = sample(errors.iter().map(|error| error.abs()).collect())?;
    Some(ErrorSummary {
        mean: Some(mean),
        p50: sizes.percentile(50.0),
        p99: (errors.len() >= ENOUGH_FOR_P99).then(|| sizes.percentile(99.0)),
        max: sizes.max(),
    })
}
