//! OpenAI's `/v1/chat/completions` and `/v1/completions`: server-sent events, the last one `data: [DONE]`.
//!
//! Reads what OpenAI, llama.cpp, vLLM, `SGLang` and LM Studio send for chat and for completions,
//! llama.cpp's `timings` and its `error:` field included. Only `choices[0]` counts.

use std::borrow::Cow;

use formats::endpoint::Api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Count, Text, error_message, joined, known, nanoseconds, parse, shortened};
use super::sse::Dialect;
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

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Usage>,
    timings: Option<Timings>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Usage {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<Count>,
}

/// llama.cpp's own figures; `prompt_n` counts only what was not in its cache.
#[derive(Debug, Deserialize)]
struct Timings {
    cache_n: Option<Count>,
    prompt_n: Option<Count>,
    prompt_ms: Option<f64>,
    predicted_n: Option<Count>,
    predicted_ms: Option<f64>,
}

/// What events mean here.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    /// Some servers close the connection after the finish reason, without `[DONE]`.
    const REASON_IS_ENOUGH: bool = true;

    fn read<'a>(data: &'a [u8], ending: &mut Ending) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if data == b"[DONE]" {
            ending.complete = true;
            return Ok(None);
        }
        read(data, ending).map(Some)
    }

    fn stray(line: &[u8]) -> Result<String, DecodeError> {
        bare_error(line)
    }
}

/// The message of an error object that stands in the stream without `data:`; other lines break the
/// protocol, and skipping them could hide text.
fn bare_error(line: &[u8]) -> Result<String, DecodeError> {
    let event: Event<'_> = parse(line)?;
    event.error.as_ref().map(error_message).ok_or_else(|| DecodeError::NotJson {
        reason: "no field of an event".to_owned(),
        line: shortened(&String::from_utf8_lossy(line), 200),
    })
}

/// Text of an event; what it says of the answer's end goes to `ending`.
fn read<'a>(data: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
    let event: Event<'a> = parse(data)?;
    if let Some(error) = &event.error {
        ending.error = Some(error_message(error));
    }
    let counts = &mut ending.counts;
    if let Some(timings) = event.timings {
        let (new, cached) = (known(timings.prompt_n), known(timings.cache_n));
        counts.prompt_tokens = new.map(|new| new + cached.unwrap_or(0)).or(counts.prompt_tokens);
        counts.cached_tokens = cached.or(counts.cached_tokens);
        counts.prefill_ns = nanoseconds(timings.prompt_ms).or(counts.prefill_ns);
        counts.tokens = known(timings.predicted_n).or(counts.tokens);
        counts.decode_ns = nanoseconds(timings.predicted_ms).or(counts.decode_ns);
        // Its clock starts with the first token.
        let after_first = known(timings.predicted_n).and_then(|tokens| tokens.checked_sub(1));
        counts.decode_tokens = after_first.or(counts.decode_tokens);
    }
    if let Some(usage) = event.usage {
        let cached = usage.prompt_tokens_details.and_then(|details| known(details.cached_tokens));
        counts.prompt_tokens = known(usage.prompt_tokens).or(counts.prompt_tokens);
        counts.tokens = known(usage.completion_tokens).or(counts.tokens);
        counts.cached_tokens = cached.or(counts.cached_tokens);
    }
    let Some(choice) = event.choices.into_iter().flatten().next() else {
        return Ok(Cow::Borrowed(""));
    };
    if let Some(Text(reason)) = choice.finish_reason {
        ending.limited = reason == "length";
        ending.finish_reason = Some(reason.into_owned());
    }
    Ok(match choice.delta {
        None => joined(choice.text, None),
        Some(delta) => joined(delta.reasoning.or(delta.reasoning_content), delta.content),
    })
}
