//! The answer of one call: chunks are taken as they come, until the stream says or shows its end.

use std::io;
use std::time::Duration;

use formats::clock;
use formats::protocol::Outcome;

use super::judge::{End, Judge};
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

/// How long more is waited for after a finish reason, where the mark of the end may be missing, and how long
/// while the server has not told its counts, which come last.
const AFTER_REASON: Duration = Duration::from_secs(1);
const BEFORE_COUNTS: Duration = Duration::from_secs(2);

/// Reads a stream to its end; `judge` says what a whole answer is.
pub(super) async fn stream(
    pieces: &mut Pieces<'_>,
    decoder: &mut dyn Decoder,
    taker: &mut Taker<'_>,
    judge: &Judge<'_>,
) -> End {
    loop {
        let next = if decoder.complete_at_close() {
            // The server may hold the connection open though it has said all.
            let is_counted = decoder.ending().counts.tokens.is_some();
            let limit = if is_counted { AFTER_REASON } else { BEFORE_COUNTS };
            tokio::time::timeout(limit, pieces.next()).await
        } else {
            Ok(pieces.next().await)
        };
        let Ok((next, times)) = next else { return judge.whole(decoder.ending(), taker) };
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
        if closed {
            match decoder.last_chunk() {
                Ok(None) => {}
                Ok(Some(chunk)) => taker.take(chunk, times, 0).await,
                Err(error) => return End::failed(Outcome::Malformed, error.to_string()),
            }
        }
        let ending = decoder.ending();
        if let Some(error) = &ending.error {
            return End::failed(Outcome::InBandError, error.as_str());
        }
        if ending.complete || (closed && decoder.complete_at_close()) {
            let end = judge.whole(ending, taker);
            if !closed {
                let _ = tokio::time::timeout(BODY_END, pieces.rest()).await;
            }
            return end;
        }
        if closed {
            return judge.cut(taker);
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
