//! Metrics of one call.

use formats::protocol::CallRecord;

use super::errors::CallErrors;
use super::wire::{self, CallWire};
use super::{ms, ms_between, ratio, seconds};
use crate::stats::Sample;
use crate::store::record::Metrics;

/// Every metric of the catalogue that a call has. Computed for calls that failed too, as far as they
/// got; only those whose outcome counts enter the run's.
pub fn metrics(call: &CallRecord, errors: &CallErrors, wire: &CallWire) -> Metrics {
    let server = &call.server;
    let gaps = sample(gaps_ms(call));
    let read_delays = sample(read_delays_ms(call));
    let gap_errors = sample(errors.gap_sizes_ms());
    let e2e = call.end_ns.checked_sub(call.start_ns);
    let span = text_span_ns(call);
    let after_first = server.tokens.filter(|tokens| *tokens >= 2).map(|tokens| (tokens - 1) as f64);
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
        ("tpot_ms", span.zip(after_first).and_then(|(span, n)| ratio(ms(span), n))),
        ("e2e_ms", e2e.map(ms)),
        ("tokens", count(server.tokens)),
        ("chunks", count(Some(call.text_offsets_ns.len() as u64))),
        (
            "tokens_per_chunk",
            count(server.tokens)
                .and_then(|tokens| ratio(tokens, call.text_offsets_ns.len() as f64)),
        ),
        ("prompt_tokens", count(server.prompt_tokens)),
        ("cached_tokens", count(server.cached_tokens)),
        (
            "client_tokens_per_s",
            span.zip(after_first).and_then(|(span, n)| ratio(n, seconds(span))),
        ),
        ("decode_tokens_per_s", decode_tokens_per_s(call)),
        ("prefill_tokens_per_s", prefill_tokens_per_s(call)),
        ("load_ms", server.load_ns.map(ms)),
        ("queue_ms", queue_ms(call)),
        ("client_residue_ms", e2e.zip(server.total_ns).map(|(ours, its)| ms(ours) - ms(its))),
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

/// By the server's clock; of a single token whose time is not counted there is no rate.
fn decode_tokens_per_s(call: &CallRecord) -> Option<f64> {
    let server = &call.server;
    let tokens = server.decode_tokens.or(server.tokens).filter(|tokens| *tokens > 0)?;
    ratio(tokens as f64, seconds(server.decode_ns?))
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

/// From the first to the last chunk with text.
fn text_span_ns(call: &CallRecord) -> Option<u64> {
    let (first, last) = (call.text_offsets_ns.first()?, call.text_offsets_ns.last()?);
    last.checked_sub(*first)
}

/// Cached prompt tokens took no prefill, so they would flatter the rate.
fn prefill_tokens_per_s(call: &CallRecord) -> Option<f64> {
    let server = &call.server;
    let tokens = server.prompt_tokens?.checked_sub(server.cached_tokens.unwrap_or(0))?;
    ratio(tokens as f64, seconds(server.prefill_ns?)).filter(|_| tokens > 0)
}

/// What the server's total leaves after its own stages. Unknown as soon as one of them is.
fn queue_ms(call: &CallRecord) -> Option<f64> {
    let server = &call.server;
    let stages = ms(server.load_ns?) + ms(server.prefill_ns?) + ms(server.decode_ns?);
    Some(ms(server.total_ns?) - stages)
}
