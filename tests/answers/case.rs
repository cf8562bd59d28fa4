//! A case as it lies in its folder, and what is compared of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use formats::endpoint::Api;
use formats::protocol::CallRecord;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::{Value, json};

/// Fields of `expected.json`, every one of which is there.
pub const FIELDS: &[&str] = &[
    "outcome",
    "error",
    "http_status",
    "retry_after_s",
    "finish_reason",
    "model",
    "text",
    "text_bytes",
    "tokens",
    "prompt_tokens",
    "cached_tokens",
    "decode_ns",
    "prefill_ns",
    "load_ns",
    "total_ns",
];

#[derive(Debug)]
pub struct Case {
    /// Its folder within `tests/answers`.
    pub name: String,
    pub answer: Answer,
    pub expected: Value,
}

/// `answer.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub api: Api,
    /// Which was asked for.
    pub model: String,
    pub max_tokens: Option<u32>,
    #[serde(default)]
    pub options: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    pub answers_as: Vec<String>,
    #[serde(default)]
    pub accept_context_full: bool,
    #[serde(rename = "note")]
    _note: String,
    /// Milliseconds since the request had come, and what is sent then; the first is the header.
    pub reads: Vec<Read>,
    #[serde(default)]
    pub end: End,
}

/// What is sent, and when: `[milliseconds, bytes]`, or `[milliseconds, bytes, times]` for bytes that are repeated.
#[derive(Debug)]
pub struct Read {
    pub at_ms: f64,
    pub bytes: Vec<u8>,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Read;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("milliseconds, bytes and how often")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Read, A::Error> {
                let missing = || A::Error::custom("milliseconds and bytes are expected");
                let at_ms = parts.next_element()?.ok_or_else(missing)?;
                let Bytes(bytes) = parts.next_element()?.ok_or_else(missing)?;
                let times = parts.next_element()?.unwrap_or(1);
                Ok(Read { at_ms, bytes: bytes.repeat(times) })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The connection is closed after the last read.
    #[default]
    Close,
    /// It stays open until the client goes away.
    Hold,
    Reset,
}

/// Bytes that stand as text in a file; what is no UTF-8 stands as U+DC80 to U+DCFF, one for each byte.
#[derive(Debug)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Escaped;
        impl Visitor<'_> for Escaped {
            type Value = Bytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes as text")
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Bytes, E> {
                let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
                loop {
                    match rest {
                        // Half of a surrogate pair, as three bytes.
                        [0xed, high @ 0xb2..=0xb3, low, after @ ..] => {
                            bytes.push((high & 0x3) << 6 | (low & 0x3f));
                            rest = after;
                        }
                        [byte, after @ ..] => {
                            bytes.push(*byte);
                            rest = after;
                        }
                        [] => return Ok(Bytes(bytes)),
                    }
                }
            }
        }
        deserializer.deserialize_bytes(Escaped)
    }
}

/// Every case, in the order of their names; only some while one works on them.
pub fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
        let entries = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter();
        let files = entries.map(|entry| entry.unwrap().into_path());
        let folders = files.filter(|path| path.ends_with("answer.json"));
        let part = std::env::var("RUNNER_ANSWERS").unwrap_or_default();
        let read = folders.map(|path| read(&root, path.parent().unwrap()));
        let named: Vec<_> = read.filter(|case| case.name.contains(&part)).collect();
        assert!(!named.is_empty(), "no case has {part:?} in its name");
        named
    })
}

fn read(root: &Path, folder: &Path) -> Case {
    let name = folder.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    let text = |file: &str| {
        fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"))
    };
    let answer = serde_json::from_slice(&text("answer.json"));
    let answer = answer.unwrap_or_else(|error| panic!("{name}/answer.json: {error}"));
    let expected: Value = serde_json::from_slice(&text("expected.json"))
        .unwrap_or_else(|error| panic!("{name}/expected.json: {error}"));
    let mut named: Vec<&str> = expected.as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields = FIELDS.to_vec();
    named.sort_unstable();
    fields.sort_unstable();
    assert_eq!(named, fields, "{name}/expected.json");
    assert_ne!(expected["error"], "", "{name}/expected.json: any message has that");
    Case { name, answer, expected }
}

/// What a runtime recorded, by the names of [`FIELDS`], and what it must have in common with others beyond them.
pub fn found(call: &CallRecord, text: &str) -> Value {
    let server = &call.server;
    json!({
        "outcome": call.outcome.name(),
        "error": call.error,
        "http_status": call.http_status,
        "retry_after_s": call.retry_after_s,
        "finish_reason": call.finish_reason,
        "model": call.model,
        "text": text,
        "text_bytes": call.text_bytes,
        "tokens": server.tokens,
        "prompt_tokens": server.prompt_tokens,
        "cached_tokens": server.cached_tokens,
        "decode_ns": server.decode_ns,
        "prefill_ns": server.prefill_ns,
        "load_ns": server.load_ns,
        "total_ns": server.total_ns,
        "decode_tokens": server.decode_tokens,
        "chunks_with_text": call.text_offsets_ns.len(),
        "chunks": call.chunks,
    })
}

/// In what a field is not as expected; of an error's message a part is.
pub fn difference(field: &str, expected: &Value, found: &Value) -> Option<String> {
    let same = match (field, expected, found) {
        ("error", Value::String(part), Value::String(message)) => message.contains(part),
        _ => expected == found,
    };
    (!same).then(|| format!("expected {expected}, found {found}"))
}
