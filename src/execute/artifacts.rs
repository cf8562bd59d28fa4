//! The contract of an agent's artifacts: what must lie in the folder for the run to count.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use formats::clock;
use formats::protocol::{
    AgentRecord, CHUNK_COLUMNS, CHUNK_FILE, CallRecord, LOOP_LAG_COLUMNS, LOOP_LAG_FILE, Outcome,
    PROTOCOL, RECORD_FILE, RESPONSES_DIR, Spec, Window, are_loop_lag_columns,
};

use super::fault::{ArtifactFault, AttemptFault};
use crate::metrics::lag::{self, LoopSamples};
use crate::metrics::{self, LagSample};
use crate::os::files;
use crate::store::failed::CallOutcome;

/// Reads the record and checks everything that was asked for; `began_ns`: before the process was started. A call that does not count is a fault
/// of its own, the worst one is named.
pub fn check(folder: &Path, spec: &Spec, began_ns: u64) -> Result<AgentRecord, AttemptFault> {
    let record = read(folder)?;
    record.calls.iter().try_for_each(|call| possible(call, began_ns))?;
    let failed = record.calls.iter().filter(|call| !call.outcome.counts());
    if let Some(call) = failed.max_by_key(|call| call.outcome) {
        return Err(AttemptFault::Call {
            agent: call.agent.clone(),
            call: call.call,
            warmup: call.warmup,
            outcome: call.outcome,
            status: call.http_status.filter(|status| *status >= 300),
            error: call.error.clone(),
        });
    }
    calls(&record, spec)?;
    responses(folder, &record)?;
    if spec.probes.chunks {
        chunks(folder, &record)?;
    }
    if let Some(length_ns) = spec.probes.idle_ns {
        idle(&record, length_ns)?;
    }
    if let Some(sleep_ns) = spec.probes.loop_lag_ns {
        loop_lag(folder, &record, spec, Duration::from_nanos(sleep_ns))?;
    }
    Ok(record)
}

/// What an attempt that failed left of its calls, as far as its folder tells.
#[must_use]
pub fn left_calls(folder: &Path) -> Vec<CallRecord> {
    read(folder).map(|record| record.calls).unwrap_or_default()
}

/// How the calls ended.
#[must_use]
pub fn outcomes(calls: &[CallRecord]) -> Vec<CallOutcome> {
    calls
        .iter()
        .cloned()
        .map(|call| CallOutcome {
            agent: call.agent,
            call: call.call,
            warmup: call.warmup,
            outcome: call.outcome,
            error: call.error,
            finish_reason: call.finish_reason,
            http_status: call.http_status,
        })
        .collect()
}

/// The last error that a server answered a call with, and its HTTP status where that was an error.
#[must_use]
pub fn server_error(calls: &[CallRecord]) -> Option<(String, Option<u16>)> {
    let refused = |outcome| matches!(outcome, Outcome::HttpError | Outcome::InBandError);
    let call = calls.iter().rev().find(|call| refused(call.outcome))?;
    Some((call.error.clone()?, call.http_status.filter(|status| *status >= 400)))
}

pub(super) fn read(folder: &Path) -> Result<AgentRecord, ArtifactFault> {
    let unreadable =
        |reason: String| ArtifactFault::Unreadable { path: RECORD_FILE.into(), reason };
    let record = metrics::read_record(&folder.join(RECORD_FILE))
        .map_err(|error| unreadable(error.reason))?;
    if record.protocol != PROTOCOL {
        return Err(unreadable(format!("its protocol is {}, not {PROTOCOL}", record.protocol)));
    }
    Ok(record)
}

/// Largest count or duration that a record can hold: a larger one is unknown to a runtime that keeps to the
/// protocol.
const MOST: u64 = 1 << 53;

/// Whether anything that happened can have left this record of a call.
fn possible(call: &CallRecord, began_ns: u64) -> Result<(), ArtifactFault> {
    let fault = |reason: String| {
        let (agent, call) = (call.agent.clone(), call.call);
        Err(ArtifactFault::Impossible { file: RECORD_FILE, agent, call, reason })
    };
    if call.end_ns < call.start_ns {
        return fault(format!(
            "its end_ns {} lies before its start_ns {}",
            call.end_ns, call.start_ns
        ));
    }
    if call.start_ns < began_ns {
        let start_ns = call.start_ns;
        return fault(format!(
            "its start_ns {start_ns} lies before the run, which began at {began_ns}"
        ));
    }
    let now_ns = clock::monotonic_ns();
    if call.end_ns > now_ns {
        return fault(format!("its end_ns {} lies ahead, it is {now_ns} now", call.end_ns));
    }
    let moments = [
        ("connected_ns", call.connected_ns),
        ("sent_ns", call.sent_ns),
        ("headers_ns", call.headers_ns),
    ];
    for (name, moment) in moments {
        if let Some(moment) = moment
            && !(call.start_ns..=call.end_ns).contains(&moment)
        {
            return fault(format!("its {name} {moment} lies outside of the call"));
        }
    }
    if call.connected_ns.zip(call.sent_ns).is_some_and(|(connected, sent)| connected > sent) {
        return fault("its request was sent before it was connected".to_owned());
    }
    if !call.text_offsets_ns.is_sorted() {
        return fault("its text_offsets_ns are not in order".to_owned());
    }
    if let Some(last) = call.text_offsets_ns.last()
        && *last > call.end_ns - call.start_ns
    {
        return fault(format!(
            "its last chunk with text, {last} ns after its start, came after its end"
        ));
    }
    let texts = call.text_offsets_ns.len();
    if !call.text_bytes.is_empty() && call.text_bytes.len() != texts {
        let lengths = call.text_bytes.len();
        return fault(format!("it has {lengths} text_bytes for {texts} chunks with text"));
    }
    if (texts as u64) > call.chunks {
        return fault(format!("it has {texts} chunks with text among {} chunks", call.chunks));
    }
    let server = &call.server;
    for (name, figure) in [
        ("total_ns", server.total_ns),
        ("load_ns", server.load_ns),
        ("prompt_tokens", server.prompt_tokens),
        ("prefill_ns", server.prefill_ns),
        ("tokens", server.tokens),
        ("decode_ns", server.decode_ns),
        ("decode_tokens", server.decode_tokens),
        ("cached_tokens", server.cached_tokens),
    ] {
        if let Some(figure) = figure.filter(|figure| *figure > MOST) {
            return fault(format!(
                "its server.{name} of {figure} is beyond 2^53, which is unknown"
            ));
        }
    }
    let counts = [Some(call.chunks), Some(call.bytes), call.reads, call.largest_read];
    if let Some(largest) = counts.into_iter().flatten().find(|own| *own > MOST) {
        return fault(format!("it counts {largest} chunks, bytes or reads, more than 2^53"));
    }
    Ok(())
}

/// Every call exactly once, as warm-up or not as asked.
fn calls(record: &AgentRecord, spec: &Spec) -> Result<(), ArtifactFault> {
    let mut wanted: BTreeMap<(&str, u32), bool> = spec
        .agents
        .iter()
        .flat_map(|agent| {
            (0..).zip(&agent.calls).map(|(index, call)| ((agent.name.as_str(), index), call.warmup))
        })
        .collect();
    for call in &record.calls {
        if wanted.remove(&(call.agent.as_str(), call.call)) != Some(call.warmup) {
            let (agent, call) = (call.agent.clone(), call.call);
            return Err(ArtifactFault::ForeignCall { file: RECORD_FILE, agent, call });
        }
    }
    match wanted.into_keys().next() {
        None => Ok(()),
        Some((agent, call)) => {
            Err(ArtifactFault::MissingCall { file: RECORD_FILE, agent: agent.to_owned(), call })
        }
    }
}

fn responses(folder: &Path, record: &AgentRecord) -> Result<(), ArtifactFault> {
    for call in &record.calls {
        let path = Path::new(RESPONSES_DIR).join(format!("{}-{}.txt", call.agent, call.call));
        if !folder.join(&path).is_file() {
            let (agent, call) = (call.agent.clone(), call.call);
            return Err(ArtifactFault::MissingResponse { path, agent, call });
        }
    }
    Ok(())
}

/// One row per chunk: a header alone is a probe that measured nothing.
fn chunks(folder: &Path, record: &AgentRecord) -> Result<(), ArtifactFault> {
    let unreadable = |error: csv::Error| ArtifactFault::Unreadable {
        path: CHUNK_FILE.into(),
        reason: error.to_string(),
    };
    let mut reader = csv::Reader::from_reader(
        files::open(&folder.join(CHUNK_FILE)).map_err(|error| unreadable(error.into()))?,
    );
    header(CHUNK_FILE, reader.headers().map_err(unreadable)?, &CHUNK_COLUMNS)?;
    let mut found = 0;
    let mut row = csv::ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(unreadable)? {
        found += 1;
    }
    let expected = record.calls.iter().map(|call| call.chunks).sum();
    if found == expected {
        Ok(())
    } else {
        Err(ArtifactFault::Rows { file: CHUNK_FILE, found, expected })
    }
}

pub(super) fn header(
    file: &'static str,
    found: &csv::StringRecord,
    expected: &[&str],
) -> Result<(), ArtifactFault> {
    if found == expected {
        return Ok(());
    }
    let found = found.iter().collect::<Vec<_>>().join(",");
    Err(ArtifactFault::Header { file, found, expected: expected.join(",") })
}

/// The control is there, about as long as asked for, and before the first call.
fn idle(record: &AgentRecord, length_ns: u64) -> Result<(), ArtifactFault> {
    let fault = |reason: &str| Err(ArtifactFault::Idle { reason: reason.to_owned() });
    let Some(window) = record.idle else {
        return fault("it is not recorded");
    };
    let found_ns = window.end_ns.saturating_sub(window.start_ns);
    if found_ns < length_ns / 10 * 9 {
        return fault(&format!("it took {found_ns} ns of {length_ns} ns"));
    }
    if record.calls.iter().any(|call| call.start_ns < window.end_ns) {
        return fault("a call began before its end");
    }
    Ok(())
}

/// Wake-ups that a probe may lose: one in ten must be there of those that its sleep and its own lags
/// leave time for. A loop that is held up makes few, and says so by their lags.
const LOST: f64 = 10.0;

/// The probe ran through the idle control and every call, on every loop.
fn loop_lag(
    folder: &Path,
    record: &AgentRecord,
    spec: &Spec,
    sleep: Duration,
) -> Result<(), ArtifactFault> {
    let file = LOOP_LAG_FILE;
    let path = folder.join(file);
    let unreadable = |reason: String| ArtifactFault::Unreadable { path: file.into(), reason };
    let mut reader = csv::Reader::from_reader(
        files::open(&path).map_err(|error| unreadable(error.to_string()))?,
    );
    let columns = reader.headers().map_err(|error| unreadable(error.to_string()))?;
    if !are_loop_lag_columns(columns) {
        header(file, columns, &LOOP_LAG_COLUMNS)?;
    }
    let by_agent = columns.len() > LOOP_LAG_COLUMNS.len();
    let samples = reader
        .deserialize()
        .collect::<Result<Vec<LagSample>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if samples.iter().any(|sample| !sample.lag_ms.is_finite() || sample.lag_ms < 0.0) {
        return Err(unreadable("a lag is negative or no number".to_owned()));
    }
    if !samples.is_sorted_by_key(|sample| sample.time_ns) {
        return Err(unreadable("its times are not in order".to_owned()));
    }
    let loops = lag::loops(&samples);
    let expected: Vec<Option<&str>> = if by_agent {
        spec.agents.iter().map(|agent| Some(agent.name.as_str())).collect()
    } else {
        vec![None]
    };
    if let Some(own) = loops.iter().find(|own| !expected.contains(&own.agent)) {
        let name = own.agent.unwrap_or_default();
        return Err(unreadable(format!("its loop {name:?} is no agent of the run")));
    }
    // A loop whose probe never woke has no row to be found by.
    expected.into_iter().try_for_each(|agent| {
        let silent = LoopSamples { agent, samples: Vec::new() };
        let own = loops.iter().find(|own| own.agent == agent).unwrap_or(&silent);
        loop_was_probed(own, record, sleep)
    })
}

fn loop_was_probed(
    own: &LoopSamples<'_>,
    record: &AgentRecord,
    sleep: Duration,
) -> Result<(), ArtifactFault> {
    let calls = record.calls.iter().filter(|call| own.serves(&call.agent));
    let calls = calls.map(|call| (call.start_ns, call.end_ns));
    let spans = calls.chain(record.idle.map(|idle| (idle.start_ns, idle.end_ns)));
    let (start_ns, end_ns) =
        spans.fold((u64::MAX, 0), |(start, end), span| (start.min(span.0), end.max(span.1)));
    let found = own.samples.iter().filter(|s| (start_ns..=end_ns).contains(&s.time_ns)).count();
    // A lag may begin before the first call, and end after the last.
    let window = Window { start_ns, end_ns };
    let held_up_ms: f64 = own.samples.iter().map(|sample| sample.within_ms(window)).sum();
    let left_ms = end_ns.saturating_sub(start_ns) as f64 / 1e6 - held_up_ms;
    let sleep_ms = sleep.as_secs_f64() * 1e3;
    // A window shorter than the sleep may hold no wake-up; the probe is never silent.
    let least = (left_ms / (LOST * sleep_ms)).floor();
    if own.samples.is_empty() || (found as f64) < least {
        let of_loop = own.agent.map(str::to_owned);
        return Err(ArtifactFault::Samples {
            file: LOOP_LAG_FILE,
            of_loop,
            found,
            least,
            sleep_ms,
        });
    }
    Ok(())
}
