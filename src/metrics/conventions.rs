//! How engines count: which tokens their counts and durations cover. One table, each row with its evidence.
//!
//! The recorded answers that it was read from are in `tests/answers/recorded`; docs/what-is-counted.md tells it
//! to people.

use formats::protocol::{CallRecord, Outcome};

use super::serving::PACED;
use crate::store::record::Serving;

/// What an engine's figures cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convention {
    /// As evidence names it.
    pub engine: &'static str,
    /// Versions from this one on, and before that one; of engines whose versions differ.
    pub versions: Option<[[u32; 3]; 2]>,
    /// The count has the end-of-text token, which brings no text.
    pub counts_end: bool,
    pub decoding: Decoding,
    pub prompt: Prompt,
    /// Where this is known from.
    pub evidence: &'static str,
}

/// How many of the counted tokens a duration of decoding covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// All but so many.
    AllBut(u64),
    /// All but one where llama.cpp's engine runs the model. Ollama's own engine counts a token that it
    /// never makes where a limit ends the answer, and the duration covers neither that nor the first.
    ByEngine { own: Own },
    /// The server tells no duration.
    NotTold,
}

/// What is known of Ollama's own engine in a range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    Unknown,
    /// It counts one token that it never makes.
    CountsOneMore,
}

/// What a count of prompt tokens covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Cached tokens are counted, and how many they are is not said.
    CachedUntold,
    /// How many were cached is said, here or by the call.
    CachedTold,
    /// Nothing is ever cached.
    NeverCached,
}

const NEWEST: [u32; 3] = [u32::MAX; 3];

/// The first row that fits is an engine's.
pub const CONVENTIONS: [Convention; 7] = [
    Convention {
        engine: "ollama",
        versions: Some([[0, 0, 1], [0, 11, 9]]),
        counts_end: true,
        decoding: Decoding::ByEngine { own: Own::Unknown },
        prompt: Prompt::CachedUntold,
        evidence: "its sources",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 11, 9], [0, 15, 5]]),
        counts_end: true,
        decoding: Decoding::ByEngine { own: Own::CountsOneMore },
        prompt: Prompt::CachedUntold,
        evidence: "recorded/ollama-0.13.5",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 15, 5], [0, 25, 0]]),
        counts_end: true,
        decoding: Decoding::AllBut(1),
        prompt: Prompt::CachedUntold,
        evidence: "its sources",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 30, 0], NEWEST]),
        counts_end: true,
        decoding: Decoding::AllBut(1),
        prompt: Prompt::CachedUntold,
        evidence: "recorded/ollama-0.32.15",
    },
    Convention {
        engine: "llama.cpp",
        versions: None,
        counts_end: true,
        decoding: Decoding::AllBut(1),
        prompt: Prompt::CachedTold,
        evidence: "a server that the tests start",
    },
    Convention {
        engine: "vllm",
        versions: None,
        counts_end: true,
        decoding: Decoding::NotTold,
        prompt: Prompt::CachedTold,
        evidence: "recorded/vllm-0.32.0",
    },
    Convention {
        engine: PACED,
        versions: None,
        counts_end: false,
        decoding: Decoding::AllBut(0),
        prompt: Prompt::NeverCached,
        evidence: "its own log",
    },
];

/// Architectures that Ollama's own engine has been running since before 0.11.9 or soon after, by the names in
/// its sources. Models of others run on llama.cpp's engine.
const OWN_ENGINE: [&str; 26] = [
    "bert",
    "deepseek2",
    "deepseekocr",
    "gemma3",
    "gemma3n",
    "gemma4",
    "glm4moelite",
    "glmocr",
    "gpt-oss",
    "gptoss",
    "laguna",
    "lfm2",
    "lfm2moe",
    "llama4",
    "mistral3",
    "mllama",
    "nomic-bert",
    "olmo3",
    "qwen25vl",
    "qwen3",
    "qwen35",
    "qwen35moe",
    "qwen3moe",
    "qwen3next",
    "qwen3vl",
    "qwen3vlmoe",
];

/// The row of what served a call; `None`: no row is known to fit.
#[must_use]
pub fn convention(serving: &Serving) -> Option<&'static Convention> {
    let engine = serving.server.as_deref()?;
    let version = serving.version.as_deref().and_then(parsed);
    CONVENTIONS.iter().filter(|row| row.engine == engine).find(|row| match row.versions {
        None => true,
        Some([from, before]) => version.is_some_and(|version| from <= version && version < before),
    })
}

/// The first three numbers of a version.
fn parsed(version: &str) -> Option<[u32; 3]> {
    let plain = version.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = plain.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?])
}

/// The tokens of one answer, by its engine's way of counting. Unknown is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tokens {
    /// That were made, one at the end without text included.
    pub made: Option<u64>,
    /// Whose text came after the first chunk with text; apportioned where chunks hold several.
    pub after_first_chunk: Option<f64>,
    /// That the duration of decoding covers.
    pub decoded: Option<u64>,
}

impl Tokens {
    /// `count`: of the server, as far as the record does not refute it.
    #[must_use]
    pub fn of(call: &CallRecord, count: Option<u64>, serving: &Serving) -> Self {
        let Some(count) = count else { return Self::default() };
        let row = convention(serving);
        let chunks = call.text_offsets_ns.len() as u64;
        // Counted tokens that no chunk of their own stands for.
        let beyond = count.checked_sub(chunks);
        let limited = matches!(call.outcome, Outcome::Length | Outcome::ContextFull);
        let own = is_own_engine(serving);
        let counts_one_more = row
            .is_some_and(|row| row.decoding == Decoding::ByEngine { own: Own::CountsOneMore })
            && own != Some(false);
        let never_made = u64::from(counts_one_more && limited && beyond == Some(1));
        let silent = match beyond {
            None | Some(0) => 0,
            Some(1) => 1,
            Some(_) if limited => 0,
            Some(2) if counts_one_more && own == Some(true) => 2,
            Some(_) => u64::from(row.is_none_or(|row| row.counts_end)),
        };
        let called = call.finish_reason.as_deref().is_some_and(|reason| reason.starts_with("tool"));
        Self {
            made: Some(count - never_made),
            after_first_chunk: if called { None } else { after_first(call, count - silent) },
            decoded: call
                .server
                .decode_tokens
                .or_else(|| decoded(row?, own, count, beyond, limited)),
        }
    }
}

/// Whether Ollama's own engine runs the model; `None`: the model's architecture is not known.
fn is_own_engine(serving: &Serving) -> Option<bool> {
    let family = serving.family.as_deref()?;
    Some(OWN_ENGINE.contains(&family))
}

fn decoded(
    row: &Convention,
    own: Option<bool>,
    count: u64,
    beyond: Option<u64>,
    limited: bool,
) -> Option<u64> {
    let left_out = match (row.decoding, own) {
        (Decoding::AllBut(left_out), _) => left_out,
        (Decoding::ByEngine { .. }, Some(false)) => 1,
        (Decoding::NotTold | Decoding::ByEngine { own: Own::Unknown }, _) => return None,
        // Which of the counted tokens were made is seen in the chunks, if each stands for one.
        (Decoding::ByEngine { own: Own::CountsOneMore }, own) => match (beyond?, limited) {
            (0, _) | (1, false) => 1,
            (1, true) => 2,
            (2, false) if own == Some(true) => 2,
            _ => return None,
        },
    };
    count.checked_sub(left_out).filter(|tokens| *tokens > 0)
}

/// Of so many tokens with text, those whose text came after the first chunk. One to a chunk, or as many to
/// each chunk as their numbers show; else by the length of the text.
fn after_first(call: &CallRecord, tokens: u64) -> Option<f64> {
    let chunks = call.text_offsets_ns.len() as u64;
    if chunks < 2 || tokens == 0 {
        return None;
    }
    if tokens == chunks {
        return Some((chunks - 1) as f64);
    }
    let bytes: u64 = call.text_bytes.iter().sum();
    let first = call.text_bytes.first().filter(|_| call.text_bytes.len() as u64 == chunks);
    let in_first = first.map(|first| tokens as f64 * *first as f64 / bytes as f64);
    let each = tokens.div_ceil(chunks);
    let even = each > 1 && tokens.div_ceil(each) == chunks;
    let fits = |in_first: f64| (0.6..=1.4).contains(&(in_first / each as f64));
    if even && in_first.is_none_or(fits) {
        return Some((tokens - each) as f64);
    }
    let in_first = in_first.unwrap_or(tokens as f64 / chunks as f64);
    Some(tokens as f64 - in_first)
}
