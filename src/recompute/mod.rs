//! The metrics of stored runs again, from their raw artifacts and by today's formulas.
//!
//! Why it exists: a formula that was corrected must not cost new measurements, and anybody must be able to
//! see that stored metrics follow from the stored data. A record is replaced only where a metric differs;
//! the one before is kept, and the new one says what computed it. Files that are not as they were measured
//! are refused unless they are accepted, which the record then says for ever. What is printed is left to
//! `cli`.
//!
//! A program that counts more than the one before contradicts no record: what a record lacks is new where
//! another program made it, or where a metric was declared since.

mod change;

use std::path::Path;

use formats::clock;
use formats::protocol::RECORD_FILE;
use rayon::prelude::*;
use serde::Serialize;

use crate::manifest::command::Pick;
use crate::metrics::{self, MetricsError, Seen, UnknownWork, Work};
use crate::store::journal::Journal;
use crate::store::record::{CodeEvidence, RUN_FILE, Recomputation, RunRecord};
use crate::store::sealed::Sealed;
use crate::store::verify::{self, Compared, Wrong};
use crate::store::{Store, StoreError, reseal::reseal};

pub use change::{Change, Kind, changes};

/// A sealed run of the store, with the metrics that are declared for its files.
#[derive(Debug, Clone)]
pub struct Target {
    /// 32 hex digits.
    pub cell: String,
    pub repeat: u32,
    pub picks: Vec<Pick>,
}

/// How to go about it.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Nothing is written.
    Check,
    Write {
        journal: &'a mut Journal,
        /// Also compute from files that are not as they were measured.
        accept_changed: bool,
    },
}

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunResult {
    /// Its folder, relative to the study's.
    pub run: String,
    #[serde(flatten)]
    pub end: End,
    /// What differs from the record; those of the run first, then call by call.
    pub changes: Vec<Change>,
    /// Files that are not as they were measured.
    pub touched: Vec<Wrong>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum End {
    /// The record says what follows from its artifacts.
    AsStored,
    /// What it says does, and there are metrics that it lacks; nothing was to be written.
    New,
    /// What it says does not, and nothing was to be written.
    Differs,
    Recomputed,
    /// Files are not as they were measured, and nobody accepted them.
    Refused,
    /// It cannot be computed; the record is as it was.
    Failed {
        reason: String,
    },
}

/// Computes the metrics of these runs again; the results are in the order of the runs' folders. An error
/// means that nothing more can be written; what was written stands. `runner` is this program, which is asked
/// for only if something differs.
pub fn recompute(
    store: &Store,
    targets: &[Target],
    mode: Mode<'_>,
    runner: impl FnOnce() -> CodeEvidence,
) -> Result<Vec<RunResult>, StoreError> {
    let sealed = Sealed::read(store.layout())?;
    let mut found: Vec<(RunResult, Option<Again<'_>>)> =
        targets.par_iter().filter_map(|target| look(store, target, &sealed)).collect();
    found.sort_by(|(a, _), (b, _)| a.run.cmp(&b.run));
    if found.iter().all(|(_, again)| again.is_none()) {
        return Ok(found.into_iter().map(|(result, _)| result).collect());
    }
    let runner = runner();
    for (result, again) in &mut found {
        if let Some(again) = again {
            again.tell_apart(&runner, result);
        }
    }
    let Mode::Write { journal, accept_changed } = mode else {
        return Ok(found.into_iter().map(|(result, _)| result).collect());
    };
    let mut results = Vec::with_capacity(found.len());
    for (mut result, again) in found {
        let refused = result.touched.iter().any(Wrong::is_unaccepted) && !accept_changed;
        match again {
            Some(_) if refused => result.end = End::Refused,
            Some(again) => {
                let by = again.by(runner.clone());
                reseal(store.layout(), journal, again.folder, again.record, by)?;
                result.end = End::Recomputed;
            }
            None => {}
        }
        results.push(result);
    }
    Ok(results)
}

/// A record that differs from the stored one.
struct Again<'s> {
    folder: &'s Path,
    picks: &'s [Pick],
    record: RunRecord,
    compared: Compared,
}

impl Again<'_> {
    /// Tells what is new from what contradicts the record.
    fn tell_apart(&self, runner: &CodeEvidence, result: &mut RunResult) {
        // What was taken out of a record is missing in it, too.
        if result.touched.iter().any(Wrong::is_unaccepted) {
            return;
        }
        let last = self.record.recomputed.last();
        let counted = last.map_or(&self.record.evidence.runner, |by| &by.runner);
        let same = counted.digest.is_some() && counted.digest == runner.digest;
        for change in &mut result.changes {
            let declared = |change: &Change| {
                change.before.is_none() && self.picks.iter().any(|own| own.name == change.metric)
            };
            if change.is_lacking() && (!same || declared(change)) {
                change.kind = Kind::New;
            }
        }
        if result.changes.iter().all(|change| change.kind == Kind::New) {
            result.end = End::New;
        }
    }

    fn by(&self, runner: CodeEvidence) -> Recomputation {
        let Compared { record, files, wrong } = &self.compared;
        let accepted = wrong.iter().filter_map(|wrong| match (wrong.file()?, wrong) {
            (_, Wrong::Restored { .. }) | (RUN_FILE, Wrong::Accepted { .. }) => None,
            (RUN_FILE, _) => Some((RUN_FILE.to_owned(), Some(record.clone()))),
            (file, _) => Some((file.to_owned(), files.get(file).cloned())),
        });
        Recomputation {
            time: clock::utc_now(),
            runner,
            before: record.sha256.clone(),
            kept: String::new(),
            accepted: accepted.collect(),
        }
    }
}

/// Compares one run with its artifacts; with its new record, if that differs.
fn look<'s>(
    store: &'s Store,
    target: &'s Target,
    sealed: &Sealed,
) -> Option<(RunResult, Option<Again<'s>>)> {
    let stored = store.runs(&target.cell).get(&target.repeat)?;
    let folder = store.folder(&target.cell, target.repeat)?;
    let mut result = RunResult {
        run: store.layout().below(folder),
        end: End::AsStored,
        changes: Vec::new(),
        touched: Vec::new(),
    };
    let found =
        verify::compare(folder, stored, sealed).map_err(Unreadable::from).and_then(|compared| {
            result.touched.clone_from(&compared.wrong);
            Ok((again(folder, stored, &target.picks)?, compared))
        });
    let again = match found {
        Err(reason) => {
            result.end = End::Failed { reason: reason.to_string() };
            None
        }
        Ok((record, compared)) => {
            result.changes = changes(stored, &record);
            (!result.changes.is_empty()).then(|| {
                result.end = End::Differs;
                Again { folder, picks: &target.picks, record, compared }
            })
        }
    };
    Some((result, again))
}

/// Why a run cannot be computed again.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Work(#[from] UnknownWork),
}

/// The record with everything that follows from the artifacts in its folder. Of a command, metrics that
/// nothing declares any more, and those that need what its record does not hold, stay as they were.
pub fn again(folder: &Path, stored: &RunRecord, picks: &[Pick]) -> Result<RunRecord, Unreadable> {
    let work = Work::of(stored, picks)?;
    let computed = work.metrics(folder, Seen::of(stored))?;
    let mut record = RunRecord {
        calls: computed.calls,
        agents: computed.agents,
        metrics: computed.run,
        ..stored.clone()
    };
    match work {
        Work::Scenario(_) | Work::Import => {}
        Work::Tokenize => {
            let done = metrics::read_record(&folder.join(RECORD_FILE))?.tokenize;
            record.tokens = stored.tokens.as_ref().zip(done).map(|(then, done)| {
                metrics::tokenize::summary(then.corpus_sha256.clone(), then.corpus_bytes, &done)
            });
        }
        Work::Command { .. } => {
            for (name, value) in &stored.metrics {
                record.metrics.entry(name.clone()).or_insert(*value);
            }
        }
    }
    Ok(record)
}
