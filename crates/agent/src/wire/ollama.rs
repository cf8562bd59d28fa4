//! Ollama's `/api/generate` and `/api/chat`: one JSON object per line, the last one with `done: true`.
//!
//! The last record may carry text; a stream without it is cut, however it was closed. Chat wraps the
//! text into a message and is otherwise the same.

use std::borrow::Cow;

use formats::endpoint::Api;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::figures::count;
use super::json::{self, Payload, is_error, not_allowed};
use super::lines::{LineEnd, Lines};
use super::object::{Field, Word, object};
use super::opening::{Opening, page_so_far, title_of};
use super::text::{filled, joined};
use super::words::{after_error, error_words};
use super::{Chunk, DecodeError, Ending, Prompt, listed};

/// Settings that Ollama takes beside `options`, not in it.
const TOP_LEVEL: [&str; 9] =
    ["format", "keep_alive", "raw", "shift", "suffix", "system", "template", "think", "truncate"];

/// The body of a streaming request.
pub(super) fn body(prompt: &Prompt<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut options = Map::new();
    for (name, value) in prompt.options {
        let place = if TOP_LEVEL.contains(&name.as_str()) { &mut body } else { &mut options };
        // Ollama fails on a stop that is no list.
        let value = if name == "stop" { listed(value.clone()) } else { value.clone() };
        place.insert(name.clone(), value);
    }
    if let Some(limit) = prompt.max_tokens {
        options.insert("num_predict".to_owned(), json!(limit));
    }
    // A prompt that is longer than the context would be cut without a word.
    if !prompt.extra.contains_key("truncate") {
        body.entry("truncate").or_insert(Value::Bool(false));
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
    api: Api,
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
        response as "response": &'a RawValue,
        thinking as "thinking": &'a RawValue,
        message as "message": &'a RawValue,
        done as "done": &'a RawValue,
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
        content as "content": &'a RawValue,
        thinking as "thinking": &'a RawValue,
    }
}

impl Decoder {
    /// `is_document`: the server says that the body is one JSON document, and not one to a line.
    pub(super) fn new(api: Api, is_document: bool) -> Self {
        Self {
            api,
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
        self.opening = self.opening.look(&mut self.lines, |_| false)?;
        if self.opening != Opening::Stream {
            return self.lines.untaken().and_then(page_so_far).map(|()| None);
        }
        let line = loop {
            if self.ending.complete || self.ending.error.is_some() {
                return Ok(None);
            }
            match self.lines.next()? {
                None => return Ok(None),
                Some(line) if self.lines.get(line.clone()).trim_ascii().is_empty() => {}
                Some(line) => break line,
            }
        };
        if self.records == 0 && json::is_cut(self.lines.get(line.clone())) {
            // One document, spread over several lines.
            self.lines.take_back(&line);
            self.opening = Opening::Whole;
            return Ok(None);
        }
        let is_whole = self.is_document && self.records == 0;
        self.records += 1;
        record(self.api, is_whole, self.lines.get(line), &mut self.ending)
    }

    /// A last line without its end; one that is cut in the middle is no chunk.
    fn last_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
        if self.ending.complete || self.ending.error.is_some() {
            return Ok(None);
        }
        if self.opening == Opening::Whole {
            let body = self.lines.untaken()?.trim_ascii();
            if body.starts_with(b"<") {
                return Err(DecodeError::page(title_of(body)));
            }
            if json::is_cut(body) {
                return Ok(None);
            }
            let text = read(self.api, body, &mut self.ending)?;
            if self.ending.error.is_some() {
                return Ok(None);
            }
            if !self.ending.complete {
                return Err(not_allowed("a whole answer that is not done", body));
            }
            self.ending.not_streamed = true;
            return Ok(Some(Chunk { bytes: body.len(), text }));
        }
        let Some(line) = self.lines.rest() else { return Ok(None) };
        let line = self.lines.get(line);
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        // What a line that is wrong says of the end is not believed.
        let before = self.ending.clone();
        let is_whole = self.is_document && self.records == 0;
        match record(self.api, is_whole, line, &mut self.ending) {
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                self.ending = Ending {
                    model: self.ending.model.take(),
                    models: std::mem::take(&mut self.ending.models),
                    ..before
                };
                let line = line.trim_ascii();
                let is_alone = self.records == 0 && !json::is_cut(line);
                if is_alone || json::is_json(line) { Err(error) } else { Ok(None) }
            }
        }
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// A line as a chunk, unless it is an error; `is_whole`: one that is the last is a whole answer.
fn record<'a>(
    api: Api,
    is_whole: bool,
    line: &'a [u8],
    ending: &mut Ending,
) -> Result<Option<Chunk<'a>>, DecodeError> {
    let text = read(api, line, ending)?;
    ending.not_streamed = is_whole && ending.complete && !text.is_empty();
    let is_error = ending.error.is_some();
    Ok((!is_error).then_some(Chunk { bytes: line.len(), text }))
}

/// Text of a line; what it says of the answer's end goes to `ending`.
fn read<'a>(api: Api, line: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
    if let Some(words) = after_error(line) {
        ending.error = Some(error_words(words));
        return Ok(Cow::Borrowed(""));
    }
    if api == Api::OllamaChat {
        json::read::<Chat>(line, ending)
    } else {
        json::read::<Generate>(line, ending)
    }
}

/// What records of `/api/generate` mean.
struct Generate;

impl Payload for Generate {
    type Event<'a> = Record<'a>;

    fn read<'a>(
        record: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        let has_text = record.response.is_there() || record.thinking.is_there();
        if !record.ends(has_text, payload, ending)? {
            return Ok(Cow::Borrowed(""));
        }
        let text = texts(record.thinking, record.response);
        text.map_err(|error| not_allowed(error.to_string(), payload))
    }
}

/// What records of `/api/chat` mean.
struct Chat;

impl Payload for Chat {
    type Event<'a> = Record<'a>;

    fn read<'a>(
        record: Self::Event<'a>,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<Cow<'a, str>, DecodeError> {
        if !record.ends(record.message.is_there(), payload, ending)? {
            return Ok(Cow::Borrowed(""));
        }
        let Some(message) = record.message.known() else { return Ok(Cow::Borrowed("")) };
        let text = serde_json::from_str(message.get())
            .and_then(|message: Message<'a>| texts(message.thinking, message.content));
        text.map_err(|error| not_allowed(error.to_string(), payload))
    }
}

/// Thoughts, then what is said.
fn texts<'a>(
    thoughts: Field<&'a RawValue>,
    said: Field<&'a RawValue>,
) -> serde_json::Result<Cow<'a, str>> {
    Ok(joined(filled([thoughts])?, filled([said])?))
}

impl Record<'_> {
    /// Notes what the record says of the answer and its end; false: it is an error.
    fn ends(
        &self,
        has_text: bool,
        payload: &[u8],
        ending: &mut Ending,
    ) -> Result<bool, DecodeError> {
        let (error, code) = (self.error.known(), self.error_code.known());
        if is_error(error, code, self.object.known(), self.kind.known()) {
            ending.error = Some(error_words(payload));
            return Ok(false);
        }
        ending.names(self.model.known());
        ending.reasons(self.done_reason.as_ref());
        if !has_text && !self.done.is_there() {
            return Err(not_allowed("a record of an unknown shape", payload));
        }
        let done = match self.done.known().map(RawValue::get) {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => return Err(not_allowed("`done` is neither true or false", payload)),
        };
        if done {
            ending.complete = true;
            let counts = &mut ending.counts;
            counts.total_ns = count(self.total_duration);
            counts.load_ns = count(self.load_duration);
            counts.prompt_tokens = count(self.prompt_eval_count);
            counts.prefill_ns = count(self.prompt_eval_duration);
            counts.tokens = count(self.eval_count);
            counts.decode_ns = count(self.eval_duration);
        }
        Ok(true)
    }
}
