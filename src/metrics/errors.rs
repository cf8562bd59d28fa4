//! The error of the client's timestamps, against the send times that the paced endpoint logged.
//!
//! Both clocks are the machine's monotonic clock, so the difference is the error of the client plus
//! the time on the loopback; the schedule itself plays no part.

use std::collections::{BTreeMap, HashMap};

use super::call::sample;
use super::ms_between;
use crate::agent::protocol::{AgentRecord, CallRecord};
use crate::simulator::sends::Send;
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
    /// Time and tokens of every send with text, in the order of the sends.
    texts: Vec<(u64, u32)>,
}

impl SendLog {
    pub fn new(sends: &[Send]) -> Self {
        let mut log = Self::default();
        for send in sends {
            let Some(key) = agent_and_call(&send.request) else { continue };
            let entry = log
                .requests
                .entry(key)
                .or_insert_with(|| Some(Request { name: send.request.clone(), texts: Vec::new() }));
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

    fn texts(&self, call: &CallRecord) -> Option<&[(u64, u32)]> {
        let request = self.requests.get(&(call.agent.clone(), call.call))?.as_ref()?;
        Some(&request.texts)
    }
}

/// `<run>/<agent>/<call>`; the run's name may contain anything.
fn agent_and_call(request: &str) -> Option<(String, u32)> {
    let (rest, call) = request.rsplit_once('/')?;
    let (_, agent) = rest.rsplit_once('/')?;
    Some((agent.to_owned(), call.parse().ok()?))
}

/// Absolute errors of one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallErrors {
    /// First chunk with text: taken by the client minus sent by the server.
    pub ttft_ms: Option<f64>,
    /// Client's gap minus server's gap; empty when they cannot be paired.
    pub gaps_ms: Vec<f64>,
}

impl CallErrors {
    pub fn of(call: &CallRecord, log: &SendLog, throttled: bool) -> Self {
        let Some(sent) = log.texts(call) else { return Self::default() };
        let taken = &call.text_offsets_ns;
        let ttft_ms = taken
            .first()
            .zip(sent.first())
            .map(|(offset, sent)| ms_between(sent.0, call.start_ns.saturating_add(*offset)).abs());
        // a chunk lost or joined shifts all later pairs
        let paired = !throttled && taken.len() == sent.len();
        let gaps_ms = taken
            .windows(2)
            .zip(sent.windows(2))
            .filter(|_| paired)
            .map(|(ours, its)| {
                (ms_between(ours[0], ours[1]) - ms_between(its[0].0, its[1].0)).abs()
            })
            .collect();
        Self { ttft_ms, gaps_ms }
    }
}

/// What a run against the paced endpoint says of the instrument: its measured calls' errors.
/// `None` when no call or no gap can be paired with the log. The run must not be throttled.
#[must_use]
pub fn calibration(record: &AgentRecord, sends: &[Send]) -> Option<Calibration> {
    let log = SendLog::new(sends);
    let (mut ttfts, mut gaps, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut agents = Vec::new();
    for call in record.calls.iter().filter(|call| !call.warmup && call.outcome.counts()) {
        if !agents.contains(&&call.agent) {
            agents.push(&call.agent);
        }
        let errors = CallErrors::of(call, &log, false);
        ttfts.extend(errors.ttft_ms);
        gaps.extend(errors.gaps_ms);
        rates.extend(log.texts(call).and_then(sent_rate));
    }
    Some(Calibration {
        runtime: record.runtime.name.clone(),
        settings: BTreeMap::new(),
        streams: u32::try_from(agents.len()).ok()?,
        rate_tok_s: sample(rates)?.median(),
        samples: gaps.len() as u64,
        ttft_error_ms: summary(ttfts)?,
        gap_error_ms: summary(gaps)?,
    })
}

/// Tokens per second that the server really sent, after its first chunk.
fn sent_rate(texts: &[(u64, u32)]) -> Option<f64> {
    let (first, last) = (texts.first()?, texts.last()?);
    let tokens: f64 = texts[1..].iter().map(|(_, tokens)| f64::from(*tokens)).sum();
    super::ratio(tokens, ms_between(first.0, last.0) / 1e3)
}

fn summary(errors: Vec<f64>) -> Option<ErrorSummary> {
    let errors = sample(errors)?;
    Some(ErrorSummary {
        p50: errors.percentile(50.0),
        p99: errors.percentile(99.0),
        max: errors.max(),
    })
}
