//! Instruments in the process: the idle control and the loop-lag probe, and the lag that is given on
//! purpose.

use formats::endpoint::Api;
use formats::protocol::{
    AgentRecord, Event, LOOP_LAG_FILE, LagDose, Spec, Window, are_loop_lag_columns,
};
use serde::Deserialize;

use super::cases::{agent, pacing, serve, spec};
use super::process::{Finished, run};
use super::{ConformanceError, Findings, Verdict, expect};
use crate::manifest::study::Pacing;

/// Length of the idle control.
const IDLE_NS: u64 = 100_000_000;
const SLEEP_NS: u64 = 1_000_000;
/// The idle control and one call take more than 200 sleeps; a machine that is busy loses many.
const LEAST_ROWS: usize = 10;

/// Six periods long, a chunk every 5 ms.
const DOSED_TOKENS: u32 = 120;
const DOSE: LagDose = LagDose { busy_ns: 40_000_000, every_ns: LagDose::EVERY_NS };
/// Gaps of this length are a busy wait's: it may begin between two chunks, or before the first.
const HELD_NS: u64 = 24_000_000;
const LEAST_HELD: usize = 3;

pub(super) fn check(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let server = serve(pacing(Api::Ollama))?;
    let one_call = || -> Spec {
        let mut spec = spec(vec![agent("one", Api::Ollama, &server.base_url(), 0, 1)]);
        spec.probes.idle_ns = Some(IDLE_NS);
        spec
    };
    let finished = run(command, one_call())?;
    findings.add("waits for the idle control before its first call", idle(&finished));
    let mut probed = one_call();
    probed.probes.loop_lag_ns = Some(SLEEP_NS);
    let finished = run(command, probed)?;
    findings.add("writes loop_lag.csv when asked, or refuses", loop_lag(&finished));
    doses(command, findings)
}

/// Lag that is given on purpose, which a runtime may lack if it says so.
fn doses(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let requirement = "holds up its event loop when asked";
    let server = serve(Pacing { tokens: Some(DOSED_TOKENS), ..pacing(Api::Ollama) })?;
    let mut dosed = spec(vec![agent("one", Api::Ollama, &server.base_url(), 0, 1)]);
    dosed.lag_dose = Some(DOSE);
    let finished = run(command, dosed)?;
    match finished.refusal().filter(|message| message.contains("lag_dose")) {
        Some(message) => findings.add_unsupported(requirement, format!("it says: {message}")),
        None => findings.add(requirement, held(&finished)),
    }
    Ok(())
}

fn held(finished: &Finished) -> Verdict {
    let record = record(finished)?;
    let calls = record.calls.iter();
    let held = calls
        .flat_map(|call| call.text_offsets_ns.windows(2))
        .filter(|pair| pair[1].saturating_sub(pair[0]) >= HELD_NS)
        .count();
    expect(held >= LEAST_HELD, || {
        format!(
            "{held} gaps of its chunks are longer than 24 ms, though its lag_dose has the loop busy for \
             40 ms once in each 100 ms: a runtime that cannot says an error that names lag_dose"
        )
    })
}

fn record(finished: &Finished) -> Result<&AgentRecord, String> {
    finished.record.as_ref().map_err(|reason| format!("no agent.json: {reason}"))
}

fn idle(finished: &Finished) -> Verdict {
    let record = record(finished)?;
    let Some(Window { start_ns, end_ns }) = record.idle else {
        return Err("agent.json has no idle".to_owned());
    };
    let length_ns = end_ns.saturating_sub(start_ns);
    expect(length_ns >= IDLE_NS / 10 * 9, || {
        format!("idle took {length_ns} ns, idle_ns was {IDLE_NS}")
    })?;
    expect(record.calls.iter().all(|call| call.start_ns >= end_ns), || {
        "a call began before the end of idle".to_owned()
    })
}

/// A row of the probe's file.
#[derive(Deserialize)]
struct WakeUp {
    time_ns: u64,
    lag_ms: f64,
    #[serde(rename = "loop", default)]
    own_loop: Option<String>,
}

fn loop_lag(finished: &Finished) -> Verdict {
    let error = finished.events.iter().any(|event| matches!(event, Event::Error { .. }));
    if error && finished.code.is_some_and(|code| code != 0) {
        return Ok(());
    }
    let record = record(finished)?;
    let path = finished.folder.path().join(LOOP_LAG_FILE);
    let mut reader = csv::Reader::from_path(path).map_err(|error| {
        format!("{error}; a runtime without such a probe says error and does not exit with 0")
    })?;
    let header = reader.headers().map_err(|error| error.to_string())?;
    expect(are_loop_lag_columns(header), || format!("its header is {header:?}"))?;
    let rows = reader.deserialize().collect::<Result<Vec<WakeUp>, _>>();
    let rows = rows.map_err(|error| error.to_string())?;
    let agent = record.calls.first().map(|call| &call.agent);
    expect(
        rows.iter().all(|row| row.own_loop.is_none() || row.own_loop.as_ref() == agent),
        || "its column loop names something else than the agent whose loop it is".to_owned(),
    )?;
    expect(rows.len() >= LEAST_ROWS, || format!("it has {} rows", rows.len()))?;
    expect(rows.is_sorted_by_key(|row| row.time_ns), || "its times are not in order".to_owned())?;
    expect(rows.iter().all(|row| row.lag_ms >= 0.0), || {
        "a lag is negative: it is how much later than asked the task woke".to_owned()
    })?;
    let during = |span: Option<(u64, u64)>| {
        span.is_some_and(|(start_ns, end_ns)| {
            rows.iter().any(|row| (start_ns..=end_ns).contains(&row.time_ns))
        })
    };
    expect(during(record.idle.map(|idle| (idle.start_ns, idle.end_ns))), || {
        "no row falls into idle".to_owned()
    })?;
    expect(during(record.calls.first().map(|call| (call.start_ns, call.end_ns))), || {
        "no row falls into the call".to_owned()
    })
}
