//! Today's evidence: collected once per session, put into every run, compared with stored runs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::calibrate;
use crate::agent::protocol::Api;
use crate::agent::python::{self, Program};
use crate::endpoint::{self, EndpointError, ServerFacts};
use crate::manifest::Study;
use crate::manifest::study::{Endpoint, RuntimeCommand};
use crate::manifest::template::{Place, Template};
use crate::plan::{CellSpec, CellWork, SpecAgent};
use crate::provenance;
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
    /// By [`instrument`]; `None`: tried, and it did not work.
    calibrations: BTreeMap<String, Option<Calibration>>,
}

/// A server to ask, and the models that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Name of the endpoint in the manifest.
    pub endpoint: String,
    kind: &'static str,
    url: String,
    api: Api,
    /// Name of the environment variable with the key.
    pub api_key_env: Option<String>,
    models: Vec<String>,
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
            CellWork::Scenario(_) | CellWork::Tokenize(_) => {
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
    pub fn meet_server(&mut self, question: &Question, facts: ServerFacts) {
        let models = facts.models.into_iter().map(|(name, model)| {
            let evidence = ModelEvidence {
                digest: model.digest,
                quantization: model.quantization,
                parameter_size: model.parameter_size,
                context_length: model.context_length,
                file: model.file,
            };
            (name, evidence)
        });
        let evidence = EndpointEvidence {
            kind: question.kind.to_owned(),
            server: facts.server,
            version: facts.version,
            models: models.collect(),
        };
        self.servers.insert(question.endpoint.clone(), evidence);
    }

    /// Asks the servers for the models of a cell that was not foreseen; what they do not tell stays
    /// unknown.
    pub fn meet_models(&mut self, cell: &CellSpec) {
        for question in questions(std::iter::once(cell)) {
            let key = question.api_key_env.as_deref().and_then(|name| std::env::var(name).ok());
            let known = self.servers.get(&question.endpoint).map(|server| server.models.clone());
            if let Ok(facts) = question.ask(key.as_deref()) {
                self.meet_server(&question, facts);
                if let Some(server) = self.servers.get_mut(&question.endpoint) {
                    for (name, model) in known.unwrap_or_default() {
                        server.models.entry(name).or_insert(model);
                    }
                }
            }
        }
    }

    #[must_use]
    pub fn tried_calibration(&self, cell: &CellSpec) -> bool {
        self.calibrations.contains_key(&instrument(cell))
    }

    /// Keeps the result of a calibration; `None` if it did not work.
    pub fn calibrated(&mut self, cell: &CellSpec, calibration: Option<Calibration>) {
        self.calibrations.insert(instrument(cell), calibration);
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
            CellWork::Scenario(_) | CellWork::Command(_) => None,
        };
        // It tells the error of calls.
        let calibration = cell.scenario().and_then(|_| self.calibrations.get(&instrument(cell)));
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
            study_git: self.git.clone(),
            calibration: calibration.cloned().flatten(),
            tokenizer,
        }
    }
}

/// The runtime's code that does the cell's work.
fn code(cell: &CellSpec) -> Program {
    match cell.work {
        CellWork::Tokenize(_) => Program::Tokenize,
        CellWork::Scenario(_) | CellWork::Command(_) => Program::Calls,
    }
}

/// What tells the programs that cells start apart: a runtime's name, or a command's words.
fn program(cell: &CellSpec) -> Cow<'_, str> {
    match &cell.work {
        CellWork::Command(work) => {
            let words: Vec<String> = work.words.iter().map(Template::to_string).collect();
            Cow::Owned(format!("{}\0{}", cell.runtime, words.join("\0")))
        }
        CellWork::Scenario(_) | CellWork::Tokenize(_) => Cow::Borrowed(&cell.runtime),
    }
}

/// A word of a command as far as it names a file that is there before a run.
fn filled(word: &Template, study_folder: &Path) -> String {
    word.fill(|place| match place {
        Place::Study => study_folder.display().to_string(),
        Place::Out | Place::Repeat => format!("{{{}}}", place.name()),
    })
}

/// A runtime with its settings: what has a measurement error of its own.
fn instrument(cell: &CellSpec) -> String {
    format!("{} {}", cell.runtime, serde_json::json!(calibrate::settings(cell)))
}

/// Without the models, which differ from cell to cell.
fn server_evidence(agent: &SpecAgent, known: Option<&EndpointEvidence>) -> EndpointEvidence {
    let unknown = EndpointEvidence { kind: kind(&agent.endpoint).to_owned(), ..Default::default() };
    match (&agent.endpoint, known) {
        // It is part of this program, so its version is known without asking.
        (Endpoint::Simulated(_), _) => EndpointEvidence {
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

fn kind(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Ollama { .. } => "ollama",
        Endpoint::OpenAi { .. } => "openai",
        Endpoint::Simulated(_) => "simulated",
    }
}

/// The real servers that these cells call, each once with all its models.
pub fn questions<'a>(cells: impl Iterator<Item = &'a CellSpec>) -> Vec<Question> {
    let mut questions: BTreeMap<&str, Question> = BTreeMap::new();
    for agent in cells.flat_map(CellSpec::agents) {
        let (url, api_key_env) = match &agent.endpoint {
            Endpoint::Ollama { url } => (url, None),
            Endpoint::OpenAi { url, api_key_env, .. } => (url, api_key_env.clone()),
            Endpoint::Simulated(_) => continue,
        };
        let question = questions.entry(&agent.endpoint_name).or_insert_with(|| Question {
            endpoint: agent.endpoint_name.clone(),
            kind: kind(&agent.endpoint),
            url: url.clone(),
            api: agent.api,
            api_key_env,
            models: Vec::new(),
        });
        if !question.models.contains(&agent.model) {
            question.models.push(agent.model.clone());
        }
    }
    questions.into_values().collect()
}

impl Question {
    /// Asks the server; seconds at most.
    pub fn ask(&self, api_key: Option<&str>) -> Result<ServerFacts, EndpointError> {
        endpoint::facts(&self.url, self.api, &self.models, api_key)
    }
}
