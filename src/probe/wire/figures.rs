//! What the wire tells of a call beside the agent's own record of it.

use formats::protocol::CallRecord;

use super::table::CallOnTheWire;

/// The figures of one call, milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// From the request's last byte to the arrival of the first chunk with text: the server's and the
    /// network's time, without the client's. Unknown without text, and of encrypted calls.
    pub wire_ttft_ms: Option<f64>,
    /// From the call's start to the request's last byte on the wire, the connection's opening included.
    pub client_send_delay_ms: f64,
    /// From the arrival of each chunk with text until the agent took it, in order; none of encrypted
    /// calls. As far as clocks can be compared: a value may be a few microseconds below 0.
    pub client_delay_ms: Vec<f64>,
}

/// The figures of a call and what the wire showed of it.
#[must_use]
pub fn figures(record: &CallRecord, wire: &CallOnTheWire) -> Figures {
    let request_ns = wire.request.time_ns;
    let taken = record.text_offsets_ns.iter().map(|offset| record.start_ns.saturating_add(*offset));
    let arrived = wire.chunks.iter().map(|chunk| chunk.time_ns);
    Figures {
        wire_ttft_ms: wire.chunks.first().map(|first| ms_between(request_ns, first.time_ns)),
        client_send_delay_ms: ms_between(record.start_ns, request_ns),
        client_delay_ms: arrived.zip(taken).map(|(from, to)| ms_between(from, to)).collect(),
    }
}

/// Negative where `to_ns` is the earlier one.
fn ms_between(from_ns: u64, to_ns: u64) -> f64 {
    (i128::from(to_ns) - i128::from(from_ns)) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use formats::protocol::{Outcome, ServerCounts};

    use super::super::table::Passed;
    use super::*;

    #[test]
    fn figures_are_differences_between_the_record_and_the_wire() {
        let record = CallRecord {
            agent: "a".to_owned(),
            call: 0,
            warmup: false,
            start_ns: 10_000_000,
            connected_ns: None,
            local_port: None,
            sent_ns: None,
            headers_ns: None,
            text_offsets_ns: vec![3_500_000, 4_000_000],
            end_ns: 20_000_000,
            http_status: None,
            outcome: Outcome::Ok,
            error: None,
            chunks: 3,
            bytes: 0,
            reads: None,
            largest_read: None,
            read_delays_ns: None,
            finish_reason: None,
            server: ServerCounts::default(),
        };
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
