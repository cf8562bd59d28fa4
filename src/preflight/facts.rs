//! What there is: servers, Python, GPUs, the disk and the state of the machine, all asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;

use super::Needs;
use super::needs::EndpointNeed;
use super::programs;
use super::tokenizers::{self, FileFault};
use crate::manifest::study::Server;
use crate::os::condition::{Condition, Look};
use crate::os::{disk, open_files, process};
use crate::probe::{gpu, py_spy, wire};
use crate::python::{self, Program};
use crate::server::{self, ServerError, ServerFacts};

/// Where it is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The study's folder of results; may not exist yet.
    pub results: &'a Path,
    /// Where users' runtimes are started.
    pub study_folder: &'a Path,
    pub python: &'a python::Setup,
}

/// What was found; what nobody needs is not looked for.
#[derive(Debug, Default)]
pub struct Facts {
    /// By the names of their endpoints.
    pub servers: BTreeMap<String, Result<ServerFacts, ServerError>>,
    /// Endpoints whose servers are on this machine.
    pub own_servers: BTreeSet<String>,
    /// Of the programs that are needed.
    pub python: BTreeMap<Program, Python>,
    /// By their names, those whose files are none.
    pub tokenizers: BTreeMap<String, FileFault>,
    /// Users' runtimes whose program is not there, with the name that was looked for.
    pub programs_missing: BTreeMap<String, String>,
    /// Programs of commands that cannot be started, by their place among the needs, with the reason.
    pub programs: BTreeMap<usize, String>,
    /// `None`: not needed.
    pub py_spy: Option<PySpy>,
    /// Why it may not look into other processes; `None`: it may, or nobody needs it.
    pub no_tracing: Option<String>,
    /// Why packets cannot be captured; `None`: they can, or nobody needs it.
    pub no_capture: Option<String>,
    /// The NVIDIA GPUs of this machine, or why none is seen. `None`: nothing needs them.
    pub gpus: Option<Result<Vec<gpu::Device>, String>>,
    pub disk: Disk,
    pub open_files: open_files::Limits,
    pub machine: Condition,
}

/// What the Python runtime stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Python {
    Ready {
        version: String,
        folder: PathBuf,
    },
    /// Its environment is made when it is needed first.
    ToBeMade {
        version: String,
        folder: PathBuf,
    },
    /// In words, with what to do.
    Unusable(String),
}

/// The profiler of the flamegraph probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PySpy {
    Found(PathBuf),
    /// It is installed when it is needed first.
    ToBeInstalled,
    /// In words, with what to do.
    Unavailable(String),
}

/// The disk of the results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    pub folder: PathBuf,
    pub free_bytes: Option<u64>,
}

impl Facts {
    /// Looks for what is needed, changing nothing; seconds at most, however many servers hang.
    #[must_use]
    pub fn gather(needs: &Needs, place: Place<'_>) -> Self {
        let look = Look::begin();
        let facts = thread::scope(|scope| {
            let asked: Vec<_> = needs
                .servers()
                .map(|(name, server, need)| (name, server, scope.spawn(|| ask(server, need))))
                .collect();
            let python: Vec<_> = needs
                .python
                .keys()
                .map(|program| (*program, scope.spawn(|| python(&place.python.with(*program)))))
                .collect();
            let wants_gpus = needs.gpu.is_wanted() || needs.servers().next().is_some();
            let gpus = wants_gpus.then(|| scope.spawn(gpus));
            let py_spy = needs.flamegraph.is_wanted().then(|| py_spy(&place.python.python));
            let no_tracing = py_spy.as_ref().and_then(no_tracing);
            let no_capture = if needs.wire.is_wanted() { no_capture() } else { None };
            let programs = programs::faults(needs, place.study_folder);
            let programs_missing = programs_missing(needs, place.study_folder);
            let tokenizers = tokenizers::faults(needs);
            // A name is looked up, which few studies need.
            let crowded = needs.servers().filter(|_| !needs.threads.is_empty());
            let own_servers = crowded
                .filter(|(_, server, _)| server::is_of_this_machine(server))
                .map(|(name, _, _)| name.clone())
                .collect();
            let disk = Disk {
                folder: place.results.to_owned(),
                free_bytes: disk::free_bytes(super::disk::existing(place.results)),
            };
            let servers = asked.into_iter().map(|(name, server, asked)| {
                let broken = |_| Err(ServerError::broken_off(server));
                (name.clone(), asked.join().unwrap_or_else(broken))
            });
            Self {
                servers: servers.collect(),
                own_servers,
                python: python
                    .into_iter()
                    .filter_map(|(program, found)| Some((program, found.join().ok()?)))
                    .collect(),
                tokenizers,
                programs_missing,
                programs,
                py_spy,
                no_tracing,
                no_capture,
                gpus: gpus.and_then(|gpus| gpus.join().ok()),
                disk,
                open_files: open_files::limits(),
                machine: Condition::default(),
            }
        });
        Self { machine: look.end(), ..facts }
    }
}

pub(super) fn gpus() -> Result<Vec<gpu::Device>, String> {
    gpu::devices().map_err(|reason| reason.to_string())
}

/// Asks one server for what is needed of it.
pub fn ask(server: &Server, need: &EndpointNeed) -> Result<ServerFacts, ServerError> {
    let models: Vec<String> = need.models.keys().cloned().collect();
    server::facts(server, &models, &server::environment)
}

pub(super) fn python(setup: &python::Setup) -> Python {
    match setup.look() {
        Ok(found) if found.ready => {
            Python::Ready { version: found.interpreter.version, folder: found.folder }
        }
        Ok(found) => Python::ToBeMade { version: found.interpreter.version, folder: found.folder },
        Err(error) => Python::Unusable(error.to_string()),
    }
}

pub(super) fn py_spy(python: &crate::python::Python) -> PySpy {
    match py_spy::look(python) {
        Ok(Some(program)) => PySpy::Found(program),
        Ok(None) => PySpy::ToBeInstalled,
        Err(error) => PySpy::Unavailable(error.to_string()),
    }
}

fn no_tracing(py_spy: &PySpy) -> Option<String> {
    match py_spy {
        // It may have rights that this program has not.
        PySpy::Found(program) if process::has_own_rights(program) => None,
        PySpy::Found(_) | PySpy::ToBeInstalled => process::tracing().err(),
        PySpy::Unavailable(_) => None,
    }
}

/// Why packets cannot be captured here, in words with what to do.
pub(super) fn no_capture() -> Option<String> {
    wire::available().err().map(|reason| reason.0)
}

fn programs_missing(needs: &Needs, folder: &Path) -> BTreeMap<String, String> {
    let missing = needs.runtimes.iter().filter_map(|(name, (command, _))| {
        let program = command.command.first()?;
        let found = crate::provenance::find_program(program, folder);
        let is_file = found.is_some_and(|path| path.is_file());
        (!is_file).then(|| (name.clone(), program.clone()))
    });
    missing.collect()
}
