//! OpenAI's `/v1/chat/completions` and `/v1/completions`: server-sent events, the last one `data: [DONE]`.
//!
//! Reads what OpenAI, llama.cpp, vLLM, `SGLang` and LM Studio send for chat and for completions,
//! llama.cpp's `timings` and its `error:` field included. Only the choice of index 0 counts.

use std::borrow::Cow;

use formats::endpoint::Api;
use formats::protocol::ServerCounts;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::figures::{count, figures, is_other_than_zero, milliseconds, sum};
use super::json::{self, Payload, is_error, not_allowed};
use super::object::{Entry, First, Word, object};
use super::sse::Dialect;
use super::text::{filled, joined};
use super::words::error_words;
use super::{DecodeError, Ending, Prompt};

/// The body of a streaming request.
pub(super) fn body(prompt: &Prompt<'_>) -> Map<String, Value> {
    let mut body: Map<String, Value> =
        prompt.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let named_by_ollama = body.remove("num_predict");
    if let Some(limit) = prompt.max_tokens.map(Value::from).or(named_by_ollama) {
        body.insert(prompt.dialect.max_tokens_as.name().to_owned(), limit);
    }
    body.insert("model".to_owned(), json!(prompt.model));
    if prompt.api == Api::OpenaiChat {
        let messages = json!([{ "role": "user", "content": prompt.text }]);
        body.insert("messages".to_owned(), messages);
    } else {
        body.insert("prompt".to_owned(), json!(prompt.text));
    }
    body.insert("stream".to_owned(), json!(true));
    if prompt.dialect.stream_options {
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    body
}

/// What events mean here.
#[derive(Debug)]
pub(super) struct OpenAi;

object! {
    /// One event, or a whole answer.
    struct Event {
        choices as "choices": First<Choice<'a>>,
        usage as "usage": &'a RawValue,
        timings as "timings": &'a RawValue,
        model as "model": &'a RawValue,
        error as "error": &'a RawValue,
        error_code as "error_code": &'a RawValue,
        object as "object": &'a RawValue,
        kind as "type": &'a RawValue,
    }
}

object! {
    struct Choice {
        index as "index": &'a RawValue,
        text as "text": &'a RawValue,
        delta as "delta": Delta<'a>,
        message as "message": &'a RawValue,
        finish_reason as "finish_reason": Word<'a>,
    }
}

impl Entry for Choice<'_> {
    /// Others are further answers to the same prompt.
    fn is_looked_for(&self) -> bool {
        !is_other_than_zero(self.index)
    }
}

object! {
    /// What is added to the answer.
    struct Delta {
        content as "content": &'a RawValue,
        reasoning as "reasoning": &'a RawValue,
        reasoning_content as "reasoning_content": &'a RawValue,
        reasoning_details as "reasoning_details": &'a RawValue,
    }
}

object! {
    struct Usage {
        prompt as "prompt_tokens": &'a RawValue,
        completion as "completion_tokens": &'a RawValue,
        details as "prompt_tokens_details": &'a RawValue,
    }
}

object! {
    struct PromptDetails {
        cached as "cached_tokens": &'a RawValue,
    }
}

object! {
    /// llama.cpp's own figures; `prompt_n` counts only what was not in its cache.
    struct Timings {
        cache_n as "cache_n": &'a RawValue,
        prompt_n as "prompt_n": &'a RawValue,
        prompt_ms as "prompt_ms": &'a RawValue,
        predicted_n as "predicted_n": &'a RawValue,
        predicted_ms as "predicted_ms": &'a RawValue,
    }
}

impl Dialect for OpenAi {
    /// Some servers close the connection after the finish reason, without `[DONE]`.
    const REASON_IS_ENOUGH: bool = true;

    fn whole<'a>(body: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
        json::read::<Self>(body, ending)
    }
}

impl Payload for OpenAi {
    type Event<'a> = Event<'a>;

    fn read<'a>(
        event: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        let (error, code) = (event.error.known(), event.error_code.known());
        if is_error(error, code, event.object.known(), event.kind.known()) {
            ending.error = Some(error_words(payload));
            return Ok(Cow::Borrowed(""));
        }
        if !event.choices.is_there() && !event.usage.is_there() && !event.timings.is_there() {
            return Err(not_allowed("an event of an unknown shape", payload));
        }
        ending.names(event.model.known());
        count_timings(figures(event.timings), &mut ending.counts);
        count_usage(figures(event.usage), &mut ending.counts);
        let Some(First(Some(choice))) = event.choices.known() else {
            return Ok(Cow::Borrowed(""));
        };
        ending.reasons(choice.finish_reason.as_ref());
        text(choice).map_err(|error| not_allowed(error.to_string(), payload))
    }
}

/// Thoughts and text of chat, or the text of completions.
fn text(choice: Choice<'_>) -> serde_json::Result<Cow<'_, str>> {
    let delta = match (choice.delta.known(), choice.message.known()) {
        (Some(delta), _) => delta,
        (None, Some(message)) => serde_json::from_str(message.get())?,
        (None, None) => Delta::default(),
    };
    let thoughts = filled([delta.reasoning, delta.reasoning_content, delta.reasoning_details])?;
    let text = joined(thoughts, filled([delta.content])?);
    if text.is_empty() { filled([choice.text]) } else { Ok(text) }
}

fn count_timings(timings: Option<Timings<'_>>, counts: &mut ServerCounts) {
    let Some(timings) = timings else { return };
    let (new, cached) = (count(timings.prompt_n), count(timings.cache_n));
    let tokens = count(timings.predicted_n);
    counts.prompt_tokens = sum([new, cached, None]).or(counts.prompt_tokens);
    counts.cached_tokens = cached.or(counts.cached_tokens);
    counts.prefill_ns = milliseconds(timings.prompt_ms).or(counts.prefill_ns);
    counts.tokens = tokens.or(counts.tokens);
    counts.decode_ns = milliseconds(timings.predicted_ms).or(counts.decode_ns);
    // Its clock starts with the first token.
    let after_first = tokens.and_then(|tokens| tokens.checked_sub(1));
    counts.decode_tokens = after_first.or(counts.decode_tokens);
}

fn count_usage(usage: Option<Usage<'_>>, counts: &mut ServerCounts) {
    let Some(usage) = usage else { return };
    let details: Option<PromptDetails<'_>> = figures(usage.details);
    counts.prompt_tokens = count(usage.prompt).or(counts.prompt_tokens);
    counts.tokens = count(usage.completion).or(counts.tokens);
    let cached = details.and_then(|details| count(details.cached));
    counts.cached_tokens = cached.or(counts.cached_tokens);
}
