//! The answer of one call: chunks are taken as they come, until the stream says or shows its end.

use std::io;
use std::time::Duration;

use formats::clock;
use formats::protocol::Outcome;

use super::pieces::{Next, Pieces, Times};
use super::taker::Taker;
use crate::http::ConnectionError;
use crate::wire::{DecodeError, Decoder};

/// How long the end of a body is waited for once the answer is whole, so that a server sees its answer
/// taken and its last bytes are counted.
const BODY_END: Duration = Duration::from_millis(200);
/// Longest answer that is kept, bytes of text.
const TEXT_LIMIT: usize = 64 * 1024 * 1024;
/// Most chunks that one answer may have: more than a context holds tokens, and a bound for what a
/// server that never ends costs in memory and on disk.
const CHUNK_LIMIT: u64 = 1_000_000;

/// How a call ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) error: Option<String>,
}

impl End {
    pub(super) fn failed(outcome: Outcome, error: impl Into<String>) -> Self {
        Self { outcome, error: Some(error.into()) }
    }
}

/// Reads a stream to its end.
pub(super) async fn stream(
    pieces: &mut Pieces<'_>,
    decoder: &mut dyn Decoder,
    taker: &mut Taker<'_>,
) -> End {
    loop {
        let (next, times) = pieces.next().await;
        let closed = match next {
            Next::Piece(bytes) => {
                decoder.push(&bytes);
                false
            }
            Next::Broken(error) => return broken(error),
            Next::Closed => true,
        };
        if let Err(end) = take_all(decoder, taker, times).await {
            return end;
        }
        if closed && let Some(chunk) = decoder.last_chunk() {
            taker.take(chunk, times, 0).await;
        }
        let ending = decoder.ending();
        if let Some(error) = &ending.error {
            return End::failed(Outcome::InBandError, error.as_str());
        }
        if ending.complete || (closed && decoder.complete_at_close()) {
            if !taker.has_text() && decoder.ending().counts.tokens.is_none_or(|tokens| tokens == 0)
            {
                let reason = decoder.ending().finish_reason.as_deref().unwrap_or("none");
                let message = format!("the answer has neither text nor tokens (reason: {reason})");
                return End::failed(Outcome::Malformed, message);
            }
            let outcome = if decoder.ending().limited { Outcome::Length } else { Outcome::Ok };
            if !closed {
                let _ = tokio::time::timeout(BODY_END, pieces.rest()).await;
            }
            return End { outcome, error: None };
        }
        if closed {
            let reason = "the stream ended without the server's last record";
            return End::failed(Outcome::Truncated, reason);
        }
    }
}

/// Takes every chunk that is whole.
async fn take_all(
    decoder: &mut dyn Decoder,
    taker: &mut Taker<'_>,
    times: Times,
) -> Result<(), End> {
    loop {
        let before_ns = if taker.probes() { clock::monotonic_ns() } else { 0 };
        let malformed = |error: DecodeError| End::failed(Outcome::Malformed, error.to_string());
        let Some(chunk) = decoder.next_chunk().map_err(malformed)? else { return Ok(()) };
        let parse_ns = if taker.probes() { clock::monotonic_ns() - before_ns } else { 0 };
        taker.take(chunk, times, parse_ns).await;
        if taker.text_bytes() > TEXT_LIMIT || taker.chunks() > CHUNK_LIMIT {
            let reason = format!(
                "the answer is longer than {TEXT_LIMIT} bytes of text or {CHUNK_LIMIT} chunks"
            );
            return Err(End::failed(Outcome::Malformed, reason));
        }
    }
}

/// A body that did not end as HTTP wants: cut, unless its framing makes no sense.
fn broken(error: hyper::Error) -> End {
    let mut source = std::error::Error::source(&error);
    let mut senseless = error.is_parse();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let kind = cause.kind();
            senseless |= matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
        }
        source = cause.source();
    }
    let outcome = if senseless { Outcome::Malformed } else { Outcome::Truncated };
    End::failed(outcome, ConnectionError::from(error).to_string())
}
