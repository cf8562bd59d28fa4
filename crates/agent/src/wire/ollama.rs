//! Ollama's `/api/generate` and `/api/chat`: one JSON object per line, the last one with `done: true`.
//!
//! The last record may carry text; a stream without it is cut, however it was closed. Chat wraps the
//! text into a message and is otherwise the same.

use std::borrow::Cow;
use std::ops::Range;

use formats::endpoint::Api;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::json::{self, Payload, Text, Word, count, filled, joined, not_allowed, object};
use super::lines::{LineEnd, Lines};
use super::opening::Opening;
use super::words::{error_words, is, is_filled, page};
use super::{Chunk, DecodeError, Ending, Prompt};

/// Settings that Ollama takes beside `options`, not in it.
const TOP_LEVEL: [&str; 7] =
    ["format", "keep_alive", "raw", "suffix", "system", "template", "think"];

/// The body of a streaming request.
pub(super) fn body(prompt: &Prompt<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut options = Map::new();
    for (name, value) in prompt.options {
        let place = if TOP_LEVEL.contains(&name.as_str()) { &mut body } else { &mut options };
        place.insert(name.clone(), value.clone());
    }
    if let Some(limit) = prompt.max_tokens {
        options.insert("num_predict".to_owned(), json!(limit));
    }
    body.insert("model".to_owned(), json!(prompt.model));
    if prompt.api == Api::OllamaChat {
        // Chat has no key for a system prompt: it is the first message.
        let system = body.remove("system").map(|text| json!({ "role": "system", "content": text }));
        let user = json!({ "role": "user", "content": prompt.text });
        let messages = system.into_iter().chain([user]).collect::<Vec<_>>();
        body.insert("messages".to_owned(), json!(messages));
    } else {
        body.insert("prompt".to_owned(), json!(prompt.text));
    }
    body.insert("stream".to_owned(), json!(true));
    // Without the key the server's own defaults hold, which is what a baseline measures.
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    body
}

/// Incremental decoder of one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    opening: Opening,
    /// The body is said to be one JSON document.
    is_document: bool,
    lines: Lines,
    /// Records that were read.
    records: u64,
    ending: Ending,
}

object! {
    /// One line.
    struct Record {
        model as "model": &'a RawValue,
        response as "response": Text<'a>,
        thinking as "thinking": Text<'a>,
        message as "message": &'a RawValue,
        done as "done": bool,
        done_reason as "done_reason": Word<'a>,
        error as "error": &'a RawValue,
        error_code as "error_code": &'a RawValue,
        object as "object": &'a RawValue,
        kind as "type": &'a RawValue,
        total_duration as "total_duration": &'a RawValue,
        load_duration as "load_duration": &'a RawValue,
        prompt_eval_count as "prompt_eval_count": &'a RawValue,
        prompt_eval_duration as "prompt_eval_duration": &'a RawValue,
        eval_count as "eval_count": &'a RawValue,
        eval_duration as "eval_duration": &'a RawValue,
    }
}

object! {
    /// Where chat has its text.
    struct Message {
        content as "content": Text<'a>,
        thinking as "thinking": Text<'a>,
    }
}

impl Decoder {
    /// `is_document`: the server says that the body is one JSON document, and not one to a line.
    pub(super) fn new(is_document: bool) -> Self {
        Self {
            opening: Opening::Unknown,
            is_document,
            lines: Lines::new(LineEnd::Feed),
            records: 0,
            ending: Ending::default(),
        }
    }
}

impl super::Decoder for Decoder {
    /// Adds bytes of the response body; what follows the last record is of no interest.
    fn push(&mut self, bytes: &[u8]) {
        if !self.ending.complete {
            self.lines.push(bytes);
        }
    }

    /// The next whole line that is not blank.
    fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        self.opening = self.opening.look(&mut self.lines, is_spread)?;
        if self.opening != Opening::Stream {
            return Ok(None);
        }
        let line = loop {
            if self.ending.complete {
                return Ok(None);
            }
            match self.lines.next()? {
                None => return Ok(None),
                Some(line) if self.lines.get(line.clone()).trim_ascii().is_empty() => {}
                Some(line) => break line,
            }
        };
        self.record(line).map(Some)
    }

    /// A last line without its end; one that is cut in the middle is no chunk.
    fn last_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        if self.ending.complete {
            return Ok(None);
        }
        if self.opening == Opening::Whole {
            let body = self.lines.untaken()?.trim_ascii();
            if body.starts_with(b"<") {
                return Err(DecodeError::Page(page(body)));
            }
            let text = json::read::<Ollama>(body, &mut self.ending)?;
            self.ending.not_streamed = self.ending.complete;
            return Ok(Some(Chunk { bytes: body.len(), text }));
        }
        let Some(line) = self.lines.rest() else { return Ok(None) };
        Ok(self.record(line).ok())
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }
}

impl Decoder {
    fn record(&mut self, line: Range<usize>) -> Result<Chunk<'_>, DecodeError> {
        let line = self.lines.get(line);
        let text = json::read::<Ollama>(line, &mut self.ending)?;
        let whole = self.is_document && self.records == 0 && self.ending.complete;
        self.ending.not_streamed = whole && !text.is_empty();
        self.records += 1;
        Ok(Chunk { bytes: line.len(), text })
    }
}

/// Whether a JSON document is spread over several lines; `None`: its first line is not there yet.
fn is_spread(body: &[u8]) -> Option<bool> {
    if !body.starts_with(b"{") {
        return Some(false);
    }
    let mut rest = body[1..].iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    rest.next().map(|&byte| byte == b'\n')
}

/// What records mean here.
struct Ollama;

impl Payload for Ollama {
    type Event<'a> = Record<'a>;

    fn read<'a>(
        record: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        if is_filled(record.error)
            || is_filled(record.error_code)
            || is(record.object, "error")
            || is(record.kind, "error")
        {
            ending.error = Some(error_words(payload));
            return Ok(Cow::Borrowed(""));
        }
        let has_text = record.response.is_some() || record.thinking.is_some();
        if !has_text && record.message.is_none() && record.done.is_none() {
            return Err(not_allowed("a record of an unknown shape", payload));
        }
        ending.names(record.model);
        if record.done == Some(true) {
            ending.complete = true;
            ending.reasons(record.done_reason);
            let counts = &mut ending.counts;
            counts.total_ns = count(record.total_duration);
            counts.load_ns = count(record.load_duration);
            counts.prompt_tokens = count(record.prompt_eval_count);
            counts.prefill_ns = count(record.prompt_eval_duration);
            counts.tokens = count(record.eval_count);
            counts.decode_ns = count(record.eval_duration);
        }
        let message = match record.message {
            None => Message::default(),
            Some(message) => serde_json::from_str(message.get())
                .map_err(|error| not_allowed(error.to_string(), payload))?,
        };
        let thoughts = filled([record.thinking, message.thinking]).0;
        Ok(joined(thoughts, filled([record.response, message.content]).0))
    }
}
