//! Today's evidence: collected once per session, put into every run, compared with stored runs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::calibrate::{self, Load};
use super::memory::ChangedModel;
use crate::manifest::Study;
use crate::manifest::study::{Endpoint, RuntimeCommand};
use crate::manifest::template::{Place, Template};
use crate::plan::{CellId, CellSpec, CellWork, SpecAgent};
use crate::preflight::{self, Needs};
use crate::provenance;
use crate::python::{self, Program};
use crate::server::ServerFacts;
use crate::store::record::{
    AgentEvidence, Calibration, CodeEvidence, EndpointEvidence, Evidence, GitEvidence,
    MachineEvidence, ModelEvidence, TokenizerEvidence,
};

/// What is known of this session's circumstances.
#[derive(Debug, Default)]
pub struct Surroundings {
    runner: CodeEvidence,
    machine: MachineEvidence,
    git: Option<GitEvidence>,
    python: Option<python::Setup>,
    /// By [`program`] and [`code`].
    agents: BTreeMap<(String, Program), AgentEvidence>,
    /// By their paths.
    tokenizers: BTreeMap<PathBuf, TokenizerEvidence>,
    servers: BTreeMap<String, EndpointEvidence>,
    /// By runtime and load; `None`: it did not work.
    calibrations: BTreeMap<String, Option<Calibration>>,
    /// That of the runs that are made now.
    calibration: Option<Calibration>,
}

impl Surroundings {
    /// Everything that can be known without asking a server.
    #[must_use]
    pub fn collect(study: &Study, python: &python::Setup) -> Self {
        Self {
            runner: provenance::runner(),
            machine: provenance::machine(),
            git: provenance::repository(&study.dir),
            python: Some(python.clone()),
            ..Self::default()
        }
    }

    /// Notes the runtime of a cell and its tokenizer; their files are hashed the first time.
    pub fn meet_runtime(&mut self, cell: &CellSpec, study: &Study) {
        let python = self.python.as_ref();
        let code = code(cell);
        self.agents.entry((program(cell).into_owned(), code)).or_insert_with(|| match &cell.work {
            CellWork::Command(work) => {
                // Its other words are part of what is asked for.
                let words = work.words.iter().map(|word| filled(word, &study.dir)).enumerate();
                let files =
                    words.filter(|(index, word)| *index == 0 || study.dir.join(word).is_file());
                let command = RuntimeCommand { command: files.map(|(_, word)| word).collect() };
                provenance::agent(&cell.runtime, code, Some(&command), &study.dir, python)
            }
            CellWork::Scenario(_) | CellWork::Tokenize(_) | CellWork::Import(_) => {
                let command = cell.command.as_ref();
                provenance::agent(&cell.runtime, code, command, &study.dir, python)
            }
        });
        if let CellWork::Tokenize(work) = &cell.work {
            self.tokenizers
                .entry(work.file.path.clone())
                .or_insert_with(|| provenance::tokenizer(&work.tokenizer, &work.file.path));
        }
    }

    /// Keeps the answer of a server.
    pub fn meet_server(&mut self, name: &str, endpoint: &Endpoint, facts: &ServerFacts) {
        self.servers.insert(name.to_owned(), met(endpoint, facts));
    }

    /// Keeps the digest of a model that was replaced since its server was asked.
    pub fn meet_model(&mut self, changed: &ChangedModel) {
        let server = self.servers.get_mut(&changed.endpoint);
        if let Some(model) = server.and_then(|server| server.models.get_mut(&changed.model)) {
            model.digest = Some(changed.digest.clone());
        }
    }

    /// Asks the servers for the models of a cell that was not foreseen; what they do not tell stays
    /// unknown.
    pub fn meet_models(&mut self, id: CellId, cell: &CellSpec) {
        for (name, server, need) in Needs::of([(id, cell)]).servers() {
            let known = self.servers.get(name).map(|server| server.models.clone());
            let Ok(facts) = preflight::ask(server, need) else { continue };
            self.meet_server(name, &need.endpoint, &facts);
            if let Some(server) = self.servers.get_mut(name) {
                for (model, evidence) in known.unwrap_or_default() {
                    server.models.entry(model).or_insert(evidence);
                }
            }
        }
    }

    /// Takes up the calibration of this load, if one was tried: it holds for the runs that come.
    pub fn recall_calibration(&mut self, cell: &CellSpec, load: &Load) -> bool {
        let key = format!("{} {}", cell.runtime, load.key());
        let tried = self.calibrations.get(&key).cloned();
        let known = tried.is_some();
        self.calibration = tried.flatten();
        known
    }

    /// Keeps the result of a calibration; `None` if it did not work.
    pub fn calibrated(&mut self, cell: &CellSpec, load: &Load, calibration: Option<Calibration>) {
        let key = format!("{} {}", cell.runtime, load.key());
        self.calibration.clone_from(&calibration);
        self.calibrations.insert(key, calibration);
    }

    /// The evidence of a run of this cell, made now.
    #[must_use]
    pub fn evidence(&self, cell: &CellSpec) -> Evidence {
        let mut endpoints: BTreeMap<String, EndpointEvidence> = BTreeMap::new();
        for agent in cell.agents() {
            let known = self.servers.get(&agent.endpoint_name);
            let server = endpoints
                .entry(agent.endpoint_name.clone())
                .or_insert_with(|| server_evidence(agent, known));
            let model = known.and_then(|known| known.models.get(&agent.model)).cloned();
            server.models.insert(agent.model.clone(), model.unwrap_or_default());
        }
        let tokenizer = match &cell.work {
            CellWork::Tokenize(work) => self.tokenizers.get(&work.file.path).cloned(),
            CellWork::Scenario(_) | CellWork::Command(_) | CellWork::Import(_) => None,
        };
        // It tells the error of calls; a run against paced endpoints alone brings its own.
        let foreign = cell.scenario().is_none() || calibrate::by_itself(cell);
        let calibration = self.calibration.clone().filter(|_| !foreign);
        let runtime = cell.runtime.clone();
        let unknown = || AgentEvidence { runtime, ..AgentEvidence::default() };
        Evidence {
            runner: self.runner.clone(),
            agent: self
                .agents
                .get(&(program(cell).into_owned(), code(cell)))
                .cloned()
                .unwrap_or_else(unknown),
            machine: self.machine.clone(),
            endpoints,
            campaign: None,
            study_git: self.git.clone(),
            calibration,
            tokenizer,
        }
    }
}

/// The runtime's code that does the cell's work.
fn code(cell: &CellSpec) -> Program {
    match cell.work {
        CellWork::Tokenize(_) => Program::Tokenize,
        CellWork::Scenario(_) | CellWork::Command(_) | CellWork::Import(_) => Program::Calls,
    }
}

/// What tells the programs that cells start apart: a runtime's name, or a command's words.
fn program(cell: &CellSpec) -> Cow<'_, str> {
    match &cell.work {
        CellWork::Command(work) => {
            let words: Vec<String> = work.words.iter().map(Template::to_string).collect();
            Cow::Owned(format!("{}\0{}", cell.runtime, words.join("\0")))
        }
        CellWork::Scenario(_) | CellWork::Tokenize(_) | CellWork::Import(_) => {
            Cow::Borrowed(&cell.runtime)
        }
    }
}

/// A word of a command as far as it names a file that is there before a run.
fn filled(word: &Template, study_folder: &Path) -> String {
    word.fill(|place| match place {
        Place::Study => study_folder.display().to_string(),
        Place::Out | Place::Repeat => format!("{{{}}}", place.name()),
    })
}

/// What a server told, as it is recorded.
pub(super) fn met(endpoint: &Endpoint, facts: &ServerFacts) -> EndpointEvidence {
    let models = facts.models.iter().map(|(name, model)| {
        let model = model.clone();
        let evidence = ModelEvidence {
            digest: model.digest,
            quantization: model.quantization,
            parameter_size: model.parameter_size,
            context_length: model.context_length,
            served_context: model.served_context,
            file: model.file,
        };
        (name.clone(), evidence)
    });
    EndpointEvidence {
        kind: endpoint.kind().to_owned(),
        server: facts.server.clone(),
        version: facts.version.clone(),
        models: models.collect(),
    }
}

/// Without the models, which differ from cell to cell.
fn server_evidence(agent: &SpecAgent, known: Option<&EndpointEvidence>) -> EndpointEvidence {
    let unknown = EndpointEvidence { kind: agent.endpoint.kind().to_owned(), ..Default::default() };
    match (&agent.endpoint, known) {
        // It is part of this program, so its version is known without asking.
        (Endpoint::Paced(_), _) => EndpointEvidence {
            server: Some("runner simulate".to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..unknown
        },
        (_, Some(known)) => EndpointEvidence {
            server: known.server.clone(),
            version: known.version.clone(),
            ..unknown
        },
        (_, None) => unknown,
    }
}
