//! From a plan to its runs: what is looked at before, and the loop over what is to do.

use std::collections::HashSet;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::agenda::{self, Agenda, StaleRuns};
use super::attempt::{Ended, Means, Task, attempt};
use super::paced::PacedServers;
use super::runtimes::{PYTHON, Runtimes};
use super::surroundings::{Surroundings, questions};
use super::tokenize::{self, Texts};
use super::{
    Cancel, ExecError, ExecEvent, Limits, calibrate, declare, flamegraph, preflight, recovery,
    sampling,
};
use crate::agent::python::{self, PythonError};
use crate::manifest::study::{OnFailure, RetryOn};
use crate::plan::{CellId, CellSpec, CellWork, Plan, RunKey};
use crate::probe::gpu::Driver;
use crate::probe::py_spy;
use crate::probe::sampling::Unavailable;
use crate::store::journal::{Journal, What};
use crate::store::record::FallbackOf;
use crate::store::{Layout, Lock, Store, StoreError, executed, set_aside};

/// How to execute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the results of all studies.
    pub results: PathBuf,
    pub skip_preflight: bool,
    pub stale: Stale,
    /// Add a run for every outlier that has none yet.
    pub rerun_outliers: bool,
    pub limits: Limits,
    /// The program that knows `agent`; usually this one.
    pub program: PathBuf,
    /// Where the Python runtime comes from.
    pub python: python::Setup,
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
    /// Runs that failed and in whose place a fallback was made.
    pub fell_back: usize,
    /// Finished runs that were measured under other circumstances and stay.
    pub stale: usize,
    pub interrupted: bool,
}

impl Summary {
    /// Whether every planned run is there now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.not_built == 0 && !self.interrupted
    }
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
    let mut agenda = Agenda::new(plan, &store);
    if settings.rerun_outliers {
        agenda.add_outliers(plan, &store);
    }
    let mut surroundings = Surroundings::collect(study, &settings.python);

    // Servers are asked only when they are needed: a finished study needs none.
    let mut findings = Vec::new();
    if !agenda.todo.is_empty() || settings.stale == Stale::Rerun {
        let questions = match settings.stale {
            Stale::Rerun => questions(agenda::all_specs(plan).iter()),
            Stale::List | Stale::Accept => questions(agenda.specs()),
        };
        findings = preflight::servers(&questions, &mut surroundings);
        findings.extend(tokenize::findings(agenda.specs()));
    }
    let stale = agenda::stale(plan, &store, &mut surroundings);
    if settings.stale == Stale::Rerun {
        agenda.add_stale(plan, &stale);
    }
    emit(ExecEvent::Started {
        study: study.results_name(),
        done: agenda.done,
        todo: agenda.todo.len(),
    });
    agenda.tell(settings.stale, &stale, &store, emit);
    let mut summary = agenda.summary();
    if settings.stale != Stale::Rerun {
        summary.stale = stale.len();
    }
    if agenda.todo.is_empty() {
        for message in findings {
            emit(ExecEvent::Note { message });
        }
        return Ok(finish(summary, emit));
    }

    let runtimes = match prepare_python(&agenda, settings, emit) {
        Err(_) if cancel.is_asked() => {
            summary.interrupted = true;
            return Ok(finish(summary, emit));
        }
        // Nothing makes up for it, so it cannot be skipped like other findings.
        Err(error) if findings.is_empty() || settings.skip_preflight => return Err(error.into()),
        Err(error) => {
            findings.insert(0, error.to_string());
            return Err(ExecError::Preflight(findings));
        }
        Ok(runtimes) => runtimes,
    };
    if let Err(error) = &lock {
        findings.insert(0, format!("the results cannot be written: {error}"));
    }
    findings.extend(preflight::disk(layout.root()));
    if !settings.skip_preflight && !findings.is_empty() {
        return Err(ExecError::Preflight(findings));
    }
    for message in findings {
        emit(ExecEvent::Note { message });
    }
    let _lock = lock?;
    recovery::end_orphan(&layout, emit)?;
    let mut journal = Journal::open(&layout)?;
    recovery::set_partials_aside(&layout, &mut journal, emit)?;
    executed::write(&layout, declare::executed_plan(plan, &store)?)?;
    let todo = agenda.todo.len();
    let runner = env!("CARGO_PKG_VERSION").to_owned();
    journal.write(What::Exec { runner, pid: std::process::id(), todo })?;

    let began = crate::os::utc_now();
    let mut session = Session {
        plan,
        settings,
        runtimes,
        cancel,
        store: &store,
        began,
        journal,
        surroundings,
        py_spy: None,
        sealed: HashSet::new(),
        texts: Texts::default(),
        driver: None,
        summary,
    };
    let result = session.run(&agenda, &stale, emit);
    let Summary { made, failed, interrupted, .. } = session.summary;
    let journaled = session.journal.write(What::Ended { made, failed, interrupted });
    let summary = finish(session.summary, emit);
    result?;
    journaled?;
    Ok(summary)
}

fn finish(summary: Summary, emit: &mut dyn FnMut(ExecEvent)) -> Summary {
    let Summary { made, failed, not_built, interrupted, .. } = summary;
    emit(ExecEvent::Finished { made, failed, not_built, interrupted });
    summary
}

/// Makes the Python runtime's programs ready that runs need: never within a run, and before
/// calibrating.
fn prepare_python(
    agenda: &Agenda,
    settings: &Settings,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Runtimes, PythonError> {
    let mut runtimes =
        Runtimes { rust: settings.program.clone(), python: None, python_tokenize: None };
    let mut say = |message| emit(ExecEvent::Note { message });
    for cell in agenda.specs().filter(|cell| cell.runtime == PYTHON) {
        match &cell.work {
            CellWork::Tokenize(_) if runtimes.python_tokenize.is_none() => {
                let setup = settings.python.for_tokenizers();
                runtimes.python_tokenize = Some(setup.prepare(&mut say)?);
            }
            CellWork::Scenario(_) if runtimes.python.is_none() => {
                runtimes.python = Some(settings.python.prepare(&mut say)?);
            }
            _ => {}
        }
    }
    Ok(runtimes)
}

/// An exec with something to do, under its lock.
pub(super) struct Session<'a> {
    pub(super) plan: &'a Plan,
    settings: &'a Settings,
    runtimes: Runtimes,
    pub(super) cancel: &'a Cancel,
    pub(super) store: &'a Store,
    /// When it began: what tells its prompts from those of other sessions.
    began: String,
    pub(super) journal: Journal,
    pub(super) surroundings: Surroundings,
    /// Looked for when the first run needs it.
    py_spy: Option<Result<PathBuf, String>>,
    /// What was sealed since the store was read.
    pub(super) sealed: HashSet<(CellId, u32)>,
    /// Written when the first run needs them.
    texts: Texts,
    /// The same of a GPU's driver.
    driver: Option<Result<Driver, Unavailable>>,
    summary: Summary,
}

/// A run to make: of a cell of the plan, or of one that stands in for it.
pub(super) struct Target<'a> {
    pub id: CellId,
    pub name: String,
    pub cell: &'a CellSpec,
    pub repeat: u32,
    pub fallback_of: Option<FallbackOf>,
    pub rerun_of: Option<u32>,
}

impl<'a> Target<'a> {
    fn asked(plan: &Plan, run: RunKey, cell: &'a CellSpec) -> Self {
        let (id, name) = (plan.id(run.cell), plan.name(run.cell));
        Self { id, name, cell, repeat: run.repeat, fallback_of: None, rerun_of: None }
    }
}

/// How a run ended, all its attempts made.
pub(super) enum Made {
    Sealed,
    /// It failed, and a fallback was made in its place.
    FellBack,
    Failed(FailedRun),
    Cancelled,
}

/// A run that gave no record.
pub(super) struct FailedRun {
    pub because: String,
    /// `None`: nothing that a fallback could help.
    pub cause: Option<RetryOn>,
}

impl Session<'_> {
    fn run(
        &mut self,
        agenda: &Agenda,
        stale: &StaleRuns,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<(), ExecError> {
        for (index, run) in (1..).zip(&agenda.todo) {
            let Some(cell) = agenda.spec(run.cell) else { continue };
            if self.sealed.contains(&(self.plan.id(run.cell), run.repeat)) {
                // Another run needed it as its fallback.
                continue;
            }
            self.surroundings.meet_runtime(cell, self.plan.study());
            // The error of timestamps says nothing of work that takes none.
            let calls = cell.scenario().is_some();
            if calls && !self.surroundings.tried_calibration(cell) {
                self.calibrate(cell, emit)?;
            }
            if self.stops(emit) {
                return Ok(());
            }
            let outcome = self.settle(index, *run, agenda, stale.get(run), emit)?;
            match outcome {
                Made::Sealed => {}
                Made::FellBack => self.summary.fell_back += 1,
                Made::Cancelled => self.summary.interrupted = true,
                Made::Failed(_) => self.summary.failed += 1,
            }
            let failed = self.summary.failed;
            if let OnFailure::StopAfter(most) = self.plan.study().on_failure
                && failed >= most as usize
                && index < agenda.todo.len()
            {
                emit(ExecEvent::TooManyFailures { failed });
                return Ok(());
            }
        }
        // Asked for during the last run: nothing was left undone.
        Ok(())
    }

    /// Makes a run or, if it fails or failed before, what stands in for it.
    fn settle(
        &mut self,
        index: usize,
        run: RunKey,
        agenda: &Agenda,
        stale: Option<&Vec<String>>,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<Made, ExecError> {
        if let Some(decision) = agenda.decided(run) {
            return self.fall_back(index, run, decision.into(), emit);
        }
        let Some(cell) = agenda.spec(run.cell) else { return Ok(Made::Cancelled) };
        let rerun_of = agenda.rerun_of(run);
        let asked = Target { rerun_of, ..Target::asked(self.plan, run, cell) };
        match self.make(index, &asked, stale, emit)? {
            Made::Failed(failed) if self.falls_back(run.cell, &failed) => {
                self.fall_back(index, run, failed.into(), emit)
            }
            made => Ok(made),
        }
    }

    /// Whether the user wants to stop before the next run.
    fn stops(&mut self, emit: &mut dyn FnMut(ExecEvent)) -> bool {
        if self.cancel.is_news() {
            emit(ExecEvent::Stopping);
        }
        self.summary.interrupted |= self.cancel.is_asked();
        self.summary.interrupted
    }

    fn calibrate(
        &mut self,
        cell: &CellSpec,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<(), ExecError> {
        let settings = calibrate::settings(cell);
        emit(ExecEvent::Calibrating { runtime: cell.runtime.clone(), settings });
        let instrument = calibrate::Instrument {
            layout: self.store.layout(),
            like: cell,
            runtimes: &self.runtimes,
            study_folder: &self.plan.study().dir,
            limits: &self.settings.limits,
            cancel: self.cancel,
        };
        let calibration = match calibrate::calibrate(&instrument, emit) {
            Ok(calibration) => {
                emit(ExecEvent::Calibrated { calibration: calibration.clone() });
                Some(calibration)
            }
            Err(calibrate::Failure::Exec(error)) => return Err(error),
            Err(calibrate::Failure::Unknown(reason)) => {
                let runtime = &cell.runtime;
                let message = format!("the runtime `{runtime}` could not be calibrated: {reason}");
                emit(ExecEvent::Note { message });
                None
            }
        };
        self.surroundings.calibrated(cell, calibration);
        Ok(())
    }

    /// Makes one run, in as many attempts as its policy allows.
    pub(super) fn make(
        &mut self,
        index: usize,
        target: &Target<'_>,
        stale: Option<&Vec<String>>,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<Made, ExecError> {
        let (cell, repeat) = (target.cell, target.repeat);
        let (id, name) = (target.id.hex(), target.name.clone());
        let folder = self.store.cell_folder(&id, &name)?;
        let layout = self.store.layout();
        if let Some(because) = stale {
            self.supersede(&id, repeat, because)?;
        }
        recovery::set_damaged_aside(self.store, &folder, repeat, &mut self.journal, emit)?;
        if sampling::needs_driver(cell) && self.driver.is_none() {
            self.driver = Some(Driver::find());
        }
        if flamegraph::needs_py_spy(cell) && self.py_spy.is_none() {
            let found = py_spy::find(&mut |message| emit(ExecEvent::Note { message }));
            self.py_spy = Some(found.map_err(|error| error.to_string()));
        }
        let paced = PacedServers::start(cell)?;
        for number in 1.. {
            self.check_disk()?;
            emit(ExecEvent::RunStarted {
                index,
                cell: id.clone(),
                name: name.clone(),
                repeat,
                attempt: number,
            });
            let task = Task {
                layout,
                cell,
                id: &id,
                name: &name,
                folder: &folder,
                repeat,
                attempt: number,
                fallback_of: target.fallback_of.as_ref(),
                rerun_of: target.rerun_of,
            };
            let mut means = Means {
                session: &self.began,
                runtimes: &self.runtimes,
                study_folder: &self.plan.study().dir,
                paced: &paced,
                limits: &self.settings.limits,
                cancel: self.cancel,
                py_spy: self.py_spy.as_ref(),
                texts: &mut self.texts,
                driver: self.driver.as_ref(),
                journal: &mut self.journal,
                emit,
            };
            match attempt(task, self.surroundings.evidence(cell), &mut means)? {
                Ended::Sealed { wall, metrics } => {
                    self.summary.made += 1;
                    self.sealed.insert((target.id, repeat));
                    emit(ExecEvent::RunFinished { name, repeat, wall, metrics });
                    return Ok(Made::Sealed);
                }
                Ended::Failed { message, retry_cause, refused, cancelled, kept } => {
                    let retry = !self.cancel.is_asked()
                        && number <= cell.retry.max
                        && retry_cause.is_some_and(|cause| cell.retry.on.contains(&cause));
                    emit(ExecEvent::AttemptFailed {
                        name: name.clone(),
                        repeat,
                        attempt: number,
                        reason: message.clone(),
                        kept,
                        retry,
                    });
                    if !retry {
                        if cancelled {
                            return Ok(Made::Cancelled);
                        }
                        let cause = retry_cause.filter(|_| !refused);
                        return Ok(Made::Failed(FailedRun { because: message, cause }));
                    }
                    self.journal.write(What::Retried {
                        cell: id.clone(),
                        repeat,
                        attempt: number,
                    })?;
                    if retry_cause == Some(RetryOn::Connect) {
                        thread::sleep(self.backoff(number));
                    }
                }
            }
        }
        // The loop ends within: there is a last attempt.
        Ok(Made::Cancelled)
    }

    fn backoff(&self, attempts: u32) -> Duration {
        self.settings.limits.connect_backoff.saturating_mul(attempts)
    }

    fn check_disk(&self) -> Result<(), ExecError> {
        let root = self.store.layout().root();
        match preflight::free_below(root) {
            Some(free) if !self.settings.skip_preflight => {
                Err(ExecError::DiskFull { folder: root.to_owned(), free })
            }
            _ => Ok(()),
        }
    }

    /// Moves a stale run out of the way; nothing is deleted.
    fn supersede(&mut self, cell: &str, repeat: u32, because: &[String]) -> Result<(), ExecError> {
        let Some(folder) = self.store.folder(cell, repeat) else { return Ok(()) };
        let layout = self.store.layout();
        let place = layout.superseded().join(layout.cell_part(folder)).join(repeat.to_string());
        let kept = layout.relative(&set_aside(folder, &place)?);
        let because = because.to_vec();
        self.journal.write(What::Superseded { cell: cell.to_owned(), repeat, kept, because })?;
        Ok(())
    }
}
