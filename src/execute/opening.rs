//! From a plan to a session: what is done already, what is needed and what there is, before anything is
//! made. The loop over the runs is left to [`super::session`].

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::PathBuf;

use agent::wire::secrets::Secrets;
use formats::clock;

use super::agenda::{self, Agenda, StaleRuns};
use super::machine::ServerProcesses;
use super::reach::Reach;
use super::runtimes::Runtimes;
use super::session::Session;
use super::surroundings::Surroundings;
use super::tokenize::Texts;
use super::{Cancel, ExecError, ExecEvent, Limits, declare, keys, recovery, until};
use crate::plan::{CellSpec, Plan};
use crate::preflight::{self, Facts, Finding, Needs, Place, Severity};
use crate::python::{self, Program};
use crate::server;
use crate::store::journal::{Journal, What};
use crate::store::record::RELEASE;
use crate::store::{Layout, Lock, Store, StoreError};

/// How to execute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the results of all studies.
    pub results: PathBuf,
    /// Start although something stands against cells: they are tried, or recorded as failed where no
    /// request can be made at all. The results must be writable all the same.
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
    /// Runs whose endpoint was gone; they stay missing.
    pub not_tried: usize,
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
        self.failed == 0 && self.not_tried == 0 && !self.interrupted
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
    let store = opened(plan, settings, lock.is_ok(), emit)?;
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
    tell_slow_build(&agenda, emit);
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
    let doomed = preflight::doomed(&findings, settings.skip_preflight);
    for finding in findings {
        emit(ExecEvent::Found { finding });
    }
    let lock = lock?;
    preflight::make_room(&needs);
    let secrets = keys::of(study.endpoints.values(), &server::environment);
    let mut journal = after_a_kill(&layout, &secrets, emit)?;
    declare::declare(plan, &store)?;
    let todo = agenda.todo.len();
    let runner = env!("CARGO_PKG_VERSION").to_owned();
    journal.write(What::Exec { runner, pid: std::process::id(), todo })?;

    let session = Session {
        plan: Cow::Borrowed(plan),
        settings,
        runtimes,
        secrets,
        cancel,
        store,
        lock,
        made: Vec::new(),
        began: clock::utc_now(),
        journal,
        surroundings,
        py_spy: None,
        doomed,
        refused: 0,
        sealed: HashSet::new(),
        superseded: HashSet::new(),
        texts: Texts::default(),
        driver: OnceCell::new(),
        server_processes: ServerProcesses::default(),
        reach: Reach::default(),
        summary,
    };
    carry_on(session, agenda, stale, emit)
}

/// What an exec that was killed left is ended and set aside, before anything new is written into the journal.
fn after_a_kill(
    layout: &Layout,
    secrets: &Secrets,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Journal, ExecError> {
    recovery::end_orphan(layout, emit)?;
    let mut journal = Journal::open(layout)?;
    recovery::set_partials_aside(layout, secrets, &mut journal, emit)?;
    Ok(journal)
}

/// Makes the runs, and then those that the data ask for, block by block.
fn carry_on(
    mut session: Session<'_>,
    agenda: Agenda,
    stale: StaleRuns,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Summary, ExecError> {
    let (mut agenda, mut stale) = (agenda, stale);
    loop {
        let ended = session.carry_out(&agenda, &stale, emit);
        if ended.is_err() || !session.summary.is_complete() {
            let summary = finish(session.summary, emit);
            return ended.map(|()| summary);
        }
        let store = Store::of(&session.plan, &session.settings.results)?;
        let plan = until::adapted(session.plan.as_ref().clone(), &store);
        let more = until::more(&session.plan, &plan, &store);
        if more.is_empty() {
            return Ok(finish(session.summary, emit));
        }
        for one in more {
            let until::More { experiment, repeats, most, because } = one;
            let message =
                format!("`{experiment}`: repeat {repeats} of at most {most}, since {because}");
            emit(ExecEvent::Note { message });
        }
        (agenda, stale) = (Agenda::new(&plan, &store), StaleRuns::new());
        let (study, todo) = (plan.study().results_name(), agenda.todo.len());
        emit(ExecEvent::Started { study, done: agenda.done, todo });
        let runner = env!("CARGO_PKG_VERSION").to_owned();
        session.journal.write(What::Exec { runner, pid: std::process::id(), todo })?;
        (session.plan, session.store) = (Cow::Owned(plan), store);
        session.sealed.clear();
        session.superseded.clear();
    }
}

/// The study's store; where it is locked, what a crash did to the study's own files is repaired, and what it
/// kept out of the journal is added.
fn opened(
    plan: &Plan,
    settings: &Settings,
    locked: bool,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Store, ExecError> {
    let store = Store::of(plan, &settings.results)?;
    if locked && recovery::repair(store.layout(), emit)? {
        declare::declare(plan, &store)?;
    }
    if locked {
        recovery::seal_the_unsealed(&store, emit)?;
    }
    tell_imports(plan, &store, emit);
    Ok(store)
}

fn finish(summary: Summary, emit: &mut dyn FnMut(ExecEvent)) -> Summary {
    let Summary { made, failed, not_tried, interrupted, .. } = summary;
    emit(ExecEvent::Finished { made, failed, not_tried, interrupted });
    summary
}

/// Says which experiments are no affair of execution.
fn tell_imports(plan: &Plan, store: &Store, emit: &mut dyn FnMut(ExecEvent)) {
    for (index, experiment) in plan.study().experiments.iter().enumerate() {
        let cells = plan.experiment_cells(index);
        if !experiment.kind.is_import() || cells.is_empty() {
            continue;
        }
        let there =
            |cell: &u32| store.runs(&plan.id(*cell).hex()).range(..=plan.repeats(*cell)).count();
        let (done, planned) = (
            cells.iter().map(there).sum::<usize>(),
            cells.iter().map(|cell| plan.repeats(*cell)).sum::<u32>(),
        );
        let message = format!(
            "`{}` is read from earlier results by `runner import`, which has {done} of {planned} runs: nothing of it \
             is executed",
            experiment.name
        );
        emit(ExecEvent::Note { message });
    }
}

/// Says what to know of this program before it measures by its own runtime.
fn tell_slow_build(agenda: &Agenda, emit: &mut dyn FnMut(ExecEvent)) {
    let mut specs = agenda.todo.iter().filter_map(|run| agenda.spec(run.cell));
    let is_own = |cell: &CellSpec| {
        cell.scenario().is_some() && cell.command.is_none() && cell.runtime == "rust"
    };
    if agent::PROFILE != RELEASE && specs.any(is_own) {
        let message =
            "this is a debug build: its Rust runtime measures more slowly; build with --release";
        emit(ExecEvent::Note { message: message.to_owned() });
    }
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
