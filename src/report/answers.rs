//! How the calls of an experiment ended: counted by outcome and the server's reason, with its words, and what
//! the records refute or tell of the work beside it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, FailedAttempt};

/// Calls that ended alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ending {
    pub outcome: &'static str,
    /// Whether such calls are measurements.
    pub counts: bool,
    /// In the server's words; `None`: it told none.
    pub reason: Option<String>,
    /// What the first of them said; others say the same but for numbers.
    pub words: Option<String>,
    /// Measured calls of sealed runs.
    pub sealed: usize,
    /// Calls of failed attempts, warm-up included: any of them can be what an attempt failed by.
    pub failed: usize,
}

/// What is to be known of answers beside their outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// That of the first call; the figures of others differ.
    pub text: String,
    /// Measured calls of sealed runs with such a note.
    pub calls: usize,
}

/// Endings of an experiment's calls, good ones first.
#[must_use]
pub fn endings<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    attempts: impl Iterator<Item = &'a FailedAttempt>,
) -> Vec<Ending> {
    let mut endings = BTreeMap::new();
    let mut add = |outcome: formats::protocol::Outcome, reason: &Option<String>, words, sealed| {
        let words: &Option<String> = words;
        let kind = words.as_deref().map(kind_of);
        let ending = endings.entry((outcome, reason.clone(), kind)).or_insert_with(|| Ending {
            outcome: outcome.name(),
            counts: outcome.counts(),
            reason: reason.clone(),
            words: words.clone(),
            sealed: 0,
            failed: 0,
        });
        *(if sealed { &mut ending.sealed } else { &mut ending.failed }) += 1;
    };
    for run in cells.flat_map(fresh) {
        for call in run.calls.iter().filter(|call| !call.warmup) {
            add(call.outcome, &call.finish_reason, &call.error, true);
        }
    }
    for call in attempts.flat_map(|attempt| &attempt.calls) {
        add(call.outcome, &call.finish_reason, &call.error, false);
    }
    endings.into_values().collect()
}

/// Messages are of one kind that are alike but for numbers, and for the plurals that go with them.
fn kind_of(message: &str) -> String {
    let kind = message.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let singular = kind.split_whitespace().map(|word| word.trim_end_matches('s'));
    singular.collect::<Vec<_>>().join(" ")
}

/// Notes on an experiment's measured calls, alike but for their figures, the commonest first.
#[must_use]
pub fn notes<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<Note> {
    let mut kinds: BTreeMap<String, Note> = BTreeMap::new();
    for run in cells.flat_map(fresh) {
        for text in run.calls.iter().filter(|call| !call.warmup).flat_map(|call| &call.notes) {
            let note =
                kinds.entry(kind_of(text)).or_insert_with(|| Note { text: text.clone(), calls: 0 });
            note.calls += 1;
        }
    }
    let mut notes: Vec<Note> = kinds.into_values().collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.calls));
    notes
}
