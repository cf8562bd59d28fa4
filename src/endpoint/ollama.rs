//! The stream of Ollama's `/api/generate`: one JSON object per line, the last one with `done: true`.
//!
//! The last record may carry text; a stream without it is cut, however it was closed.

use std::borrow::Cow;

use serde::Deserialize;

use super::decode::{Chunk, Count, DecodeError, Ending, Text, error_message, joined, known, parse};
use super::lines::{LINE_LIMIT, Lines};

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

impl Default for Decoder {
    fn default() -> Self {
        Self { lines: Lines::new(LINE_LIMIT), ending: Ending::default() }
    }
}

impl Decoder {
    /// Adds bytes of the response body; what follows the last record is of no interest.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.ending.complete {
            self.lines.push(bytes);
        }
    }

    /// The next whole line that is not blank.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, DecodeError> {
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
    pub fn last_chunk(&mut self) -> Option<Chunk<'_>> {
        let line = self.lines.rest().filter(|_| !self.ending.complete)?;
        let line = self.lines.get(line);
        let text = read(line, &mut self.ending).ok()?;
        Some(Chunk { bytes: line.len(), text })
    }

    #[must_use]
    pub fn ending(&self) -> &Ending {
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
        let counts = &mut ending.counts;
        counts.total_ns = known(record.total_duration);
        counts.load_ns = known(record.load_duration);
        counts.prompt_tokens = known(record.prompt_eval_count);
        counts.prefill_ns = known(record.prompt_eval_duration);
        counts.tokens = known(record.eval_count);
        counts.decode_ns = known(record.eval_duration);
    }
    Ok(joined(record.thinking, record.response))
}
