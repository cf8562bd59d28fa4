//! Anthropic's Messages, `/v1/messages`: server-sent events, the last one `message_stop`.
//!
//! Spoken by Anthropic, and by Ollama, llama.cpp and vLLM beside their own protocols. Each event says in
//! `type` what it is; the name before it repeats that and is not needed. Counts stand in two events, and
//! the last one holds: at the beginning some servers send an estimate.

use std::borrow::Cow;

use formats::protocol::ServerCounts;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::figures::{count, figures, sum};
use super::json::{self, Payload, is_error, not_allowed};
use super::object::{Word, object};
use super::sse::Dialect;
use super::text::{filled, joined};
use super::words::{error_words, is};
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

/// What events mean here.
#[derive(Debug)]
pub(super) struct Anthropic;

object! {
    /// One event, or a whole answer.
    struct Event {
        kind as "type": &'a RawValue,
        message as "message": &'a RawValue,
        content_block as "content_block": Block<'a>,
        delta as "delta": Block<'a>,
        usage as "usage": &'a RawValue,
        error as "error": &'a RawValue,
        error_code as "error_code": &'a RawValue,
        object as "object": &'a RawValue,
        // Of a whole answer.
        model as "model": &'a RawValue,
        content as "content": &'a RawValue,
        stop_reason as "stop_reason": Word<'a>,
    }
}

object! {
    /// A block of content, or what is added to one. At the message's end: why it ended.
    struct Block {
        text as "text": &'a RawValue,
        thinking as "thinking": &'a RawValue,
        stop_reason as "stop_reason": Word<'a>,
    }
}

object! {
    struct Message {
        model as "model": &'a RawValue,
        usage as "usage": &'a RawValue,
    }
}

object! {
    /// `input_tokens` leaves out what came from the cache or went into it.
    struct Usage {
        input as "input_tokens": &'a RawValue,
        cache_read as "cache_read_input_tokens": &'a RawValue,
        cache_creation as "cache_creation_input_tokens": &'a RawValue,
        output as "output_tokens": &'a RawValue,
    }
}

impl Dialect for Anthropic {
    const REASON_IS_ENOUGH: bool = false;

    fn whole<'a>(body: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
        json::read::<Whole>(body, ending)
    }
}

impl Payload for Anthropic {
    type Event<'a> = Event<'a>;

    fn read<'a>(
        event: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        if event.is_error() {
            ending.error = Some(error_words(payload));
            return Ok(Cow::Borrowed(""));
        }
        let kinds = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "ping",
        ];
        let kind = event.kind.known();
        if !kinds.iter().any(|name| is(kind, name)) {
            return Err(not_allowed("an event of an unknown shape", payload));
        }
        let wrong = |error: serde_json::Error| not_allowed(error.to_string(), payload);
        let message: Message<'_> = match event.message.known() {
            None => Message::default(),
            Some(message) => serde_json::from_str(message.get()).map_err(wrong)?,
        };
        ending.names(message.model.known());
        let usage = if event.usage.known().is_some() { event.usage } else { message.usage };
        count_usage(figures(usage), &mut ending.counts);
        ending.complete = is(kind, "message_stop");
        let block = event.delta.known().or(event.content_block.known());
        let Some(block) = block else { return Ok(Cow::Borrowed("")) };
        ending.reasons(block.stop_reason.as_ref());
        let thoughts = filled([block.thinking]).map_err(wrong)?;
        Ok(joined(thoughts, filled([block.text]).map_err(wrong)?))
    }
}

/// What a whole answer means.
struct Whole;

impl Payload for Whole {
    type Event<'a> = Event<'a>;

    fn read<'a>(
        event: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        if event.is_error() {
            ending.error = Some(error_words(payload));
            return Ok(Cow::Borrowed(""));
        }
        if !event.content.is_there() {
            return Err(not_allowed("a whole answer of an unknown shape", payload));
        }
        ending.names(event.model.known());
        ending.reasons(event.stop_reason.as_ref());
        count_usage(figures(event.usage), &mut ending.counts);
        filled([event.content]).map_err(|error| not_allowed(error.to_string(), payload))
    }
}

impl Event<'_> {
    fn is_error(&self) -> bool {
        let (error, code) = (self.error.known(), self.error_code.known());
        is_error(error, code, self.object.known(), self.kind.known())
    }
}

fn count_usage(usage: Option<Usage<'_>>, counts: &mut ServerCounts) {
    let Some(usage) = usage else { return };
    let new = count(usage.input);
    let cached = count(usage.cache_read);
    let written = count(usage.cache_creation);
    counts.prompt_tokens = sum([new, cached, written]).or(counts.prompt_tokens);
    counts.cached_tokens = cached.or(counts.cached_tokens);
    counts.tokens = count(usage.output).or(counts.tokens);
}
