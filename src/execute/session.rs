//! From a plan to its runs: what is looked at before, and the loop over what is to do.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::agenda::{self, Agenda, StaleRuns};
use super::attempt::{Ended, Means, Task, attempt};
use super::doomed::Doomed;
use super::paced::PacedServers;
use super::runtimes::Runtimes;
use super::surroundings::Surroundings;
use super::tokenize::Texts;
use super::{
    Cancel, ExecError, ExecEvent, Limits, calibrate, declare, flamegraph, recovery, sampling,
};
use crate::agent::python::{self, Program};
use crate::manifest::study::{OnFailure, RetryOn};
use crate::plan::{CellId, CellSpec, Plan, RunKey};
use crate::preflight::{self, Facts, Finding, Needs, Place, Severity};
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
    /// Start although cells cannot be made: they are recorded as failed. The results must be writable
    /// all the same.
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
        self.failed == 0 && !self.interrupted
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

    // Nothing is asked that is not needed: a finished study needs no server.
    let place =
        Place { results: layout.root(), study_folder: &study.dir, python: &settings.python };
    let needs = match settings.stale {
        Stale::Rerun => agenda::all_needs(plan),
        Stale::List | Stale::Accept => agenda.needs(plan),
    };
    let mut facts = Facts::default();
    if !needs.cells.is_empty() {
        facts = Facts::gather(&needs, place);
        for (name, need) in &needs.endpoints {
            if let Some(Ok(server)) = facts.servers.get(name) {
                surroundings.meet_server(name, &need.endpoint, server);
            }
        }
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
    Agenda::tell(settings.stale, &stale, &store, emit);
    let mut summary = Summary::default();
    if settings.stale != Stale::Rerun {
        summary.stale = stale.len();
    }
    if agenda.todo.is_empty() {
        // What was asked to see whether runs are stale may not have been told.
        for finding in preflight::judge(&needs, &facts) {
            emit(ExecEvent::Found { finding });
        }
        return Ok(finish(summary, emit));
    }
    let needs = agenda.needs(plan);
    let runtimes = prepare_python(&needs, settings, &mut facts, emit);
    if cancel.is_asked() {
        summary.interrupted = true;
        return Ok(finish(summary, emit));
    }
    let mut findings = preflight::judge(&needs, &facts);
    if let Err(error) = &lock {
        findings.insert(0, Finding::results(error, &needs.cells));
    }
    let blocks = |finding: &Finding| {
        finding.is_absolute() || finding.severity == Severity::Blocking && !settings.skip_preflight
    };
    if findings.iter().any(blocks) {
        return Err(ExecError::Preflight(findings));
    }
    let doomed = preflight::doomed(&findings);
    for finding in findings {
        emit(ExecEvent::Found { finding });
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
        doomed,
        refused: 0,
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
    let Summary { made, failed, interrupted, .. } = summary;
    emit(ExecEvent::Finished { made, failed, interrupted });
    summary
}

/// Makes the Python runtime's programs ready that runs need: never within a run, and before
/// calibrating. What comes of it is a fact like others.
fn prepare_python(
    needs: &Needs,
    settings: &Settings,
    facts: &mut Facts,
    emit: &mut dyn FnMut(ExecEvent),
) -> Runtimes {
    let mut runtimes =
        Runtimes { rust: settings.program.clone(), python: None, python_tokenize: None };
    for program in needs.python.keys().copied() {
        let setup = settings.python.with(program);
        let place = match program {
            Program::Calls => &mut runtimes.python,
            Program::Tokenize => &mut runtimes.python_tokenize,
        };
        match setup.prepare(&mut |message| emit(ExecEvent::Note { message })) {
            Ok(python) => *place = Some(python),
            Err(error) => {
                facts.python.insert(program, preflight::Python::Unusable(error.to_string()));
            }
        }
    }
    runtimes
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
    /// Cells that cannot be made, with what stands against them.
    pub(super) doomed: HashMap<CellId, String>,
    /// Runs of theirs that were recorded as failed.
    refused: usize,
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
            let decided = agenda.decided(*run).is_some();
            let doomed = self.doomed.get(&self.plan.id(run.cell)).filter(|_| !decided).cloned();
            if let Some(reason) = doomed {
                if self.stops(emit) {
                    return Ok(());
                }
                self.refuse(index, &Target::asked(self.plan, *run, cell), &reason, emit)?;
                self.summary.failed += 1;
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
            // Those that were not tried were known to fail when it was started all the same.
            let failed = self.summary.failed - self.refused;
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

    /// Records a run that cannot be made as failed, without trying. A stale run at its place stays.
    pub(super) fn refuse(
        &mut self,
        index: usize,
        target: &Target<'_>,
        reason: &str,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<(), ExecError> {
        self.check_disk()?;
        let (id, name) = (target.id.hex(), target.name.clone());
        let folder = self.store.cell_folder(&id, &name)?;
        let (repeat, attempt) = (target.repeat, 1);
        emit(ExecEvent::RunStarted {
            index,
            cell: id.clone(),
            name: name.clone(),
            repeat,
            attempt,
        });
        let doomed = Doomed { target, cell: &id, folder: &folder, reason };
        let kept = doomed.record(self.store.layout(), &mut self.journal)?;
        let reason = reason.to_owned();
        emit(ExecEvent::AttemptFailed { name, repeat, attempt, reason, kept, retry: false });
        self.refused += 1;
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
                Ended::Sealed { wall, metrics, changed } => {
                    self.summary.made += 1;
                    for model in &changed {
                        self.surroundings.meet_model(model);
                        emit(ExecEvent::Note { message: model.sentence() });
                    }
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
            Some(free) => Err(ExecError::DiskFull { folder: root.to_owned(), free }),
            None => Ok(()),
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
