//! SHA-256 as it is written everywhere in this program: lower-case hex digits.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Digest of bytes in memory, 64 hex digits.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex digits, two per byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
