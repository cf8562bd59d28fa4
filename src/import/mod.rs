//! Earlier results become runs: files that a manifest names are read by its maps, held against the cells that it
//! declares, and sealed as runs that nobody can take for measured ones.
//!
//! Nothing here knows the names of any study's files, and nothing is guessed: a file or a row that cannot be read
//! gives no run and is named with its place; every file below a root is read, passed over for a declared reason, or
//! named. What a figure means is left to `metrics`.

mod document;
mod place;
mod rows;
mod scan;
mod seal;
mod tree;
mod value;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use crate::cells::NamedLevel;
use crate::manifest::factor;
use crate::manifest::import::Source;
use crate::manifest::nearest::nearest;
use crate::metrics;
use crate::plan::Plan;
use crate::store::facts::Facts;
use crate::store::{Store, StoreError};

use document::Files;
pub use rows::Trouble;
use rows::{Row, captured};
pub use scan::{Scan, scan};
use seal::{Ready, Stored};
use tree::Tree;

/// Two figures that are further apart than this share of them are not the same.
const SAME: f64 = 1e-9;

/// What is to be done with what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Seal what is new; `update`: and replace what changed.
    Write { update: bool },
    /// Write nothing.
    Look,
}

/// Folders in place of those that the manifest names.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// For every import that has none of its own.
    pub all: Option<PathBuf>,
    /// By experiment.
    pub own: BTreeMap<String, PathBuf>,
}

impl Roots {
    fn of<'r>(&'r self, experiment: &str, source: &'r Source) -> &'r Path {
        self.own.get(experiment).or(self.all.as_ref()).unwrap_or(&source.root)
    }
}

/// Why an import cannot go on. What was sealed before stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the root {path} of experiment `{experiment}` cannot be read: {reason}")]
    Root { path: String, experiment: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Imported {
    /// In the order of the manifest; those that import.
    pub experiments: Vec<OfExperiment>,
    /// Each kind once, with how often it was met.
    pub findings: Vec<Finding>,
}

/// The runs of one experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OfExperiment {
    pub name: String,
    /// Runs that its cells ask for.
    pub planned: u64,
    /// Of these, runs that were found in files.
    pub found: usize,
    pub new: usize,
    pub unchanged: usize,
    /// Stored runs that no longer follow from their files.
    pub changed: usize,
    /// Of these, those that were replaced.
    pub replaced: usize,
    /// Stored runs whose rows are gone; they stay.
    pub gone: usize,
    /// Files that were read for it.
    pub files: usize,
    pub passed_over: Vec<PassedOver>,
    /// Files and rows that could not be read.
    pub failed: usize,
}

/// Files that are passed over for a declared reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    pub pattern: String,
    pub because: String,
    pub files: usize,
}

/// Something to be known of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub experiment: String,
    pub count: usize,
    /// The first place, with what to know of it.
    pub first: String,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A file or a row gives no run.
    Unreadable,
    /// Two rows are of one run; neither is imported.
    Twice,
    /// A stored run no longer follows from its files, or from how they are read.
    Changed,
    /// A stored run's row is gone.
    Gone,
    /// No pattern matches a file.
    Unaccounted,
    /// Calls that do not count.
    Uncounted,
    /// A figure of the files is not what is computed.
    Differs,
    /// Runs of one cell were not made at the same level of something that is no axis.
    Mixed,
    /// More runs of a cell than it asks for.
    Beyond,
}

impl FindingKind {
    /// Whether the import is not all that was asked for.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Unreadable | Self::Twice)
    }
}

impl Imported {
    /// Some files or rows gave no run.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.is_failure())
    }

    /// Stored runs no longer follow from their files and were not replaced.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.experiments.iter().any(|own| own.changed > own.replaced)
    }

    /// Something would be written.
    #[must_use]
    pub fn would_change(&self) -> bool {
        self.experiments.iter().any(|own| own.new + own.changed > 0)
    }
}

/// A run that was found, held against what is stored.
struct Found<'p> {
    experiment: usize,
    source: &'p Source,
    /// The folder that its files lie in.
    root: PathBuf,
    cell: u32,
    row: Row,
    /// Texts of levels that are no axes.
    recorded: BTreeMap<String, String>,
}

/// Reads the earlier results of a plan, and seals what is to be sealed.
pub fn import(
    plan: &Plan,
    results: &Path,
    roots: &Roots,
    mode: Mode,
) -> Result<Imported, ImportError> {
    let store = Store::of(plan, results)?;
    let tree = Tree::walk(plan.study(), roots)?;
    let mut reading = Reading::of(plan, &tree);
    for index in 0..plan.study().experiments.len() {
        reading.experiment(index);
    }
    let ready = reading.held_against(&store);
    let Reading { mut imported, mut notes, .. } = reading;
    gone(plan, &store, &ready, &mut imported, &mut notes);
    for path in tree.unaccounted() {
        notes.add(FindingKind::Unaccounted, "", path);
    }
    if let Mode::Write { update } = mode {
        for experiments in seal::seal(plan, results, &store, ready, update)? {
            let of_them = |own: &&mut OfExperiment| experiments.contains(&own.name);
            for result in imported.experiments.iter_mut().filter(of_them) {
                result.replaced += 1;
            }
        }
    }
    imported.findings = notes.findings();
    Ok(imported)
}

/// The rows of all imports, as they are read.
struct Reading<'p> {
    plan: &'p Plan,
    tree: &'p Tree,
    imported: Imported,
    notes: Notes,
    /// By cell and repeat.
    taken: HashMap<(u32, u32), Found<'p>>,
    /// Those that two rows are of.
    twice: BTreeSet<(u32, u32)>,
}

impl<'p> Reading<'p> {
    fn of(plan: &'p Plan, tree: &'p Tree) -> Self {
        Self {
            plan,
            tree,
            imported: Imported::default(),
            notes: Notes::default(),
            taken: HashMap::new(),
            twice: BTreeSet::new(),
        }
    }

    /// Reads the files of an experiment, if it imports any.
    fn experiment(&mut self, index: usize) {
        let plan = self.plan;
        let experiment = &plan.study().experiments[index];
        let cells = plan.experiment_cells(index);
        let Some(own) = experiment.kind.import().filter(|_| !cells.is_empty()) else { return };
        let mut result = OfExperiment { name: experiment.name.clone(), ..OfExperiment::default() };
        result.planned = cells.iter().map(|cell| u64::from(plan.repeats(*cell))).sum();
        let wanted: BTreeSet<u32> = cells.into_iter().collect();
        let by_levels = Cells::of(plan.whole(), index);
        for (number, source) in own.sources.iter().enumerate() {
            let matched = self.tree.of(index, number);
            result.files += matched.files.len();
            result.passed_over.extend(matched.passed_over(source));
            let files = Files::below(&matched.root);
            let read: Vec<_> = matched
                .files
                .par_iter()
                .flat_map_iter(|(path, captures)| rows::read(&files, path, captures, source))
                .collect();
            for row in read {
                match row.and_then(|row| by_levels.place(row, source, experiment)) {
                    Ok((cell, row, recorded)) => {
                        // What a filter leaves out is read and not looked at.
                        let cell = plan.find(plan.whole().id(cell));
                        if let Some(cell) = cell.filter(|cell| wanted.contains(cell)) {
                            let root = files.root().to_owned();
                            let experiment = index;
                            self.take(Found { experiment, source, root, cell, row, recorded });
                        }
                    }
                    Err(trouble) => {
                        result.failed += 1;
                        let text = trouble.text();
                        self.notes.add(FindingKind::Unreadable, &experiment.name, text);
                    }
                }
            }
        }
        self.imported.experiments.push(result);
    }

    fn take(&mut self, found: Found<'p>) {
        let key = (found.cell, found.row.facts.repeat);
        let Some(first) = self.taken.get(&key) else {
            self.taken.insert(key, found);
            return;
        };
        // The same place in the same file, which two roots lead to, is one row.
        if first.place() == found.place() && same_map(first, &found) {
            return;
        }
        let text = format!(
            "{} and {} are both repeat {} of cell {}",
            origin(&first.row.facts),
            origin(&found.row.facts),
            key.1,
            self.plan.name(key.0)
        );
        let name = &self.plan.study().experiments[found.experiment].name;
        self.notes.add(FindingKind::Twice, name, text);
        self.twice.insert(key);
    }

    /// The runs that were found, each with whether it is stored.
    fn held_against(&mut self, store: &Store) -> Vec<(Vec<&'p str>, Ready)> {
        let plan = self.plan;
        let mut found = std::mem::take(&mut self.taken);
        found.retain(|key, _| !self.twice.contains(key));
        let mut found: Vec<Found<'_>> = found.into_values().collect();
        found.sort_by_key(|own| (own.experiment, own.cell, own.row.facts.repeat));
        mixed(plan, &found, &mut self.notes);
        let mut ready = Vec::new();
        for own in found {
            let experiment = &plan.study().experiments[own.experiment].name;
            let (repeat, asked) = (own.row.facts.repeat, plan.repeats(own.cell));
            if repeat > asked {
                let row = origin(&own.row.facts);
                let text = format!("{row} is repeat {repeat} of a cell that asks for {asked}");
                self.notes.add(FindingKind::Beyond, experiment, text);
                continue;
            }
            let of_cell = plan.experiments_of(own.cell).into_iter();
            let experiments: Vec<&str> =
                of_cell.map(|index| plan.study().experiments[index].name.as_str()).collect();
            let run = Ready::new(plan, &own, store);
            self.notes.of_run(experiment, plan, &run);
            let of_them = |own: &&mut OfExperiment| experiments.contains(&own.name.as_str());
            for result in self.imported.experiments.iter_mut().filter(of_them) {
                result.found += 1;
                match &run.stored {
                    Stored::Missing => result.new += 1,
                    Stored::Unchanged => result.unchanged += 1,
                    Stored::Changed(_) => result.changed += 1,
                }
            }
            if let Stored::Changed(because) = &run.stored {
                let text = format!("{}: {because}", origin(&run.facts));
                self.notes.add(FindingKind::Changed, experiment, text);
            }
            ready.push((experiments, run));
        }
        ready
    }
}

fn origin(facts: &Facts) -> String {
    let Some(first) = facts.origin.first() else { return "a file".to_owned() };
    place::named(first, first.place.as_deref().unwrap_or_default())
}

impl Found<'_> {
    /// The file, and the place of the row in it.
    fn place(&self) -> Option<(PathBuf, Option<&str>)> {
        let origin = self.row.facts.origin.first()?;
        Some((self.root.join(&origin.path), origin.place.as_deref()))
    }
}

fn same_map(one: &Found<'_>, other: &Found<'_>) -> bool {
    one.row.facts.map_sha256 == other.row.facts.map_sha256
}

/// The cells of an experiment by their levels.
struct Cells {
    axes: Vec<String>,
    by_levels: HashMap<Vec<String>, u32>,
}

impl Cells {
    fn of(plan: &Plan, experiment: usize) -> Self {
        let mut axes = Vec::new();
        let mut by_levels = HashMap::new();
        for (cell, levels) in plan.experiment_rows(experiment) {
            if axes.is_empty() {
                axes = levels.iter().map(|(name, _)| (*name).to_owned()).collect();
            }
            let texts = levels.iter().map(|(name, level)| factor::show(name, level)).collect();
            by_levels.insert(texts, cell);
        }
        Self { axes, by_levels }
    }

    /// The cell of a row, and what was read beyond its axes.
    fn place(
        &self,
        row: Row,
        source: &Source,
        experiment: &crate::manifest::study::Experiment,
    ) -> Result<(u32, Row, BTreeMap<String, String>), Trouble> {
        let first = row.facts.origin.first().cloned().unwrap_or_default();
        let trouble = |message: String| Trouble {
            path: first.path.clone(),
            place: first.place.clone().unwrap_or_default(),
            message,
        };
        let mut row = row;
        let mut texts = Vec::with_capacity(self.axes.len());
        for axis in &self.axes {
            let own = row.levels.get(axis).map(|level| factor::show(axis, level));
            let captured = || row.captures.get(axis).map(|text| captured(axis, text));
            let text = match own
                .map(Ok)
                .or_else(|| captured().map(|level| level.map(|level| factor::show(axis, &level))))
            {
                Some(Ok(text)) => text,
                Some(Err(reason)) => return Err(trouble(format!("`{axis}`: {reason}"))),
                None => {
                    let message = format!(
                        "the level of `{axis}` is not known: neither the map {} nor the path says it",
                        source.map_path
                    );
                    return Err(trouble(message));
                }
            };
            texts.push(text);
        }
        let mut recorded = BTreeMap::new();
        for (name, level) in &row.levels {
            let text = factor::show(name, level);
            if let Some(fixed) = experiment.fixed.get(name) {
                let fixed = factor::show(name, fixed);
                if fixed != text {
                    return Err(trouble(format!(
                        "`{name}` is `{text}` in the file, and `{fixed}` is fixed in the manifest"
                    )));
                }
            } else if !self.axes.contains(name) {
                recorded.insert(name.clone(), text);
            }
        }
        let Some(cell) = self.by_levels.get(&texts) else {
            return Err(trouble(self.nowhere(&texts)));
        };
        let read = row.levels.iter().map(|(name, level)| (name.clone(), factor::show(name, level)));
        row.facts.levels = read.collect();
        row.facts.levels.extend(self.axes.iter().cloned().zip(texts));
        Ok((*cell, row, recorded))
    }

    fn nowhere(&self, texts: &[String]) -> String {
        for (index, (axis, text)) in self.axes.iter().zip(texts).enumerate() {
            let known: BTreeSet<&str> = self
                .by_levels
                .keys()
                .filter_map(|own| own.get(index))
                .map(String::as_str)
                .collect();
            if !known.contains(text.as_str()) {
                let near = nearest(text, known.iter().copied());
                let near =
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return format!("no cell has `{axis}` = `{text}`{near}");
            }
        }
        let levels: Vec<String> =
            self.axes.iter().zip(texts).map(|(axis, text)| format!("{axis} = {text}")).collect();
        format!("no cell has all of {}", levels.join(", "))
    }
}

impl Trouble {
    /// With its place, unless the message says it.
    fn text(&self) -> String {
        if self.message.starts_with(&self.path) || self.message.contains(&format!("{}#", self.path))
        {
            return self.message.clone();
        }
        if self.place.is_empty() {
            format!("{}: {}", self.path, self.message)
        } else {
            format!("{}#{}: {}", self.path, self.place, self.message)
        }
    }
}

/// Levels that are no axes must be the same in all runs of a cell.
fn mixed(plan: &Plan, found: &[Found<'_>], notes: &mut Notes) {
    for own in found.chunk_by(|a, b| a.cell == b.cell) {
        let Some((first, others)) = own.split_first() else { continue };
        let name = &plan.study().experiments[first.experiment].name;
        for other in others {
            let differs =
                |level: &&String| other.recorded.get(*level) != first.recorded.get(*level);
            if let Some(level) = first.recorded.keys().chain(other.recorded.keys()).find(differs) {
                let of = |own: &Found<'_>| {
                    own.recorded.get(level).map_or("unknown", String::as_str).to_owned()
                };
                let text = format!(
                    "cell {}: `{level}` is {} in {} and {} in {}",
                    plan.name(first.cell),
                    of(first),
                    origin(&first.row.facts),
                    of(other),
                    origin(&other.row.facts)
                );
                notes.add(FindingKind::Mixed, name, text);
            }
        }
    }
}

/// Stored runs whose rows were not found.
fn gone(
    plan: &Plan,
    store: &Store,
    ready: &[(Vec<&str>, Ready)],
    imported: &mut Imported,
    notes: &mut Notes,
) {
    let found: BTreeSet<(String, u32)> =
        ready.iter().map(|(_, run)| (run.cell.clone(), run.facts.repeat)).collect();
    for result in &mut imported.experiments {
        let experiments = plan.study().experiments.iter();
        let Some(index) = experiments.clone().position(|own| own.name == result.name) else {
            continue;
        };
        for cell in plan.experiment_cells(index) {
            let id = plan.id(cell).hex();
            for (repeat, run) in store.runs(&id) {
                if *repeat <= plan.repeats(cell) && !found.contains(&(id.clone(), *repeat)) {
                    result.gone += 1;
                    let path = run.imported.as_ref().and_then(|own| own.origin.first());
                    let path = path.map_or("its file", |own| own.path.as_str());
                    let text = format!(
                        "{path} of repeat {repeat} of cell {}; the run stays",
                        run.cell_name
                    );
                    notes.add(FindingKind::Gone, &result.name, text);
                }
            }
        }
    }
}

/// Findings as they are met.
#[derive(Default)]
struct Notes {
    /// By kind, experiment and what tells several of one kind apart.
    met: indexmap::IndexMap<(FindingKind, String, String), (usize, String, f64)>,
}

impl Notes {
    fn add(&mut self, kind: FindingKind, experiment: &str, text: String) {
        self.count(kind, experiment, "", text, 0.0);
    }

    fn count(&mut self, kind: FindingKind, experiment: &str, about: &str, text: String, size: f64) {
        let key = (kind, experiment.to_owned(), about.to_owned());
        let (count, _, largest) = self.met.entry(key).or_insert((0, text, 0.0));
        *count += 1;
        *largest = largest.max(size);
    }

    /// Calls that do not count, and figures that are not what they should be.
    fn of_run(&mut self, experiment: &str, plan: &Plan, run: &Ready) {
        for call in run.facts.calls.iter().filter(|call| !call.outcome.counts()) {
            let because = call.because.as_deref().unwrap_or("no reason is given");
            let text = format!(
                "{}, agent {}, call {}: {} ({because})",
                origin(&run.facts),
                call.agent,
                call.call,
                call.outcome.name()
            );
            self.count(FindingKind::Uncounted, experiment, call.outcome.name(), text, 0.0);
        }
        let computed = metrics::imported::of_facts(&run.facts).run;
        let experiment_of = plan.study().experiments.iter().find(|own| own.name == experiment);
        let sources = experiment_of.and_then(|own| own.kind.import());
        for metric in sources.iter().flat_map(|own| own.metrics()) {
            let Some(other) = &metric.equals else { continue };
            let value = |name: &str| computed.get(name).copied().flatten();
            let (Some(own), Some(should)) = (value(&metric.name), value(other)) else { continue };
            let off = (own - should).abs();
            if off > SAME * own.abs().max(should.abs()).max(1.0) {
                let text = format!(
                    "`{}` is {own} in {}, and `{other}` comes to {should}",
                    metric.name,
                    origin(&run.facts)
                );
                self.count(FindingKind::Differs, experiment, &metric.name, text, off);
            }
        }
    }

    fn findings(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .met
            .into_iter()
            .map(|((kind, experiment, _), (count, text, largest))| {
                let first = if kind == FindingKind::Differs {
                    format!("{text}; the largest difference is {largest}")
                } else {
                    text
                };
                Finding { kind, experiment, count, first }
            })
            .collect();
        findings.sort_by_key(|finding| finding.kind);
        findings
    }
}

/// As tables show levels.
fn texts(levels: &[NamedLevel]) -> BTreeMap<String, String> {
    levels.iter().map(|own| (own.name.clone(), own.text.clone())).collect()
}
