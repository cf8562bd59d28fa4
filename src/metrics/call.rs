//! Metrics of one call.

use formats::protocol::{CallRecord, ServerCounts};

use super::checked::Checked;
use super::errors::CallErrors;
use super::wire::{self, CallWire};
use super::{ms, ms_between, ratio, seconds};
use crate::stats::Sample;
use crate::store::record::Metrics;

/// Every metric of the catalogue that a call has. Computed for calls that failed too, as far as they
/// got; only those whose outcome counts enter the run's.
pub fn metrics(
    call: &CallRecord,
    checked: &Checked,
    errors: &CallErrors,
    wire: &CallWire,
) -> Metrics {
    let Checked { server, tokens, pace, .. } = checked;
    let gaps = sample(gaps_ms(call));
    let read_delays = sample(read_delays_ms(call));
    let gap_errors = sample(errors.gap_sizes_ms());
    let e2e = call.end_ns.checked_sub(call.start_ns);
    let count = |count: Option<u64>| count.map(|count| count as f64);
    let percentile =
        |sample: &Option<Sample>, p| sample.as_ref().map(|sample| sample.percentile(p));

    [
        ("ttft_ms", ttft_ms(call)),
        ("connect_ms", call.connected_ns.map(|connected| ms_between(call.start_ns, connected))),
        ("send_delay_ms", call.sent_ns.map(|sent| ms_between(call.start_ns, sent))),
        ("itl_ms", gaps.as_ref().map(Sample::mean)),
        ("itl_p50_ms", percentile(&gaps, 50.0)),
        ("itl_p95_ms", percentile(&gaps, 95.0)),
        ("itl_p99_ms", percentile(&gaps, 99.0)),
        ("itl_max_ms", gaps.as_ref().map(Sample::max)),
        ("tpot_ms", pace.and_then(|pace| ratio(ms(pace.span_ns), pace.tokens))),
        ("e2e_ms", e2e.map(ms)),
        ("tokens", count(server.tokens)),
        ("made_tokens", count(tokens.made)),
        ("chunks", count(Some(call.text_offsets_ns.len() as u64))),
        (
            "tokens_per_chunk",
            count(server.tokens)
                .and_then(|tokens| ratio(tokens, call.text_offsets_ns.len() as f64)),
        ),
        ("prompt_tokens", count(server.prompt_tokens)),
        ("cached_tokens", count(server.cached_tokens)),
        ("client_tokens_per_s", pace.and_then(|pace| ratio(pace.tokens, seconds(pace.span_ns)))),
        ("decode_tokens_per_s", rate(tokens.decoded, server.decode_ns)),
        ("eval_rate_tokens_per_s", rate(server.tokens, server.decode_ns)),
        ("prefill_tokens_per_s", rate(checked.prefilled, server.prefill_ns)),
        ("decode_ms", server.decode_ns.map(ms)),
        ("prefill_ms", server.prefill_ns.map(ms)),
        ("server_total_ms", server.total_ns.map(ms)),
        ("load_ms", server.load_ns.map(ms)),
        ("queue_ms", queue_ms(server)),
        (
            "client_residue_ms",
            e2e.zip(server.total_ns).and_then(|(ours, its)| ours.checked_sub(its)).map(ms),
        ),
        ("read_delay_p50_ms", percentile(&read_delays, 50.0)),
        ("read_delay_p99_ms", percentile(&read_delays, 99.0)),
        ("read_delay_max_ms", read_delays.as_ref().map(Sample::max)),
        ("ttft_error_ms", errors.ttft_ms.map(f64::abs)),
        ("gap_error_p50_ms", percentile(&gap_errors, 50.0)),
        ("gap_error_p99_ms", percentile(&gap_errors, 99.0)),
        ("gap_error_max_ms", gap_errors.as_ref().map(Sample::max)),
    ]
    .into_iter()
    .chain(wire.figures())
    .chain(wire::of_chunks(std::iter::once(wire)))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// From the moment at which the request was handed to the system. Records of protocol 1 do not tell it:
/// theirs counts from the call's start.
#[must_use]
pub fn ttft_ms(call: &CallRecord) -> Option<f64> {
    let first_ns = call.start_ns.checked_add(*call.text_offsets_ns.first()?)?;
    Some(ms_between(call.sent_ns.unwrap_or(call.start_ns), first_ns))
}

/// How long the bytes of each read had lain in the kernel, at least; milliseconds, empty where the
/// system does not tell.
#[must_use]
pub fn read_delays_ms(call: &CallRecord) -> Vec<f64> {
    call.read_delays_ns.iter().flatten().copied().map(ms).collect()
}

/// Tokens in a second of the server's time.
fn rate(tokens: Option<u64>, time_ns: Option<u64>) -> Option<f64> {
    ratio(tokens.filter(|tokens| *tokens > 0)? as f64, seconds(time_ns?))
}

/// Times between consecutive chunks with text, milliseconds.
#[must_use]
pub fn gaps_ms(call: &CallRecord) -> Vec<f64> {
    call.text_offsets_ns.windows(2).map(|pair| ms_between(pair[0], pair[1])).collect()
}

/// A sample of the values, if there are any.
pub fn sample(values: Vec<f64>) -> Option<Sample> {
    Sample::new(values).ok()
}

/// What the server's total leaves after its own stages. Unknown as soon as one of them is, or they are more.
fn queue_ms(server: &ServerCounts) -> Option<f64> {
    let stages = [server.load_ns?, server.prefill_ns?, server.decode_ns?];
    let stages = stages.into_iter().try_fold(0_u64, u64::checked_add)?;
    server.total_ns?.checked_sub(stages).map(ms)
}
