//! Ollama's `/api/generate` and `/api/chat`: one JSON object per line, the last one with `done: true`.
//!
//! The last record may carry text; a stream without it is cut, however it was closed. Chat wraps the
//! text into a message and is otherwise the same.

use std::borrow::Cow;

use formats::endpoint::Api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Count, Text, error_message, joined, known, parse};
use super::lines::{LINE_LIMIT, Lines};
use super::{Chunk, DecodeError, Ending, Prompt, listed};

/// Settings that Ollama takes beside `options`, not in it.
const TOP_LEVEL: [&str; 7] =
    ["format", "keep_alive", "raw", "suffix", "system", "template", "think"];

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
pub struct Decoder {
    lines: Lines,
    ending: Ending,
}

/// One line, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    response: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Text<'a>>,
    error: Option<serde_json::Value>,
    total_duration: Option<Count>,
    load_duration: Option<Count>,
    prompt_eval_count: Option<Count>,
    prompt_eval_duration: Option<Count>,
    eval_count: Option<Count>,
    eval_duration: Option<Count>,
}

/// Where chat has its text.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { lines: Lines::new(LINE_LIMIT), ending: Ending::default() }
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
        let line = self.lines.get(line);
        let text = read(line, &mut self.ending)?;
        Ok(Some(Chunk { bytes: line.len(), text }))
    }

    /// A last line without its end; one that is cut in the middle is no chunk.
    fn last_chunk(&mut self) -> Option<Chunk<'_>> {
        let line = self.lines.rest().filter(|_| !self.ending.complete)?;
        let line = self.lines.get(line);
        let text = read(line, &mut self.ending).ok()?;
        Some(Chunk { bytes: line.len(), text })
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }
}

/// Text of a line; what it says of the answer's end goes to `ending`.
fn read<'a>(line: &'a [u8], ending: &mut Ending) -> Result<Cow<'a, str>, DecodeError> {
    let record: Record<'a> = parse(line)?;
    if let Some(error) = &record.error {
        ending.error = Some(error_message(error));
    }
    if record.done == Some(true) {
        ending.complete = true;
        ending.finish_reason = record.done_reason.map(|Text(reason)| reason.into_owned());
        ending.limited = ending.finish_reason.as_deref() == Some("length");
        let counts = &mut ending.counts;
        counts.total_ns = known(record.total_duration);
        counts.load_ns = known(record.load_duration);
        counts.prompt_tokens = known(record.prompt_eval_count);
        counts.prefill_ns = known(record.prompt_eval_duration);
        counts.tokens = known(record.eval_count);
        counts.decode_ns = known(record.eval_duration);
    }
    Ok(match record.message {
        None => joined(record.thinking, record.response),
        Some(message) => joined(message.thinking, message.content),
    })
}
