//! Runs that were read are sealed like measured ones: prepared beside their places, whole or not at all.
//!
//! What is written is brought to the disk in groups, so that thousands of rows take seconds. A kill leaves runs that
//! are whole and of which the journal says that they were begun; the next import adds the missing lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use formats::clock;
use rayon::prelude::*;

use super::{Found, ImportError, texts};
use crate::manifest::import::kept_map;
use crate::metrics;
use crate::os::{disk, files};
use crate::plan::{Plan, identity};
use crate::provenance;
use crate::store::facts::{FACTS_FILE, Facts, Moment};
use crate::store::journal::{Journal, RunName, What};
use crate::store::record::{
    AgentEvidence, CodeEvidence, Evidence, Imported, MachineEvidence, ProcessUsage, RUN_FORMAT,
    RunRecord,
};
use crate::store::{Layout, Lock, Store, StoreError, Unsealed, partial_folder, seal, set_aside};

/// Runs that are brought to the disk together.
const GROUP: usize = 512;

/// A run as it would be sealed.
#[derive(Debug)]
pub struct Ready {
    /// 32 hex digits.
    pub cell: String,
    pub facts: Facts,
    record: RunRecord,
    /// Origin files that are kept, by their digests.
    keeps: Vec<(String, PathBuf)>,
    pub stored: Stored,
}

/// What is stored of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    Missing,
    Unchanged,
    /// It no longer follows from its files; why.
    Changed(String),
}

impl Ready {
    pub(super) fn new(plan: &Plan, found: &Found<'_>, store: &Store) -> Self {
        let id = plan.id(found.cell).hex();
        let spec = plan.spec(found.cell);
        let mut facts = found.row.facts.clone();
        facts.levels.extend(texts(&spec.levels));
        let campaign = plan.study().experiments[found.experiment]
            .kind
            .import()
            .map(|own| own.campaign.clone())
            .unwrap_or_default();
        let source = found.source;
        let moment = |own: &Option<Moment>| {
            let utc = own.as_ref().and_then(|own| own.utc.clone());
            let written =
                own.as_ref().filter(|own| own.utc.is_none()).map(|own| own.as_written.clone());
            (utc, written)
        };
        let (started, started_as_written) = moment(&facts.started);
        let (finished, finished_as_written) = moment(&facts.finished);
        let computed = metrics::imported::of_facts(&facts);
        let imported = Imported {
            campaign: campaign.clone(),
            map: source.map.name.clone(),
            map_sha256: source.map.sha256.clone(),
            origin: facts.origin.clone(),
            imported_at: String::new(),
            runner: CodeEvidence::default(),
            stated: source.stated.clone(),
            evidence: facts.evidence.clone(),
            recorded: found.recorded.clone(),
            started_as_written,
            finished_as_written,
            notes: source.note.clone().into_iter().collect(),
        };
        let text =
            |name: &str| facts.evidence.get(name).and_then(|own| own.as_str()).map(str::to_owned);
        let evidence = Evidence {
            agent: AgentEvidence { runtime: spec.runtime.clone(), ..AgentEvidence::default() },
            machine: MachineEvidence {
                hostname: text("hostname"),
                os: text("os"),
                cpu: text("cpu"),
                ..MachineEvidence::default()
            },
            campaign: Some(campaign),
            ..Evidence::default()
        };
        let record = RunRecord {
            format: RUN_FORMAT,
            cell: id.clone(),
            identity_version: identity::VERSION,
            levels: spec.levels.clone(),
            cell_name: plan.name(found.cell),
            repeat: facts.repeat,
            attempt: 1,
            identity: spec.identity.clone(),
            started,
            finished,
            imported: Some(imported),
            evidence,
            process: ProcessUsage::default(),
            machine: None,
            probes: BTreeMap::new(),
            servers: BTreeMap::new(),
            serving: BTreeMap::new(),
            fallback_of: None,
            rerun_of: None,
            command: None,
            sampling: BTreeMap::new(),
            wire: None,
            calls: computed.calls,
            agents: computed.agents,
            metrics: computed.run,
            tokens: None,
            recomputed: Vec::new(),
            files: BTreeMap::new(),
        };
        let root = &found.root;
        let keeps = source.keeps_files.then(|| {
            let place =
                |path: &str| path.split('/').fold(root.clone(), |place, part| place.join(part));
            facts.origin.iter().map(|own| (own.sha256.clone(), place(&own.path))).collect()
        });
        let keeps = keeps.unwrap_or_default();
        let mut ready = Self { cell: id, facts, record, keeps, stored: Stored::Missing };
        ready.look(store);
        ready
    }

    /// Holds it against what is stored.
    fn look(&mut self, store: &Store) {
        let stored = store.runs(&self.cell).get(&self.facts.repeat);
        let folder = store.folder(&self.cell, self.facts.repeat);
        self.stored = match stored.zip(folder) {
            None => Stored::Missing,
            Some((stored, folder)) => changed(folder, stored, &self.facts, &self.record)
                .map_or(Stored::Unchanged, Stored::Changed),
        };
    }

    /// It is to be written.
    fn is_due(&self, update: bool) -> bool {
        match &self.stored {
            Stored::Missing => true,
            Stored::Unchanged => false,
            Stored::Changed(_) => update,
        }
    }
}

/// Why a stored run no longer follows from its files; `None`: it does. Where the files lie and what the map is called
/// do not count.
fn changed(folder: &Path, stored: &RunRecord, facts: &Facts, record: &RunRecord) -> Option<String> {
    let before = match Facts::read(folder) {
        Ok(before) => before,
        Err(error) => return Some(format!("its facts cannot be read: {error}")),
    };
    let digests = |facts: &Facts| -> Vec<(String, Option<String>)> {
        facts.origin.iter().map(|own| (own.sha256.clone(), own.place.clone())).collect()
    };
    if digests(&before) != digests(facts) {
        return Some("the file is another one than was imported".to_owned());
    }
    if before.map_sha256 != facts.map_sha256 {
        return Some("the map says something else than when it was imported".to_owned());
    }
    if before.levels != facts.levels {
        return Some("its levels are others than when it was imported".to_owned());
    }
    if before.without_places() != facts.without_places() {
        return Some("the import reads it in another way than before".to_owned());
    }
    let said = |record: &RunRecord| {
        record.imported.as_ref().map(|own| (own.stated.clone(), own.notes.clone()))
    };
    (said(stored) != said(record))
        .then(|| "what the authors state is not what was imported".to_owned())
}

/// Seals what is due; of those that replaced another, the experiments. Where nothing is due, nothing is written, not
/// even the lock.
pub fn seal(
    plan: &Plan,
    results: &Path,
    store: &Store,
    ready: Vec<(Vec<&str>, Ready)>,
    update: bool,
) -> Result<Vec<Vec<String>>, ImportError> {
    let due = ready.into_iter().filter(|(_, run)| run.is_due(update));
    let mut due: Vec<(Vec<&str>, Ready)> = due.collect();
    if due.is_empty() && begun(store).is_empty() {
        return Ok(Vec::new());
    }
    let layout = Layout::new(results, &plan.study().results_name())?;
    let lock = Lock::acquire(&layout)?;
    // Somebody else may have imported them meanwhile.
    let store = Store::of(plan, results)?;
    for (_, run) in &mut due {
        run.look(&store);
    }
    due.retain(|(_, run)| run.is_due(update));
    let journal = Journal::open(&layout)?;
    let mut session = Session { layout, journal, _lock: lock };
    session.keep_maps(plan)?;
    session.finish(begun(&store))?;
    session.seal(&store, due)
}

/// Runs that a kill kept out of the journal, as its lines.
fn begun(store: &Store) -> Vec<What> {
    let is_imported = |own: &&Unsealed| {
        let run = store.runs(&own.current).get(&own.repeat);
        own.begun && run.is_some_and(|run| run.imported.is_some())
    };
    let line = |own: &Unsealed| What::Imported {
        cell: own.cell.clone(),
        repeat: own.repeat,
        sha256: own.sha256.clone(),
    };
    store.unsealed().iter().filter(is_imported).map(line).collect()
}

/// The right to write, and the journal.
#[derive(Debug)]
struct Session {
    layout: Layout,
    journal: Journal,
    _lock: Lock,
}

impl Session {
    fn finish(&mut self, lines: Vec<What>) -> Result<(), ImportError> {
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines {
            self.journal.note(line)?;
        }
        self.journal.sync()?;
        Ok(())
    }

    fn seal(
        &mut self,
        store: &Store,
        mut due: Vec<(Vec<&str>, Ready)>,
    ) -> Result<Vec<Vec<String>>, ImportError> {
        let (now, runner) = (clock::utc_now(), provenance::runner());
        for (_, run) in &mut due {
            run.record.evidence.runner = runner.clone();
            if let Some(imported) = &mut run.record.imported {
                imported.imported_at.clone_from(&now);
                imported.runner = runner.clone();
            }
        }
        let mut replaced = Vec::new();
        let mut due = due.into_iter().peekable();
        while due.peek().is_some() {
            let group: Vec<(Vec<&str>, Ready)> = due.by_ref().take(GROUP).collect();
            self.seal_group(store, group, &mut replaced)?;
        }
        Ok(replaced)
    }

    fn seal_group(
        &mut self,
        store: &Store,
        mut group: Vec<(Vec<&str>, Ready)>,
        replaced: &mut Vec<Vec<String>>,
    ) -> Result<(), ImportError> {
        let mut folders: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (_, run) in &group {
            if !folders.contains_key(&run.cell) {
                let folder = store.cell_folder(&run.cell, &run.record.cell_name)?;
                fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
                folders.insert(run.cell.clone(), folder);
            }
        }
        let folder_of = |run: &Ready| folders.get(&run.cell).cloned().unwrap_or_default();
        self.keep_origins(&group)?;
        let prepared: Vec<Result<(PathBuf, PathBuf, String), StoreError>> = group
            .par_iter_mut()
            .map(|(_, run)| {
                let folder = folder_of(run);
                let partial = partial_folder(&folder, run.facts.repeat);
                let place = folder.join(run.facts.repeat.to_string());
                let sha256 = prepare(&partial, run)?;
                Ok((partial, place, sha256))
            })
            .collect();
        let prepared = prepared.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
        disk::sync_all(&prepared.iter().map(|(partial, ..)| partial.as_path()).collect::<Vec<_>>())
            .map_err(StoreError::io("sync", &self.layout.runs()))?;
        let runs = group
            .iter()
            .map(|(_, run)| RunName { cell: run.cell.clone(), repeat: run.facts.repeat });
        let runs = runs.collect();
        self.journal.write(What::Importing { runs })?;
        for ((experiments, run), (partial, place, _)) in group.iter().zip(&prepared) {
            if let Stored::Changed(because) = &run.stored {
                self.supersede(store, run, because)?;
                replaced.push(experiments.iter().map(|name| (*name).to_owned()).collect());
            }
            if place.symlink_metadata().is_ok() {
                return Err(StoreError::Occupied { path: place.clone() }.into());
            }
            fs::rename(partial, place).map_err(StoreError::io("seal", partial))?;
        }
        disk::sync_all(&folders.values().map(PathBuf::as_path).collect::<Vec<_>>())
            .map_err(StoreError::io("sync", &self.layout.runs()))?;
        for ((_, run), (.., sha256)) in group.iter().zip(&prepared) {
            self.journal.note(What::Imported {
                cell: run.cell.clone(),
                repeat: run.facts.repeat,
                sha256: sha256.clone(),
            })?;
        }
        self.journal.sync()?;
        Ok(())
    }

    fn supersede(&mut self, store: &Store, run: &Ready, because: &str) -> Result<(), ImportError> {
        let Some(folder) = store.folder(&run.cell, run.facts.repeat) else { return Ok(()) };
        let place = self
            .layout
            .superseded()
            .join(self.layout.cell_part(folder))
            .join(run.facts.repeat.to_string());
        let kept = self.layout.relative(&set_aside(folder, &place)?);
        let (cell, repeat) = (run.cell.clone(), run.facts.repeat);
        let because = vec![because.to_owned()];
        self.journal.write(What::Superseded { cell, repeat, kept, because })?;
        Ok(())
    }

    /// Keeps the maps that runs are read by: reports then need no others.
    fn keep_maps(&self, plan: &Plan) -> Result<(), ImportError> {
        let folder = self.layout.maps();
        let imports = plan.study().experiments.iter().filter_map(|own| own.kind.import());
        for source in imports.flat_map(|own| &own.sources) {
            let kept = folder.join(kept_map(&source.map_path));
            let text =
                fs::read(&source.map_file).map_err(StoreError::io("read", &source.map_file))?;
            if files::read(&kept).is_ok_and(|known| known == text) {
                continue;
            }
            disk::create_folders(&folder).map_err(StoreError::io("create", &folder))?;
            seal::write_whole(&kept, &text)?;
        }
        Ok(())
    }

    /// Copies the files that are kept, each once per study.
    fn keep_origins(&self, group: &[(Vec<&str>, Ready)]) -> Result<(), ImportError> {
        let folder = self.layout.origins();
        for (sha256, path) in group.iter().flat_map(|(_, run)| &run.keeps) {
            let kept = folder.join(sha256);
            if kept.symlink_metadata().is_ok() {
                continue;
            }
            disk::create_folders(&folder).map_err(StoreError::io("create", &folder))?;
            let bytes = files::read(path).map_err(StoreError::io("read", path))?;
            seal::write_whole(&kept, &bytes)?;
        }
        Ok(())
    }
}

/// Writes the run's folder; the digest of its record.
fn prepare(partial: &Path, run: &mut Ready) -> Result<String, StoreError> {
    if partial.symlink_metadata().is_ok() {
        // A killed import left it.
        fs::remove_dir_all(partial).map_err(StoreError::io("remove", partial))?;
    }
    fs::create_dir(partial).map_err(StoreError::io("create", partial))?;
    let path = partial.join(FACTS_FILE);
    let mut text = serde_json::to_vec(&run.facts)
        .map_err(|error| StoreError::Malformed { path: path.clone(), reason: error.to_string() })?;
    text.push(b'\n');
    files::write(&path, &text).map_err(StoreError::io("write", &path))?;
    seal::write_record(partial, &mut run.record)
}
