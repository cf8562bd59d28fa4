//! How engines count: which tokens their counts and durations cover. One table, each row with its evidence.
//!
//! The recorded answers that it was read from are in `tests/answers/recorded`; docs/what-is-counted.md tells it
//! to people.

use formats::protocol::{CallRecord, Outcome, ServerCounts};

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
    /// Tokens of a prompt may come from a cache and be counted all the same.
    pub caches_prompts: bool,
    /// Where this is known from: a folder of `tests/answers`, or in words.
    pub evidence: &'static str,
}

/// How many of the counted tokens a duration of decoding covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// All but so many.
    AllBut(u64),
    /// All but one of models on llama.cpp's engine; of others it is not known.
    OnLlamaCpp,
    /// All but one of models on llama.cpp's engine. An answer of Ollama's own engine that a limit ends has
    /// one token in its count that was never made (now and then it has not), and the duration covers all
    /// but that and the first.
    OneNeverMade,
    /// The server tells no duration.
    NotTold,
}

const NEWEST: [u32; 3] = [u32::MAX; 3];

/// The first row that fits is an engine's.
pub const CONVENTIONS: [Convention; 7] = [
    Convention {
        engine: "ollama",
        versions: Some([[0, 0, 1], [0, 11, 9]]),
        counts_end: true,
        decoding: Decoding::OnLlamaCpp,
        caches_prompts: true,
        evidence: "its sources",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 11, 9], [0, 15, 5]]),
        counts_end: true,
        decoding: Decoding::OneNeverMade,
        caches_prompts: true,
        evidence: "recorded/ollama-0.13.5",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 15, 5], [0, 25, 0]]),
        counts_end: true,
        decoding: Decoding::AllBut(1),
        caches_prompts: true,
        evidence: "its sources",
    },
    Convention {
        engine: "ollama",
        versions: Some([[0, 30, 0], NEWEST]),
        counts_end: true,
        decoding: Decoding::AllBut(1),
        caches_prompts: true,
        evidence: "recorded/ollama-0.32.15",
    },
    Convention {
        engine: "llama.cpp",
        versions: None,
        counts_end: true,
        decoding: Decoding::AllBut(1),
        caches_prompts: true,
        evidence: "a server that the tests start",
    },
    Convention {
        engine: "vllm",
        versions: None,
        counts_end: true,
        decoding: Decoding::NotTold,
        caches_prompts: true,
        evidence: "recorded/vllm-0.32.0",
    },
    Convention {
        engine: PACED,
        versions: None,
        counts_end: false,
        decoding: Decoding::AllBut(0),
        caches_prompts: false,
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
    /// Of those that were made, the ones with text.
    pub with_text: Option<u64>,
    /// That the duration of decoding covers.
    pub decoded: Option<u64>,
}

impl Tokens {
    /// `told`: by the server, as far as the record does not refute it.
    #[must_use]
    pub fn of(call: &CallRecord, told: &ServerCounts, serving: &Serving) -> Self {
        let Some(count) = told.tokens else { return Self::default() };
        let row = convention(serving);
        let answer = Answer {
            beyond: count.checked_sub(call.text_offsets_ns.len() as u64),
            limited: matches!(call.outcome, Outcome::Length | Outcome::ContextFull),
            own_engine: is_own_engine(serving),
        };
        let called = call.finish_reason.as_deref().is_some_and(|reason| reason.starts_with("tool"));
        let never_made = answer.never_made(row);
        let silent = if called { None } else { answer.silent(row) };
        Self {
            made: never_made.and_then(|tokens| count.checked_sub(tokens)),
            with_text: silent.and_then(|tokens| count.checked_sub(tokens)),
            decoded: told.decode_tokens.or_else(|| {
                let covered = count.checked_sub(answer.not_decoded(row?)?)?;
                (covered > 0).then_some(covered)
            }),
        }
    }
}

/// What an answer shows of how its tokens were counted.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// Counted tokens that no chunk of their own stands for; `None`: there are more chunks than tokens.
    beyond: Option<u64>,
    /// It ended at a limit.
    limited: bool,
    /// Ollama's own engine runs the model; `None`: the model's architecture is not known.
    own_engine: Option<bool>,
}

impl Answer {
    /// Counted tokens that were never made.
    fn never_made(self, row: Option<&Convention>) -> Option<u64> {
        if row.is_none_or(|row| row.decoding != Decoding::OneNeverMade) || !self.limited {
            return Some(0);
        }
        match (self.beyond, self.own_engine) {
            (None | Some(0), _) | (_, Some(false)) => Some(0),
            (Some(_), Some(true)) => Some(1),
            (Some(_), None) => None,
        }
    }

    /// Counted tokens without text.
    fn silent(self, row: Option<&Convention>) -> Option<u64> {
        let end = u64::from(row.is_none_or(|row| row.counts_end));
        let one_more = row.is_some_and(|row| row.decoding == Decoding::OneNeverMade);
        match self.beyond {
            None | Some(0) => Some(0),
            Some(_) if self.limited => self.never_made(row),
            // One more was counted behind the end-of-text token.
            Some(2) if one_more && self.own_engine == Some(true) => Some(2),
            Some(_) => Some(end),
        }
    }

    /// Counted tokens that the duration of decoding does not cover.
    fn not_decoded(self, row: &Convention) -> Option<u64> {
        match (row.decoding, self.own_engine) {
            (Decoding::AllBut(tokens), _) => Some(tokens),
            (Decoding::OnLlamaCpp | Decoding::OneNeverMade, Some(false)) => Some(1),
            (Decoding::NotTold | Decoding::OnLlamaCpp, _) => None,
            // Which of the counted tokens were made is seen in the chunks, if each stands for one.
            (Decoding::OneNeverMade, own) => match (self.beyond?, self.limited) {
                (0, _) | (1, false) => Some(1),
                (1, true) | (2, false) if own == Some(true) => Some(2),
                _ => None,
            },
        }
    }
}

/// Whether Ollama's own engine runs the model; `None`: the model's architecture is not known.
fn is_own_engine(serving: &Serving) -> Option<bool> {
    let family = serving.family.as_deref()?;
    Some(OWN_ENGINE.contains(&family))
}
