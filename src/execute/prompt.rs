//! The prefix that keeps prompt caches from flattering prefill.
//!
//! Servers keep the state of prompts they have seen; a prompt sent again is hardly processed at all.
//! So each prompt starts with eight decimal digits in brackets that no other call shares: they differ
//! from session to session, cell to cell, repeat to repeat, call to call, attempt to attempt and
//! stream to stream. Were they the same for the same repeat of every cell, the first cell of a block
//! would warm the cache of those after it. Decimal digits, since common tokenizers split a number of
//! fixed length into a fixed number of tokens: every call has a prompt of the same length.

use sha2::{Digest, Sha256};

/// Changing what is hashed changes every prompt; the tag says which rule was used.
const TAG: &str = "runner/prompt/2";

/// One call's place in a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Differs from one `exec` to the next.
    pub session: &'a str,
    /// Id of the cell.
    pub cell: &'a str,
    /// From 1.
    pub repeat: u32,
    /// From 1.
    pub attempt: u32,
    /// Name of the stream.
    pub agent: &'a str,
    /// From 0, counting warm-up calls.
    pub call: u32,
}

/// `[12345678] `: eleven bytes, always.
#[must_use]
pub fn prefix(place: Place<'_>) -> String {
    let Place { session, cell, repeat, attempt, agent, call } = place;
    let hash = Sha256::digest(format!("{TAG} {session} {cell} {repeat} {attempt} {agent} {call}"));
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("[{:08}] ", number % 100_000_000)
}
