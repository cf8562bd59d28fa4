//! A whole run that goes well: events, record, times, answers, chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use formats::endpoint::Api;
use formats::protocol::{
    AgentRecord, CHUNK_COLUMNS, CHUNK_FILE, CallRecord, Event, Outcome, PROTOCOL, RESPONSES_DIR,
};
use formats::sends::Send;

use super::cases::{RUN, TOKENS, agent, pacing, serve, spec, whole_text};
use super::process::{Finished, run};
use super::{ConformanceError, Findings, Verdict, expect};

/// Median delay between a send and the time noted for it beyond which times are not plausible, ms.
const PLAUSIBLE_MS: f64 = 20.0;

/// Names of the agents and their warm-up calls: one is ready before the other.
const AGENTS: [(&str, u32); 2] = [("one", 1), ("two.b-c_d", 2)];
/// Measured calls of each.
const MEASURED: u32 = 2;

/// Agent, number and kind of every call that is asked for.
fn asked() -> impl Iterator<Item = (&'static str, u32, bool)> {
    AGENTS.into_iter().flat_map(|(agent, warmups)| {
        (0..warmups + MEASURED).map(move |call| (agent, call, call < warmups))
    })
}

/// Runs the agents and looks at everything they say and leave.
pub(super) fn check(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let server = serve(pacing(Api::Ollama))?;
    let text = whole_text(&server)?;
    let url = server.base_url();
    let agents = AGENTS.map(|(name, warmups)| agent(name, Api::Ollama, &url, warmups, MEASURED));
    let mut spec = spec(agents.to_vec());
    spec.probes.chunks = true;
    let finished = run(command, spec)?;
    let sends = server.take_sends(RUN);

    process(&finished, findings);
    record(&finished, &sends, &text, findings);
    Ok(())
}

/// What it says, and how it ends.
fn process(finished: &Finished, findings: &mut Findings) {
    findings.add("reads the spec until the end of standard input", whole_spec(finished));
    findings.add("writes only events to standard output", only_events(finished));
    findings.add("says ready first, with its protocol", ready_first(finished));
    findings.add("tells of every call in order", calls_told(finished));
    findings.add("says done last", done_last(finished));
    findings.add("exits with 0 when everything is written", exit_zero(finished));
    findings.add(
        "leaves agent.json",
        finished
            .record
            .as_ref()
            .map(|_| ())
            .map_err(|reason| format!("{reason}; see schemas/agent-record.schema.json")),
    );
}

/// What it leaves.
fn record(finished: &Finished, sends: &[Send], text: &str, findings: &mut Findings) {
    let empty = BTreeMap::new();
    let by_call = finished.record.as_ref().map_or(empty, by_call);
    let with = |verdict: &dyn Fn(&AgentRecord) -> Verdict| {
        finished.record.as_ref().map_err(|_| "there is no agent.json".to_owned()).and_then(verdict)
    };
    findings.add("records every call, warm-up included", with(&|record| all_calls(record)));
    findings.add(
        "names the outcome of whole answers",
        with(&|record| {
            each(record, |call| call.outcome == Outcome::Ok, |call| format!("{:?}", call.outcome))
        }),
    );
    findings.add("sends x-request-id: run/agent/call", request_ids(sends));
    findings.add(
        "keeps the server's token count",
        with(&|record| {
            each(
                record,
                |call| call.server.tokens == Some(u64::from(TOKENS)),
                |call| {
                    format!("server.tokens is {:?}, eval_count was {TOKENS}", call.server.tokens)
                },
            )
        }),
    );
    findings.add(
        "keeps the server's durations, and leaves out what it does not say",
        with(&|record| {
            each(
                record,
                |call| call.server.total_ns.is_some() && call.server.cached_tokens.is_none(),
                |call| format!("server is {:?}", call.server),
            )
        }),
    );
    findings.add(
        "counts chunks, with and without text",
        with(&|record| {
            let chunks = u64::from(TOKENS) + 1;
            each(
                record,
                |call| call.chunks == chunks,
                |call| format!("chunks is {}, the server sent {chunks} lines", call.chunks),
            )
        }),
    );
    findings.add(
        "notes a time for every chunk with text",
        with(&|record| {
            each(
                record,
                |call| call.text_offsets_ns.len() == TOKENS as usize,
                |call| format!("{} times for {TOKENS} chunks", call.text_offsets_ns.len()),
            )
        }),
    );
    findings.add(
        "orders the times of a call",
        with(&|record| {
            each(record, in_order, |_| {
                "not start ≤ connected ≤ sent ≤ headers ≤ first text ≤ … ≤ last text ≤ end"
                    .to_owned()
            })
        }),
    );
    findings.add(
        "takes times from CLOCK_MONOTONIC when a read returns",
        with(&|_| times(&by_call, sends)),
    );
    findings.add(
        "notes when each connection was open and each request was sent",
        with(&|_| requests(&by_call, sends)),
    );
    findings
        .add("starts measured calls after every agent's warm-up", with(&|record| barrier(record)));
    findings.add("runs its agents at the same time", with(&|record| overlap(record)));
    findings.add("writes every answer as it was sent", answers(finished, text));
    findings
        .add("writes chunk_metrics.csv when asked", with(&|record| chunk_table(finished, record)));
}

type ByCall<'a> = BTreeMap<String, &'a CallRecord>;

fn by_call(record: &AgentRecord) -> ByCall<'_> {
    record.calls.iter().map(|call| (format!("{RUN}/{}/{}", call.agent, call.call), call)).collect()
}

fn whole_spec(finished: &Finished) -> Verdict {
    expect(!finished.early, || "it spoke before its spec had ended".to_owned())?;
    expect(finished.events.iter().any(|event| matches!(event, Event::Ready { .. })), || {
        "it was never ready; the spec is JSON over several lines and ends with the input".to_owned()
    })
}

fn only_events(finished: &Finished) -> Verdict {
    match finished.strange.first() {
        None => expect(!finished.events.is_empty(), || "it wrote nothing".to_owned()),
        Some(line) => Err(format!("{line} is no event; write other text to standard error")),
    }
}

fn ready_first(finished: &Finished) -> Verdict {
    match finished.events.first() {
        Some(Event::Ready { protocol: PROTOCOL, .. }) => Ok(()),
        other => Err(format!("the first event is {other:?}")),
    }
}

fn calls_told(finished: &Finished) -> Verdict {
    let mut told: BTreeMap<(&str, u32), Vec<&str>> = BTreeMap::new();
    for event in &finished.events {
        let (agent, call, name) = match event {
            Event::CallStarted { agent, call, .. } => (agent, call, "call_started"),
            Event::FirstToken { agent, call, .. } => (agent, call, "first_token"),
            Event::CallFinished { agent, call, .. } => (agent, call, "call_finished"),
            _ => continue,
        };
        told.entry((agent, *call)).or_default().push(name);
    }
    let calls = asked().count();
    expect(told.len() == calls, || format!("events of {} calls, there were {calls}", told.len()))?;
    match told.iter().find(|(_, names)| **names != ["call_started", "first_token", "call_finished"])
    {
        None => Ok(()),
        Some(((agent, call), names)) => {
            Err(format!("call {call} of {agent:?} is told as {}", names.join(", ")))
        }
    }
}

fn done_last(finished: &Finished) -> Verdict {
    expect(matches!(finished.events.last(), Some(Event::Done { .. })), || {
        format!("the last event is {:?}", finished.events.last())
    })
}

fn exit_zero(finished: &Finished) -> Verdict {
    expect(finished.code == Some(0), || match finished.code {
        Some(code) => format!("it exits with {code}"),
        None => "it was ended by a signal or did not end".to_owned(),
    })
}

fn all_calls(record: &AgentRecord) -> Verdict {
    let found: BTreeSet<_> =
        record.calls.iter().map(|call| (call.agent.as_str(), call.call, call.warmup)).collect();
    let wanted: BTreeSet<_> = asked().collect();
    expect(found == wanted && record.calls.len() == wanted.len(), || {
        format!("(agent, call, warmup) are {found:?}, asked for were {wanted:?}")
    })?;
    expect(record.calls.is_sorted_by_key(|call| call.start_ns), || {
        "the calls are not in the order of their starts".to_owned()
    })
}

/// Every call must hold; the hint tells of the first that does not.
fn each(
    record: &AgentRecord,
    holds: impl Fn(&CallRecord) -> bool,
    seen: impl Fn(&CallRecord) -> String,
) -> Verdict {
    match record.calls.iter().find(|call| !holds(call)) {
        None => Ok(()),
        Some(call) => Err(format!("call {} of {:?}: {}", call.call, call.agent, seen(call))),
    }
}

fn request_ids(sends: &[Send]) -> Verdict {
    let seen: BTreeSet<&str> = sends.iter().map(|send| send.request.as_str()).collect();
    let missing = asked()
        .map(|(agent, call, _)| format!("{RUN}/{agent}/{call}"))
        .find(|id| !seen.contains(id.as_str()));
    missing.map_or(Ok(()), |id| Err(format!("the server saw no request {id:?}")))
}

fn in_order(call: &CallRecord) -> bool {
    let texts: Vec<u64> =
        call.text_offsets_ns.iter().map(|offset| call.start_ns + offset).collect();
    let mut times = vec![call.start_ns];
    times.extend(call.connected_ns);
    times.extend(call.sent_ns);
    times.extend(call.headers_ns);
    times.extend(texts);
    times.push(call.end_ns);
    times.is_sorted()
}

fn times(calls: &ByCall<'_>, sends: &[Send]) -> Verdict {
    let mut delays_ms = Vec::new();
    for (id, call) in calls {
        let texts = sends.iter().filter(|send| send.request == *id && send.tokens > 0);
        for (offset, send) in call.text_offsets_ns.iter().zip(texts) {
            let time_ns = call.start_ns + offset;
            if time_ns < send.time_ns {
                let early = send.time_ns - time_ns;
                return Err(format!("{id}: a chunk was taken {early} ns before it was sent"));
            }
            delays_ms.push((time_ns - send.time_ns) as f64 / 1e6);
        }
    }
    delays_ms.sort_by(f64::total_cmp);
    let median = delays_ms.get(delays_ms.len() / 2).copied();
    let median = median.ok_or_else(|| "no time could be compared with a send".to_owned())?;
    expect(median <= PLAUSIBLE_MS, || {
        format!("times lie {median:.1} ms behind the sends (median); take them before parsing")
    })
}

/// Both are there, and no request was read before it was sent.
fn requests(calls: &ByCall<'_>, sends: &[Send]) -> Verdict {
    for (id, call) in calls {
        let sent_ns = call.sent_ns.ok_or_else(|| format!("{id}: sent_ns is missing"))?;
        expect(call.connected_ns.is_some(), || format!("{id}: connected_ns is missing"))?;
        let send = sends.iter().find(|send| send.request == *id);
        if let Some(read_ns) = send.and_then(|send| send.request_read_ns) {
            expect(sent_ns <= read_ns, || {
                let late = sent_ns - read_ns;
                format!(
                    "{id}: sent_ns lies {late} ns after the server had read the request; take it \
                     right before the write that hands over the last byte"
                )
            })?;
        }
    }
    Ok(())
}

fn barrier(record: &AgentRecord) -> Verdict {
    let ended = record.calls.iter().filter(|call| call.warmup).map(|call| call.end_ns).max();
    let began = record.calls.iter().filter(|call| !call.warmup).map(|call| call.start_ns).min();
    expect(ended.is_some() && ended <= began, || {
        "a measured call began while another agent was still warming up".to_owned()
    })
}

fn overlap(record: &AgentRecord) -> Verdict {
    let first = |(agent, warmups): (&str, u32)| {
        record.calls.iter().find(|call| call.agent == agent && call.call == warmups)
    };
    let (Some(one), Some(two)) = (first(AGENTS[0]), first(AGENTS[1])) else {
        return Err("the measured calls are missing".to_owned());
    };
    expect(one.start_ns < two.end_ns && two.start_ns < one.end_ns, || {
        "the second agent began after the first had ended".to_owned()
    })
}

fn answers(finished: &Finished, text: &str) -> Verdict {
    for (agent, call, _) in asked() {
        let name = format!("{RESPONSES_DIR}/{agent}-{call}.txt");
        let found = fs::read(finished.folder.path().join(&name))
            .map_err(|error| format!("{name}: {error}"))?;
        expect(found == text.as_bytes(), || {
            format!("{name} has {} bytes and differs from the text sent", found.len())
        })?;
    }
    Ok(())
}

fn chunk_table(finished: &Finished, record: &AgentRecord) -> Verdict {
    let path = finished.folder.path().join(CHUNK_FILE);
    let mut reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    let header = reader.headers().map_err(|error| error.to_string())?;
    expect(header == CHUNK_COLUMNS[..], || format!("its header is {header:?}"))?;
    let mut rows: BTreeMap<(String, u32), Vec<ChunkRow>> = BTreeMap::new();
    for row in reader.deserialize::<ChunkRow>() {
        let row = row.map_err(|error| error.to_string())?;
        rows.entry((row.agent.clone(), row.call)).or_default().push(row);
    }
    for call in &record.calls {
        let name = format!("call {} of {:?}", call.call, call.agent);
        let rows = rows.remove(&(call.agent.clone(), call.call)).unwrap_or_default();
        expect(rows.len() as u64 == call.chunks, || {
            format!("{name}: {} rows for {} chunks", rows.len(), call.chunks)
        })?;
        expect((0..).zip(&rows).all(|(index, row)| row.index == index), || {
            format!("{name}: index does not count from 0")
        })?;
        let taken = rows.iter().filter(|row| row.text == 1).map(|row| row.time_ns);
        let noted = call.text_offsets_ns.iter().map(|offset| call.start_ns + offset);
        expect(taken.eq(noted), || {
            format!("{name}: time_ns of rows with text differs from text_offsets_ns")
        })?;
        expect(rows.iter().all(|row| row.read_ns <= row.time_ns && row.bytes > 0), || {
            format!("{name}: read_ns after time_ns, or no bytes")
        })?;
        let gaps = rows.iter().skip(1).all(|row| row.gap_ms.is_some());
        expect(gaps && rows.first().is_none_or(|row| row.gap_ms.is_none()), || {
            format!("{name}: gap_ms is empty for the first chunk only")
        })?;
        expect(rows.iter().all(|row| row.parse_ms >= 0.0), || format!("{name}: parse_ms"))?;
    }
    Ok(())
}

/// A row of the chunk probe.
#[derive(Debug, serde::Deserialize)]
struct ChunkRow {
    time_ns: u64,
    read_ns: u64,
    agent: String,
    call: u32,
    index: u64,
    bytes: u64,
    gap_ms: Option<f64>,
    parse_ms: f64,
    text: u8,
}
