//! The stream of OpenAI-compatible servers: server-sent events, the last one `data: [DONE]`.
//!
//! Reads what OpenAI, llama.cpp, vLLM, `SGLang` and LM Studio send for chat and for completions,
//! llama.cpp's `timings` and its `error:` field included. Only `choices[0]` counts.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use super::decode::{
    Chunk, Count, DecodeError, Ending, Text, error_body, error_message, joined, known, nanoseconds,
    parse, shortened,
};
use super::lines::{LINE_LIMIT, Lines};

/// Incremental decoder of one answer.
#[derive(Debug)]
pub struct Decoder {
    lines: Lines,
    /// Data of the event that is being read; `data:` lines of one event are joined by `\n`.
    event: Vec<u8>,
    has_data: bool,
    /// The event was dispatched and gives way to the next one.
    dispatched: bool,
    ending: Ending,
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

impl Default for Decoder {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE_LIMIT),
            event: Vec::with_capacity(1024),
            has_data: false,
            dispatched: false,
            ending: Ending::default(),
        }
    }
}

impl Decoder {
    /// Adds bytes of the response body; what follows `[DONE]` is of no interest.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.ending.complete {
            self.lines.push(bytes);
        }
    }

    /// The next event with data.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        while !self.ending.complete {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            if self.take(line)? {
                let text = read(&self.event, &mut self.ending)?;
                return Ok(Some(Chunk { bytes: self.event.len(), text }));
            }
        }
        Ok(None)
    }

    /// A last event without its blank line; one that is cut in the middle is no chunk.
    pub fn last_chunk(&mut self) -> Option<Chunk<'_>> {
        if self.ending.complete {
            return None;
        }
        if let Some(line) = self.lines.rest() {
            self.take(line).ok()?;
        }
        // An empty range stands for the blank line that is missing.
        if !self.take(0..0).ok()? {
            return None;
        }
        let text = read(&self.event, &mut self.ending).ok()?;
        Some(Chunk { bytes: self.event.len(), text })
    }

    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Some servers close the connection after the finish reason, without `[DONE]`.
    #[must_use]
    pub fn complete_at_close(&self) -> bool {
        self.ending.complete || self.ending.finish_reason.is_some()
    }

    /// Takes one line; true when it completed an event that is to be read.
    fn take(&mut self, line: Range<usize>) -> Result<bool, DecodeError> {
        if self.dispatched {
            self.event.clear();
            self.dispatched = false;
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let line = self.lines.get(line);
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.event.push(b'\n');
                }
                if self.event.len() + value.len() > LINE_LIMIT {
                    return Err(DecodeError::TooLong { limit: LINE_LIMIT });
                }
                self.event.extend_from_slice(value);
                self.has_data = true;
            }
            b"error" => self.ending.error = Some(error_body(value).unwrap_or_default()),
            // A line that starts with a colon is a comment, often a keep-alive.
            b"" | b"event" | b"id" | b"retry" => {}
            _ => self.ending.error = Some(bare_error(line)?),
        }
        Ok(false)
    }

    /// The end of an event; true when it has data to be read.
    fn dispatch(&mut self) -> bool {
        if !self.has_data {
            return false;
        }
        self.has_data = false;
        self.dispatched = true;
        if self.event.trim_ascii() == b"[DONE]" {
            self.ending.complete = true;
            return false;
        }
        !self.event.trim_ascii().is_empty()
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
        ending.finish_reason = Some(reason.into_owned());
    }
    Ok(match choice.delta {
        None => joined(choice.text, None),
        Some(delta) => joined(delta.reasoning.or(delta.reasoning_content), delta.content),
    })
}
