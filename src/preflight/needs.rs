//! What cells need of servers, runtimes and instruments. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{FilesNeed, Room, ThreadsNeed};
use crate::manifest::study::{Endpoint, RuntimeCommand, Server, TokenizerFile};
use crate::manifest::template::Template;
use crate::plan::{CellId, CellSpec, CellWork, CommandWork};
use crate::python::Program;

/// The needs of some cells together, each with the cells that have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Needs {
    pub cells: Vec<CellId>,
    /// Those among them that are only measured where others fail, each with the steps that it is.
    pub fallbacks: BTreeMap<CellId, BTreeSet<FallbackStep>>,
    pub room: Room,
    /// By their names in the manifest.
    pub endpoints: BTreeMap<String, EndpointNeed>,
    /// By the program of the Python runtime.
    pub python: BTreeMap<Program, Vec<CellId>>,
    /// By their names in the manifest.
    pub tokenizers: BTreeMap<String, TokenizerNeed>,
    /// The users' own runtimes.
    pub runtimes: BTreeMap<String, (RuntimeCommand, Vec<CellId>)>,
    /// Of command experiments; each as it is started, once.
    pub programs: Vec<ProgramNeed>,
    pub files: Vec<FilesNeed>,
    pub threads: Vec<ThreadsNeed>,
    pub gpu: ProbeNeed,
    pub host: ProbeNeed,
    pub flamegraph: ProbeNeed,
    pub wire: ProbeNeed,
}

/// A step of an experiment's fallbacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FallbackStep {
    /// From 1.
    pub step: usize,
    pub experiment: String,
}

/// A server and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointNeed {
    pub endpoint: Endpoint,
    pub models: BTreeMap<String, ModelNeed>,
    /// Most streams that one cell has on it.
    pub streams: usize,
    pub cells: Vec<CellId>,
    /// Those that are to find it empty.
    pub cold: Vec<CellId>,
}

/// A tokenizer and who needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerNeed {
    pub file: TokenizerFile,
    pub cells: Vec<CellId>,
    /// Those whose runtime loads it by the library that this program has: the bundled ones.
    pub loaded: Vec<CellId>,
}

/// A model and what is asked of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelNeed {
    pub cells: Vec<CellId>,
    /// By the context that the option `num_ctx` asks for.
    pub contexts: BTreeMap<u64, Vec<CellId>>,
    /// By the longest answer that is asked for.
    pub answers: BTreeMap<u64, Vec<CellId>>,
}

/// A program of a command experiment, and how it is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramNeed {
    pub program: Template,
    /// `None`: the manifest's folder.
    pub cwd: Option<Template>,
    /// Whether the variable PATH is among those that it sees.
    pub sees_path: bool,
    /// Line of the command in the manifest, from 1.
    pub line: usize,
    pub cells: Vec<CellId>,
}

/// Who wants an instrument, and who cannot do without.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeNeed {
    pub wanted: Vec<CellId>,
    pub required: Vec<CellId>,
}

impl ProbeNeed {
    fn add(&mut self, cell: CellId, required: bool) {
        if required { &mut self.required } else { &mut self.wanted }.push(cell);
    }

    /// Whether any cell has it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.wanted.is_empty() || !self.required.is_empty()
    }
}

impl Needs {
    /// What these cells need together.
    #[must_use]
    pub fn of<'a>(cells: impl IntoIterator<Item = (CellId, &'a CellSpec)>) -> Self {
        let mut needs = Self::default();
        // In an order of their own, whatever that of the plan's tables.
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.sort_by_key(|(id, _)| *id);
        for (id, cell) in cells {
            needs.cells.push(id);
            match &cell.command {
                Some(command) => {
                    let entry = needs.runtimes.entry(cell.runtime.clone());
                    entry.or_insert_with(|| (command.clone(), Vec::new())).1.push(id);
                }
                None if cell.runtime == "python" => {
                    let program = match cell.work {
                        CellWork::Tokenize(_) => Program::Tokenize,
                        CellWork::Scenario(_) | CellWork::Command(_) | CellWork::Import(_) => {
                            Program::Calls
                        }
                    };
                    needs.python.entry(program).or_default().push(id);
                }
                None => {}
            }
            if let CellWork::Tokenize(work) = &cell.work {
                let entry = needs.tokenizers.entry(work.tokenizer.clone());
                let need = entry.or_insert_with(|| TokenizerNeed {
                    file: work.file.clone(),
                    cells: Vec::new(),
                    loaded: Vec::new(),
                });
                need.cells.push(id);
                if cell.command.is_none() {
                    need.loaded.push(id);
                }
            }
            if let CellWork::Command(work) = &cell.work {
                needs.add_program(id, work);
            }
            if let Some(probe) = &cell.probes.gpu {
                needs.gpu.add(id, probe.required);
            }
            if let Some(probe) = cell.probes.host {
                needs.host.add(id, probe.required);
            }
            if let Some(probe) = cell.probes.wire {
                needs.wire.add(id, probe.required);
            }
            // Of the Rust runtime it is known to be nothing.
            if let Some(probe) = cell.probes.flamegraph
                && cell.runtime != "rust"
            {
                needs.flamegraph.add(id, probe.required);
            }
            needs.files.extend(FilesNeed::of(id, cell));
            needs.threads.extend(ThreadsNeed::of(id, cell));
            needs.add_agents(id, cell);
        }
        needs
    }

    fn add_program(&mut self, id: CellId, work: &CommandWork) {
        let Some(program) = work.words.first() else { return };
        let sees_path = work.env.iter().any(|name| name == "PATH");
        let known = self.programs.iter_mut().find(|known| {
            (&known.program, &known.cwd, known.sees_path) == (program, &work.cwd, sees_path)
        });
        match known {
            Some(known) => known.cells.push(id),
            None => self.programs.push(ProgramNeed {
                program: program.clone(),
                cwd: work.cwd.clone(),
                sees_path,
                line: work.line,
                cells: vec![id],
            }),
        }
    }

    fn add_agents(&mut self, id: CellId, cell: &CellSpec) {
        let cold = cell.scenario().is_some_and(|scenario| scenario.cold);
        let mut streams: BTreeMap<&str, usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for agent in cell.agents() {
            let name = agent.endpoint_name.as_str();
            let need = self.endpoints.entry(name.to_owned()).or_insert_with(|| EndpointNeed {
                endpoint: agent.endpoint.clone(),
                models: BTreeMap::new(),
                streams: 0,
                cells: Vec::new(),
                cold: Vec::new(),
            });
            let busy = streams.entry(name).or_default();
            *busy += 1;
            need.streams = need.streams.max(*busy);
            if *busy == 1 {
                need.cells.push(id);
                if cold {
                    need.cold.push(id);
                }
            }
            let model = need.models.entry(agent.model.clone()).or_default();
            if seen.insert((name, agent.model.as_str())) {
                model.cells.push(id);
            }
            let context = agent.options.get("num_ctx").and_then(serde_json::Value::as_u64);
            let answer = agent.max_tokens.map(u64::from);
            for (table, value) in [(&mut model.contexts, context), (&mut model.answers, answer)] {
                let Some(value) = value else { continue };
                let cells = table.entry(value).or_default();
                if cells.last() != Some(&id) {
                    cells.push(id);
                }
            }
        }
    }

    /// The real servers, by the names of their endpoints, and what is asked of them.
    pub fn servers(&self) -> impl Iterator<Item = (&String, &Server, &EndpointNeed)> {
        let all = self.endpoints.iter();
        all.filter_map(|(name, need)| Some((name, need.endpoint.server()?, need)))
    }
}

impl EndpointNeed {
    /// Address of a real server; empty for a paced endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        self.endpoint.server().map_or("", |server| &server.url)
    }
}
