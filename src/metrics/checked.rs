//! A call's record held against itself: what cannot be is unknown, with the reason, and never a number.
//!
//! A record that no run can have left is the executor's business, and fails the attempt.

use formats::protocol::{CallRecord, Outcome, ServerCounts};

use super::conventions::{Tokens, convention};
use super::pace::Pace;
use super::{Conditions, ms};
use crate::store::record::Serving;

/// Least time in which an engine makes a token of one answer.
const LEAST_TOKEN_NS: u64 = 10_000;
/// Least time in which anything is worked on.
const LEAST_WORK_NS: u64 = 1_000;
/// Tokens that a call without any length may have.
const MOST_AT_ONCE: u64 = 1_000;

/// What the record of a call can be believed to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// Without what the record refutes.
    pub server: ServerCounts,
    pub tokens: Tokens,
    pub pace: Option<Pace>,
    /// Tokens of the prompt that the prefill worked on.
    pub prefilled: Option<u64>,
    /// What cannot be, and what is to be known of the answer; in words.
    pub notes: Vec<String>,
}

impl Checked {
    /// `serving`: what is known of the server.
    #[must_use]
    pub fn new(call: &CallRecord, serving: &Serving, conditions: &Conditions<'_>) -> Self {
        let mut notes = Vec::new();
        let server = counts(call, &mut notes);
        let tokens = Tokens::of(call, &server, serving);
        let held_back = conditions.held_back || conditions.throttled;
        let decode_ns = server.decode_ns.filter(|_| !held_back);
        let pace = match Pace::of(call, tokens.with_text, decode_ns) {
            Ok(pace) => pace,
            Err(reason) => {
                notes.push(format!("client_tokens_per_s is unknown: {reason}"));
                None
            }
        };
        let cold = conditions.cold && call.call == 0;
        let prefilled = prefilled(&server, serving, cold);
        of_the_work(call, &server, serving, &mut notes);
        Self { server, tokens, pace, prefilled, notes }
    }
}

/// The server's figures, without those that the call refutes.
fn counts(call: &CallRecord, notes: &mut Vec<String>) -> ServerCounts {
    let mut told = call.server.clone();
    let mut refute = |figure: &mut Option<u64>, wrong: bool, why: &dyn Fn(u64) -> String| {
        if let Some(value) = figure.filter(|_| wrong) {
            notes.push(why(value));
            *figure = None;
        }
    };
    let has_text = !call.text_offsets_ns.is_empty();
    let whole_ns = call.end_ns.saturating_sub(call.start_ns);
    let tokens = told.tokens.unwrap_or(0);
    refute(&mut told.tokens, has_text && tokens == 0, &|_| {
        "the server counts no tokens beside text".to_owned()
    });
    refute(&mut told.tokens, !has_text && tokens > 0, &|count| {
        format!("the server counts {count} tokens beside no text")
    });
    refute(&mut told.tokens, tokens > MOST_AT_ONCE + whole_ns / LEAST_WORK_NS, &|count| {
        format!("the server counts {count} tokens in a call of {} ms", ms(whole_ns).round())
    });
    let prompt = told.prompt_tokens.unwrap_or(0);
    refute(&mut told.prompt_tokens, prompt == 0, &|_| {
        "the server counts no tokens of the prompt".to_owned()
    });
    refute(&mut told.prompt_tokens, prompt > 1_000_000_000, &|count| {
        format!("the server counts {count} tokens of the prompt")
    });
    let covered = told.decode_tokens.unwrap_or(0);
    let made = told.tokens.unwrap_or(u64::MAX);
    refute(&mut told.decode_tokens, covered > made, &|count| {
        format!("the server's decode time is told to be of {count} tokens, more than all")
    });
    let cached = told.cached_tokens.unwrap_or(0);
    refute(&mut told.cached_tokens, cached > prompt && prompt > 0, &|count| {
        format!("the server counts {count} cached tokens of a prompt of {prompt}")
    });
    // A clock may run a little differently, and a duration be rounded.
    let longest_ns = whole_ns + whole_ns / 100 + 2_000_000;
    for (figure, name) in [
        (&mut told.total_ns, "total"),
        (&mut told.load_ns, "load"),
        (&mut told.prefill_ns, "prefill"),
        (&mut told.decode_ns, "decode"),
    ] {
        let wrong = figure.is_some_and(|ns| ns > longest_ns);
        refute(figure, wrong, &|ns| {
            format!(
                "the server's {name} time of {} ms is longer than the call of {} ms",
                ms(ns).round(),
                ms(whole_ns).round()
            )
        });
    }
    let decoded = told.decode_ns.unwrap_or(0);
    let least_ns = LEAST_TOKEN_NS * tokens.saturating_sub(1).clamp(1, 1 << 30);
    refute(&mut told.decode_ns, decoded < least_ns, &|ns| {
        let of =
            if tokens == 0 { String::new() } else { format!(" for {}", plural(tokens, "token")) };
        format!("the server's decode time of {ns} ns cannot be{of}")
    });
    let prefill = told.prefill_ns.unwrap_or(0);
    refute(&mut told.prefill_ns, prefill < LEAST_WORK_NS, &|ns| {
        format!("the server's prefill time of {ns} ns cannot be")
    });
    if let ServerCounts {
        total_ns: Some(total),
        load_ns: Some(load),
        prefill_ns: Some(prefill),
        decode_ns: Some(decode),
        ..
    } = told
        && load.saturating_add(prefill).saturating_add(decode) > total
    {
        notes.push("the server's stages together are longer than its total".to_owned());
    }
    told
}

pub(super) fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `cold`: the server held no model before, so that nothing can have been cached.
fn prefilled(server: &ServerCounts, serving: &Serving, cold: bool) -> Option<u64> {
    let prompt = server.prompt_tokens?;
    let never_cached = convention(serving).is_some_and(|row| !row.caches_prompts);
    let new = match server.cached_tokens {
        Some(cached) => prompt.checked_sub(cached)?,
        None if never_cached || cold => prompt,
        None => return None,
    };
    (new > 0).then_some(new)
}

/// What became of the work that was asked for.
fn of_the_work(
    call: &CallRecord,
    server: &ServerCounts,
    serving: &Serving,
    notes: &mut Vec<String>,
) {
    if !call.outcome.counts() {
        return;
    }
    if call.server.tokens.is_none() {
        notes
            .push("the server reported no token count, so there are no rates by tokens".to_owned());
    }
    match call.finish_reason.as_deref() {
        None => notes.push("the server gave no finish reason".to_owned()),
        Some(reason @ ("tool_calls" | "tool_use" | "function_call")) => {
            notes.push(format!(
                "client_tokens_per_s is unknown: the answer ended with a tool call ({reason}), whose tokens \
                 are counted with those of the text"
            ));
        }
        Some(_) => {}
    }
    if let Some((tokens, limit)) = server.tokens.zip(serving.limit)
        && serving.ignores_end
        && tokens < limit
    {
        notes.push(format!(
            "ignore_eos was asked for, and the answer ended with {tokens} of {limit} tokens"
        ));
    }
    if let Some((tokens, limit)) = server.tokens.zip(serving.limit)
        && call.outcome == Outcome::Length
        && tokens < limit
    {
        notes.push(format!(
            "the context was full: the answer ended with {tokens} of {limit} tokens"
        ));
    }
    if let Some(((prompt, tokens), context)) =
        server.prompt_tokens.zip(server.tokens).zip(serving.context)
    {
        if prompt >= context {
            notes.push(format!("the prompt filled the context of {context} tokens: it was cut"));
        } else if prompt + tokens > context {
            notes.push(format!(
                "the window moved: {prompt} tokens of prompt and {tokens} of answer in a context of {context}"
            ));
        }
    }
}
