//! What is measured against what the paced endpoint really sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use formats::endpoint::Api;
use formats::pacing::{JitterShape, Pacing};
use formats::protocol::{CallRecord, Outcome, Spec};
use runner::metrics;
use runner::store::record::Calibration;
use simulator::Server;

use crate::process::{Finished, agent, command, run_with, spec};

/// A paced endpoint at `rate` tokens per second.
pub fn paced(rate: f64) -> Server {
    jittered(rate, Duration::ZERO)
}

/// Each request has a schedule of its own, the same in every run of the test.
pub fn jittered(rate: f64, jitter: Duration) -> Server {
    let pacing = Pacing {
        protocol: Api::Ollama,
        ttft: Duration::from_millis(50),
        rate,
        gaps: Vec::new(),
        jitter,
        jitter_shape: JitterShape::Uniform,
        seed: 1,
        tokens_per_chunk: 1,
        tokens: None,
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    };
    Server::start(pacing, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
}

/// Streams of so many tokens from a server.
pub fn streams(server: &Server, streams: u32, tokens: u32) -> Spec {
    let agents = (0..streams).map(|number| {
        let mut agent = agent(&server.base_url());
        agent.name = format!("stream-{number}");
        agent.api = Api::Ollama;
        agent.max_tokens = Some(tokens);
        agent
    });
    spec(agents.collect())
}

/// Runs a spec and compares the record with the server's log.
pub fn measured(command: Command, server: &Server, spec: Spec) -> (Finished, Calibration) {
    let run = spec.run.clone();
    let finished = run_with(command, spec);
    let record =
        finished.record.as_ref().unwrap_or_else(|| panic!("no record: {}", finished.stderr));
    assert!(record.calls.iter().all(|call| call.outcome == Outcome::Length), "{record:?}");
    let calibration = metrics::calibration(record, &server.take_sends(&run)).unwrap();
    (finished, calibration)
}

/// Chunks per second between the first and the last.
pub fn rate(call: &CallRecord) -> f64 {
    let offsets = &call.text_offsets_ns;
    let seconds = (offsets[offsets.len() - 1] - offsets[0]) as f64 / 1e9;
    (offsets.len() - 1) as f64 / seconds
}

#[test]
fn both_runtimes_report_the_rate_of_two_streams_within_one_percent() {
    let server = paced(100.0);
    let mut rust = Command::new(env!("CARGO_BIN_EXE_runner"));
    rust.arg("agent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for command in [rust, command()] {
        let (finished, calibration) = measured(command, &server, streams(&server, 2, 150));
        let record = finished.record.unwrap();
        for call in &record.calls {
            let rate = rate(call);
            assert!((99.0..=101.0).contains(&rate), "{rate} in {}", record.runtime.name);
        }
        // Half a millisecond on a machine at rest; a wrong zero point would be off by the whole TTFT.
        let p50 = calibration.ttft_error_ms.p50;
        assert!(p50 < 10.0, "TTFT is off by {p50} ms in {}", record.runtime.name);
    }
}

#[test]
fn a_throttle_of_60_on_a_stream_of_100_takes_60_within_one_percent() {
    let server = paced(100.0);
    let mut spec = streams(&server, 2, 240);
    spec.throttle = Some(60.0);
    let (finished, _) = measured(command(), &server, spec);
    for call in &finished.record.unwrap().calls {
        let rate = rate(call);
        assert!((59.4..=60.6).contains(&rate), "{rate} chunks per second");
    }
}
