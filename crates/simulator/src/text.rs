//! The words that the paced endpoint says: readable, all different, not only ASCII.

/// Some take two, three or four bytes per character, so that clients meet characters split by reads.
const WORDS: [&str; 16] = [
    "token",
    "pace",
    "größe",
    "stream",
    "naïve",
    "gap",
    "模型",
    "clock",
    "café",
    "queue",
    "θήτα",
    "read",
    "скорость",
    "byte",
    "🚀",
    "slot",
];

/// Appends the token with this index (from 0), a word and its index, with a space after it.
pub fn push_token(text: &mut String, seed: u64, index: u64) {
    use std::fmt::Write;
    let mixed =
        (seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = WORDS[usize::from((mixed >> 60) as u8)];
    // Writing to a string cannot fail.
    let _ = write!(text, "{word}{index} ");
}
