//! The paced endpoint as clients meet it: raw bytes on sockets, compared with its own log.

mod client;
mod connections;
mod faults;
mod timing;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use formats::endpoint::Api;
use formats::pacing::{JitterShape, Pacing};
use simulator::Server;

const GENERATE: &str = "/api/generate";
const OLLAMA_CHAT: &str = "/api/chat";
const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const MESSAGES: &str = "/v1/messages";

/// Fast: 5 ms to the first token, then one per millisecond, ten in all.
fn pacing() -> Pacing {
    Pacing {
        protocol: Api::Ollama,
        ttft: Duration::from_millis(5),
        rate: 1000.0,
        gaps: Vec::new(),
        jitter: Duration::ZERO,
        jitter_shape: JitterShape::Uniform,
        seed: 1,
        tokens_per_chunk: 1,
        tokens: Some(10),
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    }
}

fn start(pacing: Pacing) -> Server {
    Server::start(pacing, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
}
