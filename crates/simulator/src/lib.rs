//! The paced endpoint: an HTTP server with a known schedule that logs the nanosecond of every send.
//!
//! The instrument that clients are calibrated against: whatever its protocol, it answers Ollama's,
//! OpenAI's and Anthropic's wire formats on one port, at times that are a pure function of its pacing
//! and the request's name. Threads with absolute deadlines rather than an event loop, so that one
//! stream's work never delays another's. Shares no code with the clients' decoders, so that errors
//! cannot cancel out; everything it says of itself says `simulated`.

mod answer;
mod arrival;
mod clock;
mod connection;
mod facts;
mod faults;
mod http;
mod load;
mod log;
mod pacing;
mod reply;
mod schedule;
mod server;
mod slots;
mod text;
mod wire;

use std::io;
use std::net::SocketAddr;

pub use schedule::{Schedule, schedule};
pub use server::Server;

/// A paced endpoint that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("the pacing cannot be played: `{key}` {reason}")]
    Pacing { key: &'static str, reason: String },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the thread of the paced endpoint")]
    Thread { source: io::Error },
}
