//! What the wire tells of calls: how much of each time was the client's own.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use formats::protocol::{AgentRecord, CallRecord};

use super::call::{gaps_ms, sample, ttft_ms};
use super::{MetricsError, ms_between};
use crate::probe::wire::{self, CallOnTheWire, Figures};
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

/// Reads the probe's table; nothing where there is none.
pub fn read(path: &Path) -> Result<Vec<CallOnTheWire>, MetricsError> {
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(MetricsError::new(path, &error)),
        Ok(_) => wire::read(path).map_err(|error| MetricsError::new(path, &error)),
    }
}

/// One per call, in the order of the record.
pub fn of_calls(record: &AgentRecord, seen: &[CallOnTheWire]) -> Vec<CallWire> {
    let found: HashMap<(&str, u32), &CallOnTheWire> =
        seen.iter().map(|own| ((own.agent.as_str(), own.call), own)).collect();
    let of = |call: &CallRecord| {
        let own = found.get(&(call.agent.as_str(), call.call));
        own.map_or_else(CallWire::default, |own| CallWire::of(call, own))
    };
    record.calls.iter().map(of).collect()
}

impl CallWire {
    fn of(call: &CallRecord, seen: &CallOnTheWire) -> Self {
        let figures = wire::figures(call, seen);
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
) -> [(&'static str, Option<f64>); 5] {
    let delays = calls.clone().filter_map(|own| own.figures.as_ref());
    let delays = sample(delays.flat_map(|own| own.client_delay_ms.iter().copied()).collect());
    let errors = calls.flat_map(|own| own.gap_errors_ms.iter().map(|error| error.abs()));
    let errors = sample(errors.collect());
    let percentile =
        |sample: &Option<Sample>, p| sample.as_ref().map(|sample| sample.percentile(p));
    [
        ("client_delay_p50_ms", percentile(&delays, 50.0)),
        ("client_delay_p99_ms", percentile(&delays, 99.0)),
        ("client_delay_max_ms", delays.as_ref().map(Sample::max)),
        ("wire_gap_error_p50_ms", percentile(&errors, 50.0)),
        ("wire_gap_error_p99_ms", percentile(&errors, 99.0)),
    ]
}
