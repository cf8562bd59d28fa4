//! The loop over a plan's runs.

use std::path::{Path, PathBuf};
use std::thread;

use super::agenda::{self, Agenda};
use super::attempt::{Ended, Means, Task, attempt};
use super::paced::PacedServers;
use super::surroundings::{Surroundings, questions};
use super::{Cancel, ExecError, ExecEvent, Limits, calibrate, preflight, recovery};
use crate::manifest::study::RetryOn;
use crate::plan::{Plan, RunKey};
use crate::store::journal::{Journal, What};
use crate::store::{Layout, Lock, Store, StoreError, executed, set_aside};

/// How to execute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the results of all studies.
    pub results: PathBuf,
    pub skip_preflight: bool,
    pub stale: Stale,
    pub limits: Limits,
    /// The program that knows `agent`; usually this one.
    pub program: PathBuf,
}

/// What to do with finished runs that were measured under other circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// They count as done, and are listed.
    List,
    /// They count as done.
    Accept,
    /// They are set aside and measured again.
    Rerun,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub made: usize,
    /// Runs without a sealed record after all their attempts.
    pub failed: usize,
    pub not_built: usize,
    pub interrupted: bool,
}

/// Makes every planned run that is not sealed yet.
///
/// Blocks until it is done or `cancel` was asked. Call it from the main thread: the Rust agent ends
/// with the thread that started it.
pub fn execute(
    plan: &Plan,
    settings: &Settings,
    cancel: &Cancel,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Summary, ExecError> {
    let study = plan.study();
    let layout = Layout::new(&settings.results, &study.results_name())?;
    // A folder that cannot be locked is no obstacle while there is nothing to write.
    let lock = match Lock::acquire(&layout) {
        Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
        lock => lock,
    };
    let store = Store::open(&settings.results, &study.results_name())?;
    let mut surroundings = Surroundings::collect(study);
    let mut agenda = Agenda::new(plan, &store);
    agenda.meet_runtimes(study, &mut surroundings);

    let asks = !agenda.todo.is_empty() || settings.stale == Stale::Rerun;
    let findings = match asks {
        true => check(&lock, &layout, &agenda, settings, &mut surroundings),
        false => Vec::new(),
    };
    let stale = agenda::stale(plan, &store, &surroundings);
    if settings.stale == Stale::Rerun {
        agenda.add_stale(plan, &stale);
    }
    emit(ExecEvent::Started {
        study: study.results_name(),
        done: agenda.done,
        todo: agenda.todo.len(),
    });
    agenda.tell(settings.stale, &stale, &store, emit);
    if agenda.todo.is_empty() {
        return Ok(finish(agenda.summary(), emit));
    }
    if !settings.skip_preflight && !findings.is_empty() {
        return Err(ExecError::Preflight(findings));
    }
    for finding in findings {
        emit(ExecEvent::Note { message: finding });
    }
    let _lock = lock?;
    recovery::end_orphan(&layout, emit)?;
    let mut journal = Journal::open(&layout)?;
    recovery::set_partials_aside(&layout, &mut journal, emit)?;
    executed::write(&layout, agenda::executed_plan(plan)?)?;
    journal.write(What::Exec {
        runner: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        todo: agenda.todo.len(),
    })?;

    let mut session =
        Session { plan, settings, cancel, layout: &layout, store: &store, journal, surroundings };
    let (summary, result) = session.run(&agenda, &stale, emit);
    let ended = What::Ended {
        made: summary.made,
        failed: summary.failed,
        interrupted: summary.interrupted,
    };
    let journaled = session.journal.write(ended);
    let summary = finish(summary, emit);
    result?;
    journaled?;
    Ok(summary)
}

fn finish(summary: Summary, emit: &mut dyn FnMut(ExecEvent)) -> Summary {
    let Summary { made, failed, not_built, interrupted } = summary;
    emit(ExecEvent::Finished { made, failed, not_built, interrupted });
    summary
}

/// Everything that must be repaired before the first call.
fn check(
    lock: &Result<Lock, StoreError>,
    layout: &Layout,
    agenda: &Agenda,
    settings: &Settings,
    surroundings: &mut Surroundings,
) -> Vec<String> {
    let mut findings = Vec::new();
    if let Err(error) = lock {
        findings.push(format!("the results folder cannot be written: {error}"));
    }
    findings.extend(preflight::disk(layout.root()));
    let _ = settings;
    findings.extend(preflight::servers(&questions(agenda.specs()), surroundings));
    findings
}

struct Session<'a> {
    plan: &'a Plan,
    settings: &'a Settings,
    cancel: &'a Cancel,
    layout: &'a Layout,
    store: &'a Store,
    journal: Journal,
    surroundings: Surroundings,
}
