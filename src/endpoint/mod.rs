//! The wire formats of inference servers: requests, incremental stream decoders, a metered HTTP
//! connection, and the facts that servers tell of themselves.
//!
//! Knows bytes and servers, not runs: what is recorded of a call is up to `agent`. Decoders touch no
//! socket and the connection knows no JSON, so each is tested by itself.

mod connection;
mod decode;
mod facts;
mod life;
mod lines;
mod meter;
mod ollama;
mod openai;
mod question;
mod request;
mod target;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use connection::{Connection, ConnectionError};
pub use decode::{Chunk, DecodeError, Decoder, Ending, error_body, error_message};
pub use facts::{Listener, ModelFacts, ServerFacts, facts, identify};
pub use life::{LoadedModel, Unloaded, is_tag_of, loaded, unload};
pub use lines::LINE_LIMIT;
pub use meter::{DEFAULT_READ_BUFFER, Meter};
pub use request::Prompt;
pub use target::Target;

/// Why a server cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("{url:?} is no address of a server: {reason}")]
    Address { url: String, reason: String },
    #[error("no server answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} refuses the request: HTTP {status}{}", .message.as_ref().map(|m| format!(", {m}")).unwrap_or_default())]
    Refused { url: String, status: u16, message: Option<String> },
    #[error("what answers at {url} is no {expected} server: {found}")]
    Foreign { url: String, expected: &'static str, found: String },
    #[error("the server at {url} does not tell which models it holds")]
    Silent { url: String },
    #[error("the server at {url} still holds {} after {limit:?}", .models.join(", "))]
    StillLoaded { url: String, models: Vec<String>, limit: Duration },
    #[error("the API key cannot be sent in a header")]
    Key,
}
