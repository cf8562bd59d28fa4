//! A folder of results as a comparison reads it: the plan, if there is one, and the sealed runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::SetsError;
use crate::cells::filter::{Described, Vocabulary};
use crate::cells::{Filters, NamedLevel, of_identity};
use crate::store::executed::{self, ExecutedPlan};
use crate::store::record::RunRecord;
use crate::store::{Layout, Store, against_newest};

/// The results of one study.
#[derive(Debug)]
pub struct ResultSet {
    /// As given.
    pub path: String,
    pub study: Option<String>,
    pub profile: Option<String>,
    /// Those with runs; in the order of the plan, then by name.
    pub cells: Vec<SetCell>,
}

/// A cell and its runs.
#[derive(Debug, Clone)]
pub struct SetCell {
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    /// Of the plan; empty without one.
    pub experiments: Vec<String>,
    /// What the cell asks for.
    pub identity: serde_json::Value,
    /// Factor by factor: as sealed, or as its identity tells where the records are of an earlier version.
    pub levels: Vec<NamedLevel>,
    /// By repeat; of a planned cell those that are asked for.
    pub runs: BTreeMap<u32, RunRecord>,
    /// Of these, by repeat, how the stale ones differ from the newest.
    pub stale: BTreeMap<u32, Vec<String>>,
}

impl SetCell {
    /// 8 hex digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// The runs that belong together: those that are not stale.
    pub fn fresh(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.values().filter(|run| !self.stale.contains_key(&run.repeat))
    }
}

impl Described for SetCell {
    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn experiments(&self) -> Vec<&str> {
        self.experiments.iter().map(String::as_str).collect()
    }

    fn level(&self, factor: &str) -> Option<Cow<'_, NamedLevel>> {
        NamedLevel::among(&self.levels, factor)
    }
}

fn levels(run: &RunRecord) -> Vec<NamedLevel> {
    if run.levels.is_empty() { of_identity(&run.identity) } else { run.levels.clone() }
}

/// What filters can name in these sets.
pub(super) fn vocabulary<'s>(sets: &[&'s ResultSet]) -> Vocabulary<'s> {
    let cells = || sets.iter().flat_map(|set| &set.cells);
    let levels = cells().flat_map(|cell| &cell.levels);
    Vocabulary {
        experiments: cells().flat_map(SetCell::experiments).collect(),
        factors: levels.map(|level| level.name.as_str()).collect(),
        models: None,
        is_free: cells().any(|cell| !cell.identity["command"].is_null()),
    }
}

impl ResultSet {
    /// The runs in `results/<study>[@<profile>]`, wherever it lies.
    pub fn store(folder: &Path) -> Result<Store, SetsError> {
        let path = folder.display().to_string();
        if !folder.is_dir() {
            return Err(SetsError::NotAFolder { path });
        }
        let layout = Layout::at(folder);
        if !is_results(&layout) {
            return Err(SetsError::NotResults { path, hint: hint(folder) });
        }
        Ok(Store::at(folder)?)
    }

    /// Of the runs in a folder, as they are stored.
    pub fn of(folder: &Path, store: &Store) -> Result<Self, SetsError> {
        let path = folder.display().to_string();
        let (plan, _) = executed::read_if_sound(store.layout())?;
        let cells = cells(store, plan.as_ref());
        if cells.is_empty() {
            return Err(SetsError::NoRuns { path });
        }
        let (study, profile) = plan.map_or((None, None), |plan| (Some(plan.study), plan.profile));
        Ok(Self { path, study, profile, cells })
    }

    /// The cells that filters select, in their order.
    pub(super) fn matching(&self, filters: &Filters) -> Vec<&SetCell> {
        self.cells.iter().filter(|cell| filters.match_cell(*cell)).collect()
    }
}

fn is_results(layout: &Layout) -> bool {
    layout.runs().is_dir() || layout.plan().is_file()
}

/// Folders of results below a folder that is none.
fn hint(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inside: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && is_results(&Layout::at(path)))
        .map(|path| format!("`{}`", path.display()))
        .collect();
    inside.sort();
    let more = if inside.len() > 3 { ", …" } else { "" };
    inside.truncate(3);
    if inside.is_empty() {
        "; give results/<study>, or results/<study>@<profile>".to_owned()
    } else {
        format!("; did you mean {}{more}?", inside.join(", "))
    }
}

fn cells(store: &Store, plan: Option<&ExecutedPlan>) -> Vec<SetCell> {
    let planned: HashMap<&str, (usize, &executed::PlannedCell)> = plan
        .iter()
        .flat_map(|plan| plan.cells.iter().enumerate())
        .map(|(place, cell)| (cell.id.as_str(), (place, cell)))
        .collect();
    let mut cells: Vec<(usize, SetCell)> = store
        .cells()
        .into_iter()
        .filter_map(|id| {
            let planned = planned.get(id).copied();
            let repeats = planned.map_or(u32::MAX, |(_, cell)| cell.repeats);
            let runs: BTreeMap<u32, RunRecord> =
                store.runs(id).range(..=repeats).map(|(r, run)| (*r, run.clone())).collect();
            let first = runs.values().next()?;
            let cell = SetCell {
                id: id.to_owned(),
                name: planned.map_or(&first.cell_name, |(_, cell)| &cell.name).clone(),
                experiments: planned.map_or_else(Vec::new, |(_, cell)| cell.experiments.clone()),
                identity: first.identity.clone(),
                levels: levels(first),
                stale: against_newest(&runs),
                runs,
            };
            Some((planned.map_or(usize::MAX, |(place, _)| place), cell))
        })
        .collect();
    cells.sort_by(|(place_a, a), (place_b, b)| {
        place_a.cmp(place_b).then_with(|| a.name.cmp(&b.name)).then_with(|| a.id.cmp(&b.id))
    });
    cells.into_iter().map(|(_, cell)| cell).collect()
}
