//! What the wire tells of calls: how much of each time was the client's own.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use formats::protocol::{AgentRecord, CallRecord};

use super::call::{gaps_ms, sample, ttft_ms};
use super::{MetricsError, ms_between};
use crate::probe::wire::{self, CallOnTheWire};
use crate::stats::Sample;

/// The wire's view of one call, beside the client's; all unknown of a call that was not found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallWire {
    figures: Option<Figures>,
    /// The client's time to the first chunk minus the wire's.
    ttft_error_ms: Option<f64>,
    /// Client's gap minus wire's gap, of each pair of chunks.
    gap_errors_ms: Vec<f64>,
}

/// The figures of one call, milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the unit is part of each name")]
struct Figures {
    /// From the request's last byte to the arrival of the first chunk with text: the server's and the
    /// network's time, without the client's. Unknown without text, and of encrypted calls.
    wire_ttft_ms: Option<f64>,
    /// From the call's start to the request's last byte on the wire, the connection's opening included.
    client_send_delay_ms: f64,
    /// From the arrival of each chunk with text until the agent took it, in order; none of encrypted
    /// calls. As far as clocks can be compared: a value may be a few microseconds below 0.
    client_delay_ms: Vec<f64>,
}

/// The figures of a call and what the wire showed of it.
fn figures(record: &CallRecord, wire: &CallOnTheWire) -> Figures {
    let request_ns = wire.request.time_ns;
    let taken = record.text_offsets_ns.iter().map(|offset| record.start_ns.saturating_add(*offset));
    let arrived = wire.chunks.iter().map(|chunk| chunk.time_ns);
    Figures {
        wire_ttft_ms: wire.chunks.first().map(|first| ms_between(request_ns, first.time_ns)),
        client_send_delay_ms: ms_between(record.start_ns, request_ns),
        client_delay_ms: arrived.zip(taken).map(|(from, to)| ms_between(from, to)).collect(),
    }
}

/// Reads the probe's table; nothing where there is none.
pub fn read(path: &Path) -> Result<Vec<CallOnTheWire>, MetricsError> {
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(MetricsError::new(path, &error)),
        Ok(_) => wire::read(path).map_err(|error| MetricsError::new(path, &error)),
    }
}

/// One per call, in the order of the record.
///
/// `held_back`: chunks were to be taken later than they came, so that gaps differ by design.
pub fn of_calls(record: &AgentRecord, seen: &[CallOnTheWire], held_back: bool) -> Vec<CallWire> {
    let found: HashMap<(&str, u32), &CallOnTheWire> =
        seen.iter().map(|own| ((own.agent.as_str(), own.call), own)).collect();
    let of = |call: &CallRecord| {
        let own = found.get(&(call.agent.as_str(), call.call));
        let mut own = own.map_or_else(CallWire::default, |own| CallWire::of(call, own));
        if held_back {
            own.gap_errors_ms.clear();
        }
        own
    };
    record.calls.iter().map(of).collect()
}

impl CallWire {
    fn of(call: &CallRecord, seen: &CallOnTheWire) -> Self {
        let figures = figures(call, seen);
        let ttft_error_ms = ttft_ms(call).zip(figures.wire_ttft_ms).map(|(own, wire)| own - wire);
        let passed = seen.chunks.windows(2);
        let gaps = passed.map(|pair| ms_between(pair[0].time_ns, pair[1].time_ns));
        let gap_errors_ms = gaps_ms(call).into_iter().zip(gaps).map(|(own, wire)| own - wire);
        Self { ttft_error_ms, gap_errors_ms: gap_errors_ms.collect(), figures: Some(figures) }
    }

    /// What concerns the call alone; the rest is of its chunks.
    pub fn figures(&self) -> [(&'static str, Option<f64>); 3] {
        let own = self.figures.as_ref();
        [
            ("wire_ttft_ms", own.and_then(|own| own.wire_ttft_ms)),
            ("client_send_delay_ms", own.map(|own| own.client_send_delay_ms)),
            ("wire_ttft_error_ms", self.ttft_error_ms.map(f64::abs)),
        ]
    }
}

/// Percentiles over the chunks of calls.
pub fn of_chunks<'w>(
    calls: impl Iterator<Item = &'w CallWire> + Clone,
) -> [(&'static str, Option<f64>); 7] {
    let delays = calls.clone().filter_map(|own| own.figures.as_ref());
    let delays = sample(delays.flat_map(|own| own.client_delay_ms.iter().copied()).collect());
    let signed: Vec<f64> = calls.flat_map(|own| own.gap_errors_ms.iter().copied()).collect();
    let errors = sample(signed.iter().map(|error| error.abs()).collect());
    let mean = sample(signed).map(|known| known.mean().abs());
    let percentile =
        |sample: &Option<Sample>, p| sample.as_ref().map(|sample| sample.percentile(p));
    [
        ("client_delay_p50_ms", percentile(&delays, 50.0)),
        ("client_delay_p99_ms", percentile(&delays, 99.0)),
        ("client_delay_max_ms", delays.as_ref().map(Sample::max)),
        ("wire_gap_error_mean_ms", mean),
        ("wire_gap_error_p50_ms", percentile(&errors, 50.0)),
        ("wire_gap_error_p99_ms", percentile(&errors, 99.0)),
        ("wire_gap_error_max_ms", errors.as_ref().map(Sample::max)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;
    use crate::probe::wire::Passed;

    #[test]
    fn figures_are_differences_between_the_record_and_the_wire() {
        let record =
            CallRecord { text_offsets_ns: vec![3_500_000, 4_000_000], ..call("a", 10, &[], 20) };
        let passed = |time_ns| Passed { time_ns, bytes: 1 };
        let wire = CallOnTheWire {
            agent: "a".to_owned(),
            call: 0,
            request: passed(11_000_000),
            chunks: vec![passed(13_000_000), passed(14_001_000)],
            first_bytes: None,
        };
        let expected = Figures {
            wire_ttft_ms: Some(2.0),
            client_send_delay_ms: 1.0,
            client_delay_ms: vec![0.5, -0.001],
        };
        assert_eq!(figures(&record, &wire), expected);
        let encrypted =
            CallOnTheWire { chunks: Vec::new(), first_bytes: Some(passed(12_000_000)), ..wire };
        let expected = Figures { client_send_delay_ms: 1.0, ..Figures::default() };
        assert_eq!(figures(&record, &encrypted), expected);
    }
}
