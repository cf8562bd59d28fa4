//! How much of what was measured was the client's own, by witnesses that are not the client: a packet
//! capture of the runs' connections, and the kernel's receive stamps.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::completeness::fresh;
use super::data::Data;
use super::select::value;
use crate::metrics::ENOUGH_FOR_P99;
use crate::stats::Sample;
use crate::store::record::RunRecord;

/// What witnesses say of the clients, and of themselves.
#[derive(Debug, Default, Serialize)]
pub struct Witness<'a> {
    pub clients: Vec<Client<'a>>,
    pub captures: Option<Captures>,
    /// Runs that ask for a packet capture, and those that have one.
    pub asked: usize,
    pub found: usize,
    /// Runs with calls that do not tell when their requests were sent, as of protocol 1: their time to the
    /// first chunk counts from the call's start.
    pub unsent: usize,
}

/// The probe that disturbs what it watches.
pub(super) const PROFILER: &str = "flamegraph";

/// Runs of one runtime with the same settings, number of streams and throttle.
#[derive(Debug, Serialize)]
pub struct Client<'a> {
    pub runtime: &'a str,
    /// Its settings, read buffer, connections and dose of lag, and the profiler; what is at its default is left out.
    pub settings: BTreeMap<&'a str, &'a Value>,
    pub streams: usize,
    /// Chunks per second; absent without one. Its waits are in the delays of chunks.
    pub throttle: Option<f64>,
    pub runs: usize,
    /// Measured calls that the capture found.
    pub calls: u64,
    /// Of these, mean: as the client saw it, and on the wire.
    pub ttft_ms: Option<f64>,
    pub wire_ttft_ms: Option<f64>,
    /// Their difference, the client's own part, over calls.
    pub own_ttft_ms: Option<Spread>,
    /// Mean of the differences, of the client's mean.
    pub own_ttft_percent: Option<f64>,
    /// From a call's turn until its request was on the wire, over calls.
    pub send_delay_ms: Option<Spread>,
    /// How long text lay in the client: of the middle run the 50th, of the worst the 99th percentile and the
    /// largest.
    pub chunk_delay_ms: Option<Spread>,
    /// How much of a gap was the client's own: of the middle run the 50th, of the worst the 99th percentile.
    pub own_gap_p50_ms: Option<f64>,
    pub own_gap_p99_ms: Option<f64>,
    /// By the kernel's stamps, which need no privilege: as the delays of chunks.
    pub read_delay_ms: Option<Spread>,
}

/// Middle and large values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub p50: f64,
    /// Absent where too few values tell it.
    pub p99: Option<f64>,
    pub max: f64,
}

/// What the captures say of themselves, over all runs.
#[derive(Debug, Default, Serialize)]
pub struct Captures {
    pub runs: usize,
    pub segments: u64,
    pub dropped: u64,
    pub retransmitted: u64,
    pub out_of_order: u64,
    /// Calls with figures, warm-up included, and those among them that were encrypted.
    pub calls: u64,
    pub encrypted: u64,
    /// Calls without figures, by the reason.
    pub without: BTreeMap<String, u64>,
    /// Mean over runs, of one core.
    pub cpu_percent: Option<f64>,
}

/// Of every run that is not stale and has a witness.
pub(super) fn witness(data: &Data) -> Witness<'_> {
    type Key<'a> = (&'a str, String, usize, Option<u64>);
    let mut groups: IndexMap<Key<'_>, Vec<&RunRecord>> = IndexMap::new();
    let mut captures: Option<Captures> = None;
    let mut costs = Vec::new();
    let (mut asked, mut found, mut unsent) = (0, 0, 0);
    for run in data.cells.iter().flat_map(fresh) {
        let asks = run.identity["probes"].get("wire").is_some();
        asked += usize::from(asks);
        found += usize::from(asks && run.wire.is_some());
        let tells = value(run, "send_delay_ms").is_some();
        unsent += usize::from(value(run, "ttft_ms").is_some() && !tells);
        if let Some(summary) = &run.wire {
            let sum = captures.get_or_insert_default();
            sum.runs += 1;
            sum.segments += summary.segments;
            sum.dropped += summary.dropped;
            sum.retransmitted += summary.retransmitted;
            sum.out_of_order += summary.out_of_order;
            sum.calls += summary.calls;
            sum.encrypted += summary.encrypted;
            for (reason, calls) in &summary.without_figures {
                *sum.without.entry(reason.clone()).or_default() += calls;
            }
            costs.extend(summary.cpu_percent);
        }
        let witnessed = ["wire_ttft_ms", "client_send_delay_ms", "read_delay_p50_ms"];
        if witnessed.iter().any(|name| value(run, name).is_some()) {
            let throttle = run.identity["throttle"].as_f64();
            let key = (
                run.evidence.agent.runtime.as_str(),
                serde_json::json!(settings(run)).to_string(),
                streams(run),
                throttle.map(f64::to_bits),
            );
            groups.entry(key).or_default().push(run);
        }
    }
    if let Some(captures) = &mut captures {
        captures.cpu_percent = Sample::new(costs).ok().map(|known| known.mean());
    }
    let clients = groups.into_iter().map(|((runtime, _, streams, throttle), runs)| {
        client(runtime, streams, throttle.map(f64::from_bits), &runs)
    });
    let mut clients: Vec<Client<'_>> = clients.collect();
    clients.sort_by(|a, b| (a.runtime, a.streams).cmp(&(b.runtime, b.streams)));
    Witness { clients, captures, asked, found, unsent }
}

/// What makes a client another one than with other settings.
fn settings(run: &RunRecord) -> BTreeMap<&str, &Value> {
    let variant = run.identity["variant"].as_object().into_iter().flatten();
    let common = ["connection", "read_buffer", "lag_dose"].into_iter();
    let common = common.filter_map(|name| Some((name, run.identity.get(name)?)));
    let profiled = run.identity["probes"].get(PROFILER).map(|probe| (PROFILER, probe));
    variant.map(|(name, value)| (name.as_str(), value)).chain(common).chain(profiled).collect()
}

fn streams(run: &RunRecord) -> usize {
    run.calls.iter().map(|call| call.agent.as_str()).collect::<BTreeSet<_>>().len()
}

fn client<'a>(
    runtime: &'a str,
    streams: usize,
    throttle: Option<f64>,
    runs: &[&'a RunRecord],
) -> Client<'a> {
    let calls = || {
        let all = runs.iter().flat_map(|run| &run.calls);
        all.filter(|call| !call.warmup && call.outcome.counts())
    };
    let of_calls = |name: &'static str| -> Vec<f64> {
        calls().filter_map(|call| *call.metrics.get(name)?).collect()
    };
    // Where the capture found the call, both are of the same calls.
    let both: Vec<(f64, f64)> = calls()
        .filter_map(|call| {
            Some(((*call.metrics.get("ttft_ms")?)?, (*call.metrics.get("wire_ttft_ms")?)?))
        })
        .collect();
    let mean = |values: Vec<f64>| Sample::new(values).ok().map(|known| known.mean());
    let ttft_ms = mean(both.iter().map(|(own, _)| *own).collect());
    let wire_ttft_ms = mean(both.iter().map(|(_, wire)| *wire).collect());
    let own = mean(both.iter().map(|(own, wire)| own - wire).collect());
    Client {
        runtime,
        settings: runs.first().map(|run| settings(run)).unwrap_or_default(),
        streams,
        throttle,
        runs: runs.len(),
        calls: of_calls("client_send_delay_ms").len() as u64,
        own_ttft_percent: own.zip(ttft_ms).map(|(own, ttft)| 100.0 * own / ttft),
        ttft_ms,
        wire_ttft_ms,
        own_ttft_ms: spread(of_calls("wire_ttft_error_ms")),
        send_delay_ms: spread(of_calls("client_send_delay_ms")),
        chunk_delay_ms: of_runs(runs, "client_delay"),
        own_gap_p50_ms: middle(runs, "wire_gap_error_p50_ms"),
        own_gap_p99_ms: worst(runs, "wire_gap_error_p99_ms"),
        read_delay_ms: of_runs(runs, "read_delay"),
    }
}

fn spread(values: Vec<f64>) -> Option<Spread> {
    let enough = values.len() >= ENOUGH_FOR_P99;
    let known = Sample::new(values).ok()?;
    let p99 = enough.then(|| known.percentile(99.0));
    Some(Spread { p50: known.percentile(50.0), p99, max: known.max() })
}

/// Of a quantity that each run has the percentiles of.
fn of_runs(runs: &[&RunRecord], quantity: &str) -> Option<Spread> {
    Some(Spread {
        p50: middle(runs, &format!("{quantity}_p50_ms"))?,
        p99: worst(runs, &format!("{quantity}_p99_ms")),
        max: worst(runs, &format!("{quantity}_max_ms"))?,
    })
}

fn middle(runs: &[&RunRecord], metric: &str) -> Option<f64> {
    let known = runs.iter().filter_map(|run| value(run, metric)).collect();
    Sample::new(known).ok().map(|known| known.median())
}

fn worst(runs: &[&RunRecord], metric: &str) -> Option<f64> {
    runs.iter().filter_map(|run| value(run, metric)).max_by(f64::total_cmp)
}
