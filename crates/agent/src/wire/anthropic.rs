//! Anthropic's Messages, `/v1/messages`: server-sent events, the last one `message_stop`.
//!
//! Spoken by Anthropic, and by Ollama, llama.cpp and vLLM beside their own protocols. Each event says in
//! `type` what it is; the name before it repeats that and is not needed. Counts stand in two events, and
//! the last one holds: at the beginning some servers send an estimate.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Count, Text, error_message, joined, known, parse, shortened};
use super::sse::Dialect;
use super::{DecodeError, Ending, Prompt, listed};

/// The version of the protocol that is spoken; servers refuse requests without it.
pub(super) const HEADERS: [(&str, &str); 1] = [("anthropic-version", "2023-06-01")];

/// The body of a streaming request.
pub(super) fn body(prompt: &Prompt<'_>) -> Map<String, Value> {
    let mut body: Map<String, Value> =
        prompt.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let named_by_ollama = body.remove("num_predict");
    if let Some(limit) = prompt.max_tokens.map(Value::from).or(named_by_ollama) {
        body.insert("max_tokens".to_owned(), limit);
    }
    if let Some(stop) = body.remove("stop") {
        body.insert("stop_sequences".to_owned(), listed(stop));
    }
    body.insert("model".to_owned(), json!(prompt.model));
    body.insert("messages".to_owned(), json!([{ "role": "user", "content": prompt.text }]));
    body.insert("stream".to_owned(), json!(true));
    body
}

/// One event, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    message: Option<Message>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Block<'a>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

/// A block of content, or what is added to one. At the message's end: why it ended.
#[derive(Debug, Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Message {
    usage: Option<Usage>,
}

/// `input_tokens` leaves out what came from the cache or went into it.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "these are the protocol's own names")]
struct Usage {
    input_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    output_tokens: Option<Count>,
}

/// What events mean here.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    const REASON_IS_ENOUGH: bool = false;

    fn read<'a>(data: &'a [u8], ending: &mut Ending) -> Result<Option<Cow<'a, str>>, DecodeError> {
        read(data, ending).map(Some)
    }

    fn stray(line: &[u8]) -> Result<String, DecodeError> {
        let line = shortened(&String::from_utf8_lossy(line), 200);
        Err(DecodeError::NotJson { reason: "no field of an event".to_owned(), line })
    }
}

/// Text of an event; what it says of the answer's end goes to `ending`.
fn read<'a>(data: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
    let event: Event<'a> = parse(data)?;
    if let Some(error) = &event.error {
        ending.error = Some(error_message(error));
    }
    let usage = event.usage.or(event.message.and_then(|message| message.usage));
    if let Some(usage) = usage {
        count(&usage, ending);
    }
    if event.kind.is_some_and(|Text(kind)| kind == "message_stop") {
        ending.complete = true;
    }
    let Some(block) = event.delta.or(event.content_block) else { return Ok(Cow::Borrowed("")) };
    if let Some(Text(reason)) = block.stop_reason {
        ending.limited = reason == "max_tokens";
        ending.finish_reason = Some(reason.into_owned());
    }
    Ok(joined(block.thinking, block.text))
}

fn count(usage: &Usage, ending: &mut Ending) {
    let counts = &mut ending.counts;
    let cached = known(usage.cache_read_input_tokens);
    let written = known(usage.cache_creation_input_tokens);
    let prompt = known(usage.input_tokens)
        .and_then(|new| new.checked_add(cached.unwrap_or(0))?.checked_add(written.unwrap_or(0)));
    counts.prompt_tokens = prompt.or(counts.prompt_tokens);
    counts.cached_tokens = cached.or(counts.cached_tokens);
    counts.tokens = known(usage.output_tokens).or(counts.tokens);
}
