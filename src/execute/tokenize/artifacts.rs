//! The contract of a tokenizer run's artifacts: every pass that was asked for, whole, and alike.

use std::path::Path;

use formats::protocol::{
    AgentRecord, PassRecord, RECORD_FILE, TOKENIZE_COLUMNS, TOKENIZE_FILE, TokenizeRecord,
    TokenizeSpec,
};

use super::TokenizeFault;
use super::texts::Text;
use crate::execute::artifacts::{header, read};
use crate::execute::fault::{ArtifactFault, AttemptFault};
use crate::metrics::tokenize::PartRow;
use crate::os::files;

/// Reads the record and holds it, and the table of parts, against what was asked for.
pub(super) fn check(
    folder: &Path,
    asked: &TokenizeSpec,
    text: &Text,
) -> Result<(AgentRecord, TokenizeRecord), AttemptFault> {
    let mut record = read(folder)?;
    let fault = |file, reason| AttemptFault::from(TokenizeFault::Record { file, reason });
    let Some(done) = record.tokenize.take() else {
        return Err(fault(RECORD_FILE, "`tokenize` is missing".to_owned()));
    };
    passes(&done, asked, text).map_err(|reason| fault(RECORD_FILE, reason))?;
    let path = folder.join(TOKENIZE_FILE);
    let unreadable = |error: csv::Error| ArtifactFault::Unreadable {
        path: TOKENIZE_FILE.into(),
        reason: error.to_string(),
    };
    let file = files::open(&path).map_err(|error| unreadable(error.into()))?;
    let mut reader = csv::Reader::from_reader(file);
    header(TOKENIZE_FILE, reader.headers().map_err(unreadable)?, &TOKENIZE_COLUMNS)?;
    let rows = reader.deserialize().collect::<Result<Vec<PartRow>, _>>().map_err(unreadable)?;
    parts(&done, &rows).map_err(|reason| fault(TOKENIZE_FILE, reason))?;
    Ok((record, done))
}

/// Each pass over each mode once, over all parts; and what was encoded gave the same ids each time.
fn passes(done: &TokenizeRecord, asked: &TokenizeSpec, text: &Text) -> Result<(), String> {
    let rounds = asked.warmup.saturating_add(asked.passes);
    for mode in asked.modes.iter().map(|mode| mode.mode) {
        let name = mode.name();
        let mut own = done.passes.iter().filter(|pass| pass.mode == mode);
        let mut first: Option<&PassRecord> = None;
        for number in 0..rounds {
            let pass = own.next().ok_or_else(|| format!("pass {number} of {name} is missing"))?;
            if pass.pass != number || pass.warmup != (number < asked.warmup) {
                return Err(format!("pass {number} of {name} is out of order"));
            }
            let cut = text.cut(mode);
            if (pass.parts, pass.bytes) != (cut.parts, cut.bytes) {
                return Err(format!(
                    "pass {number} of {name} has {} parts and {} bytes, asked for were {} and {}",
                    pass.parts, pass.bytes, cut.parts, cut.bytes
                ));
            }
            if pass.end_ns < pass.start_ns || pass.start_ns < done.load.end_ns {
                return Err(format!("the times of pass {number} of {name} are in no order"));
            }
            let first = *first.get_or_insert(pass);
            if pass.ids_sha256 != first.ids_sha256 || pass.tokens != first.tokens {
                return Err(format!("pass {number} of {name} gave other ids than the first"));
            }
        }
        if own.next().is_some() {
            return Err(format!("{name} has more than {rounds} passes"));
        }
    }
    Ok(())
}

/// A row for every part of every pass, which add up to what the record says.
fn parts(done: &TokenizeRecord, rows: &[PartRow]) -> Result<(), String> {
    let mut rest = rows;
    for pass in &done.passes {
        let name = format!("pass {} of {}", pass.pass, pass.mode.name());
        let count = usize::try_from(pass.parts).unwrap_or(usize::MAX);
        let own = rest.get(..count).ok_or_else(|| format!("rows of {name} are missing"))?;
        rest = &rest[count..];
        let in_place = own
            .iter()
            .zip(0..)
            .all(|(row, part)| row.mode == pass.mode && row.pass == pass.pass && row.part == part);
        if !in_place {
            return Err(format!("the rows of {name} are not in their place"));
        }
        let sum = |of: fn(&PartRow) -> u64| own.iter().map(of).sum::<u64>();
        if (sum(|row| row.bytes), sum(|row| row.tokens)) != (pass.bytes, pass.tokens) {
            return Err(format!("the rows of {name} do not add up to its record"));
        }
        if sum(|row| row.encode_ns) > pass.end_ns - pass.start_ns {
            return Err(format!("the parts of {name} took longer than all of it"));
        }
    }
    if rest.is_empty() { Ok(()) } else { Err("it has rows of no recorded pass".to_owned()) }
}
