//! An exec with something to do: the loop over its runs.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use agent::wire::secrets::Secrets;

use super::agenda::{Agenda, StaleRuns};
use super::attempt::{Ended, Means, Task, attempt};
use super::calibrate::Load;
use super::doomed::Doomed;
use super::machine::ServerProcesses;
use super::memory::ChangedModel;
use super::opening::{Settings, Summary};
use super::paced::PacedServers;
use super::pause::Pause;
use super::reach::{Reach, Reached};
use super::runtimes::Runtimes;
use super::surroundings::Surroundings;
use super::tokenize::Texts;
use super::{Cancel, ExecError, ExecEvent, calibrate, flamegraph, recovery, sampling};
use crate::manifest::study::{OnFailure, RetryOn};
use crate::plan::{CellId, CellSpec, Plan, RunKey};
use crate::preflight;
use crate::probe::gpu::Driver;
use crate::probe::py_spy;
use crate::probe::sampling::Unavailable;
use crate::store::fallback::Decision;
use crate::store::journal::{Journal, What};
use crate::store::record::{FallbackOf, RUN_FILE};
use crate::store::{Lock, Store, StoreError, set_aside};

/// An exec with something to do, under its lock.
pub(super) struct Session<'a> {
    pub(super) plan: Cow<'a, Plan>,
    pub(super) settings: &'a Settings,
    pub(super) runtimes: Runtimes,
    /// The keys of the study's endpoints.
    pub(super) secrets: Secrets,
    pub(super) cancel: &'a Cancel,
    pub(super) store: Store,
    /// Held as long as it lasts.
    pub(super) lock: Lock,
    /// The folders of the runs that it made.
    pub(super) made: Vec<PathBuf>,
    /// When it began: what tells its prompts from those of other sessions.
    pub(super) began: String,
    pub(super) journal: Journal,
    pub(super) surroundings: Surroundings,
    /// Looked for when the first run needs it.
    pub(super) py_spy: Option<Result<PathBuf, String>>,
    /// Cells that cannot be made, with what stands against them.
    pub(super) doomed: HashMap<CellId, String>,
    /// Runs of theirs that were recorded as failed.
    pub(super) refused: usize,
    /// What was sealed since the store was read.
    pub(super) sealed: HashSet<(CellId, u32)>,
    /// Fallbacks that were moved out of the way since.
    pub(super) superseded: HashSet<(String, u32)>,
    /// Written when the first run needs them.
    pub(super) texts: Texts,
    /// Of the GPUs; looked for when it is needed first.
    pub(super) driver: OnceCell<Result<Driver, Unavailable>>,
    /// Of the servers on this machine.
    pub(super) server_processes: ServerProcesses,
    pub(super) reach: Reach,
    pub(super) summary: Summary,
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
    /// Its endpoint is gone.
    NotTried,
    Cancelled,
}

/// A run that gave no record.
pub(super) struct FailedRun {
    pub because: String,
    /// `None`: nothing that a fallback could help.
    pub cause: Option<RetryOn>,
}

impl Session<'_> {
    /// Makes the runs, and writes into the journal what became of them.
    pub(super) fn carry_out(
        &mut self,
        agenda: &Agenda,
        stale: &StaleRuns,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<(), ExecError> {
        let result = self.run(agenda, stale, emit);
        let Summary { made, failed, interrupted, .. } = self.summary;
        let journaled = self.journal.write(What::Ended { made, failed, interrupted });
        result?;
        journaled?;
        self.lock.check()?;
        match self.made.iter().find(|run| !run.join(RUN_FILE).is_file()) {
            Some(run) => Err(StoreError::Gone { path: run.clone() }.into()),
            None => Ok(()),
        }
    }

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
                self.refuse(index, &Target::asked(&self.plan, *run, cell), &reason, emit)?;
                self.summary.failed += 1;
                continue;
            }
            self.surroundings.meet_runtime(cell, self.plan.study());
            // The error of timestamps says nothing of work that takes none.
            let calls = cell.scenario().is_some();
            if calls && !calibrate::by_itself(cell) {
                let load = Load::of(cell, self.measured_rate(run.cell));
                if !self.surroundings.recall_calibration(cell, &load) {
                    self.calibrate(cell, &load, emit)?;
                }
            }
            if self.stops(emit) {
                return Ok(());
            }
            let outcome = self.settle(index, *run, agenda, stale.get(run), emit)?;
            match outcome {
                Made::Sealed => {}
                Made::FellBack => self.summary.fell_back += 1,
                Made::NotTried => self.summary.not_tried += 1,
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
        if let Some(untried) = self.untried(cell, emit) {
            return Ok(untried);
        }
        if let (Some(because), Some(decision)) = (stale, agenda.settled(run)) {
            self.supersede_fallback(decision, because)?;
        }
        let rerun_of = agenda.rerun_of(run);
        let asked = Target { rerun_of, ..Target::asked(&self.plan, run, cell) };
        match self.make(index, &asked, stale, emit)? {
            Made::Failed(failed) if self.falls_back(run.cell, &failed) => {
                self.fall_back(index, run, failed.into(), emit)
            }
            made => Ok(made),
        }
    }

    /// Why a run of this cell need not be tried now.
    pub(super) fn untried(
        &mut self,
        cell: &CellSpec,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Option<Made> {
        match self.reach.check(cell, &self.settings.limits, self.cancel, emit) {
            Reached::Yes => None,
            Reached::No => Some(Made::NotTried),
            Reached::Cancelled => Some(Made::Cancelled),
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

    /// Tokens per second of one stream in the stored runs of a cell; unknown where there is none.
    fn measured_rate(&self, cell: u32) -> Option<f64> {
        let runs = self.store.runs(&self.plan.id(cell).hex());
        let rates = runs.values().filter_map(|run| *run.metrics.get("client_tokens_per_s")?);
        let (sum, count) = rates.fold((0.0, 0.0), |(sum, count), rate| (sum + rate, count + 1.0));
        (sum > 0.0).then(|| sum / count)
    }

    fn calibrate(
        &mut self,
        cell: &CellSpec,
        load: &Load,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<(), ExecError> {
        emit(ExecEvent::Calibrating {
            runtime: cell.runtime.clone(),
            settings: load.settings.clone(),
            streams: load.apis.len(),
            rate_tok_s: load.rate_tok_s,
        });
        let instrument = calibrate::Instrument {
            layout: self.store.layout(),
            like: cell,
            load,
            runtimes: &self.runtimes,
            study_folder: &self.plan.study().dir,
            limits: &self.settings.limits,
            cancel: self.cancel,
        };
        let calibration = match calibrate::calibrate(&instrument, &mut self.journal, emit) {
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
        self.surroundings.calibrated(cell, load, calibration);
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
        self.check_results()?;
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
        let layout = self.store.layout().clone();
        if let Some(because) = stale {
            self.supersede(&id, repeat, because)?;
        }
        let place = (id.as_str(), folder.as_path());
        recovery::set_damaged_aside(&self.store, place, repeat, &mut self.journal, emit)?;
        self.find_instruments(cell, emit);
        let paced = PacedServers::start(cell)?;
        for number in 1.. {
            self.check_results()?;
            emit(ExecEvent::RunStarted {
                index,
                cell: id.clone(),
                name: name.clone(),
                repeat,
                attempt: number,
            });
            let task = Task {
                layout: &layout,
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
                secrets: &self.secrets,
                limits: &self.settings.limits,
                cancel: self.cancel,
                py_spy: self.py_spy.as_ref(),
                texts: &mut self.texts,
                driver: &self.driver,
                server_processes: &mut self.server_processes,
                journal: &mut self.journal,
                emit,
            };
            let ended = attempt(task, self.surroundings.evidence(cell), &mut means);
            self.lock.check()?;
            match ended? {
                Ended::Sealed { wall, metrics, changed } => {
                    self.note_sealed(target, folder.join(repeat.to_string()), &changed, emit);
                    emit(ExecEvent::RunFinished { name, repeat, wall, metrics });
                    return Ok(Made::Sealed);
                }
                Ended::Failed {
                    message,
                    retry_cause,
                    is_final,
                    refused,
                    unreached,
                    cancelled,
                    busy,
                    kept,
                } => {
                    if let Some(endpoint) = unreached {
                        self.reach.note_refusal(&endpoint);
                    }
                    let retry = !self.cancel.is_asked()
                        && number <= cell.retry.max
                        && !is_final
                        && retry_cause.is_some_and(|cause| cell.retry.on.contains(&cause));
                    emit(ExecEvent::AttemptFailed {
                        name: name.clone(),
                        repeat,
                        attempt: number,
                        reason: message.clone(),
                        kept,
                        retry,
                    });
                    if !retry && cancelled {
                        return Ok(Made::Cancelled);
                    }
                    if !retry {
                        let cause = retry_cause.filter(|_| !refused);
                        return Ok(Made::Failed(FailedRun { because: message, cause }));
                    }
                    let (cell, attempt) = (id.clone(), number);
                    self.journal.write(What::Retried { cell, repeat, attempt })?;
                    let limits = &self.settings.limits;
                    let pause = Pause::after(number, retry_cause, busy.as_ref(), limits);
                    if !pause.wait(&name, self.cancel, emit) {
                        return Ok(Made::Cancelled);
                    }
                }
            }
        }
        // The loop ends within: there is a last attempt.
        Ok(Made::Cancelled)
    }

    /// What a run that was sealed at its place changes for those to come.
    fn note_sealed(
        &mut self,
        target: &Target<'_>,
        place: PathBuf,
        changed: &[ChangedModel],
        emit: &mut dyn FnMut(ExecEvent),
    ) {
        self.summary.made += 1;
        self.made.push(place);
        for model in changed {
            self.surroundings.meet_model(model);
            emit(ExecEvent::Note { message: model.sentence() });
        }
        self.sealed.insert((target.id, target.repeat));
        self.reach.note_answers(target.cell);
    }

    /// Looks for what the cell's probes need, once.
    fn find_instruments(&mut self, cell: &CellSpec, emit: &mut dyn FnMut(ExecEvent)) {
        if sampling::needs_driver(cell) {
            self.driver.get_or_init(Driver::find);
        }
        if flamegraph::needs_py_spy(cell) && self.py_spy.is_none() {
            let found = py_spy::find(&self.settings.python.python, &mut |message| {
                emit(ExecEvent::Note { message });
            });
            self.py_spy = Some(found.map_err(|error| error.to_string()));
        }
    }

    /// The results are still there, and there is room for more.
    fn check_results(&self) -> Result<(), ExecError> {
        self.lock.check()?;
        let root = self.store.layout().root();
        match preflight::free_below(root) {
            Some(free) => Err(ExecError::DiskFull { folder: root.to_owned(), free }),
            None => Ok(()),
        }
    }

    /// Moves a stale fallback out of the way: under other circumstances the run that was asked for may be
    /// possible, so that is tried first. Runs may share one.
    fn supersede_fallback(
        &mut self,
        decision: &Decision,
        because: &[String],
    ) -> Result<(), ExecError> {
        if self.superseded.insert((decision.to.clone(), decision.repeat)) {
            self.supersede(&decision.to, decision.repeat, because)?;
        }
        Ok(())
    }

    /// Whether a run is there now.
    pub(super) fn is_sealed(&self, id: CellId, repeat: u32) -> bool {
        let run = (id.hex(), repeat);
        self.sealed.contains(&(id, repeat))
            || !self.superseded.contains(&run) && self.store.runs(&run.0).contains_key(&repeat)
    }

    /// Moves a stale run out of the way; nothing is deleted.
    fn supersede(&mut self, cell: &str, repeat: u32, because: &[String]) -> Result<(), ExecError> {
        let Some(folder) = self.store.folder(cell, repeat) else { return Ok(()) };
        let layout = self.store.layout();
        let place = layout.superseded().join(layout.cell_part(folder)).join(repeat.to_string());
        let kept = layout.relative(&set_aside(folder, &place)?);
        let because = because.to_vec();
        // Under the id that the journal knows it by.
        let sealed = self.store.runs(cell).get(&repeat).map_or(cell, |run| &run.cell);
        self.journal.write(What::Superseded { cell: sealed.to_owned(), repeat, kept, because })?;
        Ok(())
    }
}
