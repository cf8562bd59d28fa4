//! The text that tokenizers are measured on, and how it is cut into parts.
//!
//! A generated corpus is the same text on every machine and in every build: only integers and a
//! stream cipher stand behind it, and a version that names the recipe. Where a text is kept and who
//! encodes it is left to others.

mod cut;
mod draw;
mod prose;
mod scripts;
mod technical;
#[cfg(test)]
mod tests;
mod words;

use std::path::{Path, PathBuf};

pub use cut::{PARTS, lines, pieces};

use draw::Draw;

/// The version of the generator. Another text for the same size and seed needs another version.
pub const VERSION: u32 = 1;

/// Where a corpus comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Generated {
        bytes: u64,
        seed: u64,
    },
    File {
        /// Not absolute where the manifest's path is not.
        path: PathBuf,
        /// Of what was in it when the manifest was read, hex.
        sha256: String,
    },
}

impl Source {
    /// The content as identities hold it: the recipe, or the digest. Where a file lies is no part.
    #[must_use]
    pub fn identity(&self) -> serde_json::Value {
        match self {
            Source::Generated { bytes, seed } => {
                // Beyond 2^53 a JSON number no longer tells neighbours apart.
                let exact = *seed <= 1 << 53;
                let seed = if exact { (*seed).into() } else { seed.to_string().into() };
                let mut recipe = serde_json::json!({ "generate": bytes, "seed": null });
                recipe["seed"] = seed;
                if VERSION > 1 {
                    recipe["version"] = VERSION.into();
                }
                recipe
            }
            Source::File { sha256, .. } => serde_json::json!({ "sha256": sha256 }),
        }
    }

    /// The text. That of a file must be what it was when the manifest was read.
    pub fn text(&self) -> Result<String, CorpusError> {
        match self {
            Source::Generated { bytes, seed } => {
                Ok(generate(usize::try_from(*bytes).unwrap_or(usize::MAX), *seed))
            }
            Source::File { path, sha256 } => read(path, Some(sha256)),
        }
    }
}

/// Why a file is no corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    #[error("cannot read the corpus {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error(
        "the corpus {path} is no UTF-8 text: byte {offset} ({byte:#04x}) belongs to no character; \
         convert it, for example with iconv"
    )]
    Encoding { path: String, offset: usize, byte: u8 },
    #[error("the corpus {0} is empty")]
    Empty(String),
    #[error("the corpus {path} has the SHA-256 {found}, the manifest declares {declared}")]
    Digest { path: String, found: String, declared: String },
}

/// Reads a corpus from a file, whole; `declared` is the SHA-256 that it must have, in hex.
pub fn read(path: &Path, declared: Option<&str>) -> Result<String, CorpusError> {
    let shown = || path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|source| CorpusError::Read { path: shown(), source })?;
    if let Some(declared) = declared {
        let found = formats::digest::of_bytes(&bytes);
        if !found.eq_ignore_ascii_case(declared) {
            let declared = declared.to_owned();
            return Err(CorpusError::Digest { path: shown(), found, declared });
        }
    }
    if bytes.is_empty() {
        return Err(CorpusError::Empty(shown()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
        CorpusError::Encoding { path: shown(), offset, byte }
    })
}

/// A text of exactly this many bytes: prose, code, JSON, tables of numbers and several scripts, in
/// long lines and short ones.
#[must_use]
pub fn generate(bytes: usize, seed: u64) -> String {
    // Room for the block that goes beyond the end.
    let mut text = String::with_capacity(bytes + 64 * 1024);
    let mut draw = Draw::new(seed);
    while text.len() < bytes {
        // Shares of blocks, which are of different lengths: about half of the text is prose, a
        // quarter is for machines and a quarter is in other scripts than Latin.
        match draw.below(20) {
            0..=5 => prose::paragraph(&mut draw, &mut text),
            6..=7 => prose::wrapped(&mut draw, &mut text),
            8 => prose::list(&mut draw, &mut text),
            9..=10 => technical::rust(&mut draw, &mut text),
            11..=12 => technical::python(&mut draw, &mut text),
            13..=14 => technical::json(&mut draw, &mut text),
            15 => technical::table(&mut draw, &mut text),
            16 => technical::log(&mut draw, &mut text),
            _ => scripts::paragraph(&mut draw, &mut text),
        }
        text.push('\n');
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    // Where a character of several bytes would have crossed the end.
    text.extend(std::iter::repeat_n('\n', bytes - end));
    text
}
