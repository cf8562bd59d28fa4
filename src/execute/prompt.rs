//! The prefix that keeps prompt caches from flattering prefill.
//!
//! Servers keep the state of prompts they have seen; a prompt sent again is hardly processed at all.
//! So each prompt starts with eight decimal digits in brackets: they differ from repeat to repeat,
//! from call to call (warm-up and measured calls never share them), from attempt to attempt and from
//! stream to stream, and are the same for the same repeat of every cell, so that cells stay
//! comparable. Decimal digits, since common tokenizers split a number of fixed length into a fixed
//! number of tokens: every repeat has prompts of the same length.

use sha2::{Digest, Sha256};

/// Changing what is hashed changes every prompt; the tag says which rule was used.
const TAG: &str = "runner/prompt/1";

/// One call's place in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub repeat: u32,
    /// From 1.
    pub attempt: u32,
    /// Index of the stream within the scenario.
    pub agent: usize,
    /// From 0, counting warm-up calls.
    pub call: u32,
}

/// `[12345678] `: eleven bytes, always.
#[must_use]
pub fn prefix(place: Place) -> String {
    let Place { repeat, attempt, agent, call } = place;
    let hash = Sha256::digest(format!("{TAG} {repeat} {attempt} {agent} {call}"));
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("[{:08}] ", number % 100_000_000)
}
