//! What an answer is that was read to its end: success is a list, and every other end has its own outcome.

use formats::endpoint::{Api, Family};
use formats::protocol::{AgentSpec, Outcome};

use super::taker::Taker;
use crate::wire::{Ending, Reason, is_same_model, reason};

/// Chunks at an answer's end that are alike from which on a message says that they are.
const ALIKE: usize = 20;

/// How a call ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) error: Option<String>,
}

impl End {
    pub(super) fn failed(outcome: Outcome, error: impl Into<String>) -> Self {
        Self { outcome, error: Some(error.into()) }
    }
}

/// What was asked for, by which an answer is judged.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    api: Api,
    model: &'a str,
    answers_as: &'a [String],
    /// Tokens of the answer.
    limit: Option<u64>,
    /// An answer counts though its context was full.
    accepts_full: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(agent: &'a AgentSpec) -> Self {
        Self {
            api: agent.api,
            model: &agent.model,
            answers_as: &agent.answers_as,
            limit: agent.asked_tokens(),
            accepts_full: agent.accept_context_full,
        }
    }

    /// An answer that has its end mark, or all that its server sends.
    pub(super) fn whole(&self, ending: &Ending, taker: &Taker<'_>) -> End {
        let word = ending.finish_reason.as_deref();
        let meaning = word.map(|word| reason(self.api, word));
        if meaning == Some(Reason::Other) {
            let word = word.unwrap_or_default();
            let message = format!("the server ended the answer for the reason \"{word}\"");
            return End::failed(Outcome::Refused, message);
        }
        if let Some(other) = ending.models.iter().find(|told| !self.is_asked_for(told)) {
            let message = format!(
                "the answer is of model \"{other}\", \"{}\" was asked for; if it is the same model by another \
                 name, list that name in the endpoint's answers_as",
                self.model
            );
            return End::failed(Outcome::OtherModel, message);
        }
        if ending.not_streamed {
            let message = "a whole JSON answer came in place of a stream";
            return End::failed(Outcome::NotStreamed, message);
        }
        let tokens = ending.counts.tokens;
        if !taker.has_text() {
            let reason = word.map_or_else(|| "none told".to_owned(), |word| format!("\"{word}\""));
            let counted = tokens.map_or_else(
                || "no tokens counted by the server".to_owned(),
                |tokens| format!("{tokens} tokens by the server's count"),
            );
            let message = format!("the answer has no text (reason: {reason}, {counted})");
            return End::failed(Outcome::Empty, message);
        }
        let length = End { outcome: Outcome::Length, error: None };
        if self.accepts_full && matches!(meaning, Some(Reason::Full | Reason::Length)) {
            return length;
        }
        if meaning == Some(Reason::Full) {
            let word = word.unwrap_or_default();
            let message = format!("the server says that the context was full (reason: \"{word}\")");
            return End::failed(Outcome::ContextFull, message);
        }
        if meaning != Some(Reason::Length) {
            return End { outcome: Outcome::Ok, error: None };
        }
        // No tokens beside text are no count.
        match tokens.filter(|tokens| *tokens > 0).zip(self.limit) {
            Some((tokens, limit)) if tokens < limit => {
                let message = format!(
                    "the answer ended with {tokens} of {limit} tokens: the context was full, or the server has \
                     a limit of its own"
                );
                End::failed(Outcome::ContextFull, message)
            }
            _ => length,
        }
    }

    /// A stream that ended without its end mark.
    pub(super) fn cut(&self, taker: &Taker<'_>) -> End {
        let mut message = "the stream ended without the server's last record".to_owned();
        if self.api.family() == Family::Ollama && taker.last_texts_are_alike(ALIKE) {
            message += "; its last chunks are all the same text, and Ollama ends a stream so when one token \
                        came some 30 times in a row";
        }
        End::failed(Outcome::Truncated, message)
    }

    fn is_asked_for(&self, told: &str) -> bool {
        is_same_model(self.model, told)
            || self.answers_as.iter().any(|name| is_same_model(name, told))
    }
}
