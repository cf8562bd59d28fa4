//! From a checked study to cells, identities and an order of runs.
//!
//! Pure: reads no store, asks no server. Cells are kept small (a million of them fit in memory); what
//! a cell means in full is resolved when it is needed, by [`Plan::spec`].

mod blocks;
mod canonical;
mod control;
mod factors;
mod fallback;
mod former;
pub mod identity;
mod loading;
mod matrix;
pub mod name;
mod order;
mod resolve;
mod row;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod why;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::OnceLock;

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::cells::{Filters, NamedLevel};
use crate::manifest::command::Pick;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Experiment, Level, Order};
use crate::manifest::{ManifestErrors, Study};
use control::{Made, Replicas, Solos};
pub use fallback::FallbackCell;
pub use former::Formers;
use identity::{Contents, Servers};
pub use loading::Loads;
use matrix::{Matrix, MatrixError};
use resolve::Role;
use row::Row;
pub use spec::{
    CellSpec, CellWork, CommandWork, ImportWork, ScenarioWork, SpecAgent, TokenizeWork,
};

/// Identity of a cell: the first 16 bytes of a SHA-256, shown as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId(pub [u8; 16]);

impl CellId {
    /// From 32 hex digits.
    #[must_use]
    pub fn of_hex(digits: &str) -> Option<Self> {
        let mut id = [0; 16];
        if digits.len() != 2 * id.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (place, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(id))
    }

    /// 32 hex digits, as kept in files.
    #[must_use]
    pub fn hex(&self) -> String {
        formats::digest::hex(&self.0)
    }

    /// 8 hex digits, as shown to people and used in folder names.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex().chars().take(8).collect()
    }
}

/// One run of the plan: a cell (index into the plan's cells) and a repeat from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    pub cell: u32,
    pub repeat: u32,
}

/// A study's cells, with the experiments they belong to.
#[derive(Debug, Clone)]
pub struct Plan {
    study: Study,
    /// One per experiment of the study.
    matrices: Vec<Matrix>,
    /// Per experiment and row of its matrix: the cell.
    rows: Vec<Vec<u32>>,
    /// The cells of experiments, then those that are only controls.
    cells: Vec<Cell>,
    solos: Solos,
    replicas: Replicas,
    contents: Contents,
    /// By experiment, the repeats that it asks for now.
    asked: Vec<u32>,
    /// The plan without filters, where this one has some.
    whole: Option<Box<Plan>>,
    /// Made when it is first asked for: per experiment its cells in ascending order, each with its first row.
    places: OnceLock<Vec<Vec<(u32, u32)>>>,
}

/// A distinct cell, and where it was seen first.
#[derive(Debug, Clone, Copy)]
struct Cell {
    id: CellId,
    experiment: u32,
    row: u32,
    repeats: u32,
    /// What servers must hold in memory for it.
    load: u64,
    /// `None`: the row's cell itself.
    control: Option<Made>,
}

impl Plan {
    /// Expands every experiment and merges identical cells. The errors are those of the manifest
    /// that only show in the product: its size, selections that match nothing.
    pub fn new(study: Study, filters: &Filters) -> Result<Self, ManifestErrors> {
        let whole = Self::without_filters(study)?;
        Ok(if filters.is_empty() { whole } else { whole.filtered(filters) })
    }

    fn without_filters(study: Study) -> Result<Self, ManifestErrors> {
        let mut matrices = Vec::with_capacity(study.experiments.len());
        let mut problems = Problems::new(&study.source);
        for experiment in &study.experiments {
            match Matrix::expand(experiment) {
                Ok(matrix) => matrices.push(matrix),
                Err(error) => report(&mut problems, experiment, &error),
            }
        }
        problems.finish()?;
        let contents = Contents::new(&study);
        let mut cells: Vec<Cell> = Vec::new();
        let mut known: HashMap<CellId, u32> = HashMap::new();
        let mut rows = Vec::with_capacity(matrices.len());
        for (index, (experiment, matrix)) in study.experiments.iter().zip(&matrices).enumerate() {
            let roles: Vec<Role<'_>> =
                matrix.axes.iter().map(|(name, _)| Role::of(name, &experiment.kind)).collect();
            let fixed = fixed_roles(experiment);
            let ids: Vec<(CellId, u64)> = (0..matrix.rows())
                .into_par_iter()
                .map(|row| {
                    let levels = roles.iter().copied().zip(matrix.levels(row).map(|(_, l)| l));
                    let levels = fixed.iter().copied().chain(levels);
                    let resolved = resolve::resolve(&study, experiment, &levels);
                    let document = identity::document(
                        &study,
                        &resolved,
                        experiment,
                        &contents,
                        Servers::TODAY,
                    );
                    (identity::id(&document), loading::key(&resolved))
                })
                .collect();
            known.reserve(ids.len());
            let mut members = Vec::with_capacity(ids.len());
            for (row, (id, load)) in ids.into_iter().enumerate() {
                let next = cells.len();
                let cell = *known.entry(id).or_insert_with(|| small(next));
                let repeats = matrix.repeats(row).unwrap_or(experiment.settings.repeats);
                if cell == small(next) {
                    let (experiment, row) = (small(index), small(row));
                    cells.push(Cell { id, experiment, row, repeats, load, control: None });
                }
                let merged = &mut cells[cell as usize];
                merged.repeats = merged.repeats.max(repeats);
                members.push(cell);
            }
            rows.push(members);
        }
        Ok(Self::of_cells(study, matrices, rows, cells, contents, None, known))
    }

    /// The plan of the cells that stand in these rows, with the controls that they need.
    fn of_cells(
        study: Study,
        matrices: Vec<Matrix>,
        rows: Vec<Vec<u32>>,
        cells: Vec<Cell>,
        contents: Contents,
        whole: Option<Box<Self>>,
        mut known: HashMap<CellId, u32>,
    ) -> Self {
        let asked = study.experiments.iter().map(|own| own.settings.repeats).collect();
        let mut plan = Self {
            study,
            matrices,
            rows,
            cells,
            solos: Solos::default(),
            replicas: Replicas::default(),
            contents,
            asked,
            whole,
            places: OnceLock::new(),
        };
        plan.add_controls(&mut known);
        plan
    }

    /// This plan with those rows of its matrices that the filters leave, and the controls that they need.
    fn filtered(self, filters: &Filters) -> Self {
        let mut cells: Vec<Cell> = Vec::new();
        let mut known: HashMap<CellId, u32> = HashMap::new();
        let mut matrices = Vec::with_capacity(self.matrices.len());
        let mut rows = Vec::with_capacity(self.rows.len());
        for (index, experiment) in self.study.experiments.iter().enumerate() {
            let mut matrix = self.matrices[index].clone();
            let kept = matrix.retain(|_, row| filters.match_cell(&Row::new(&self, index, row)));
            let mut members = Vec::with_capacity(kept.len());
            for (row, before) in kept.into_iter().enumerate() {
                let whole = self.cells[self.rows[index][before] as usize];
                let next = small(cells.len());
                let cell = *known.entry(whole.id).or_insert(next);
                let repeats = matrix.repeats(row).unwrap_or(experiment.settings.repeats);
                if cell == next {
                    let (experiment, row) = (small(index), small(row));
                    cells.push(Cell { experiment, row, repeats, control: None, ..whole });
                }
                let merged = &mut cells[cell as usize];
                merged.repeats = merged.repeats.max(repeats);
                members.push(cell);
            }
            rows.push(members);
            matrices.push(matrix);
        }
        let (study, contents) = (self.study.clone(), self.contents.clone());
        Self::of_cells(study, matrices, rows, cells, contents, Some(Box::new(self)), known)
    }

    /// The plan of the same study without filters.
    #[must_use]
    pub fn whole(&self) -> &Self {
        self.whole.as_deref().unwrap_or(self)
    }

    #[must_use]
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// Number of distinct cells, after merging and filtering.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Number of distinct runs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.cells.iter().map(|cell| u64::from(cell.repeats)).sum()
    }

    #[must_use]
    pub fn id(&self, cell: u32) -> CellId {
        self.cells[cell as usize].id
    }

    /// The cell of this id.
    #[must_use]
    pub fn find(&self, id: CellId) -> Option<u32> {
        self.cells.iter().position(|cell| cell.id == id).map(small)
    }

    /// Repeats asked for (the largest of its experiments).
    #[must_use]
    pub fn repeats(&self, cell: u32) -> u32 {
        self.cells[cell as usize].repeats
    }

    /// Repeats that an experiment asks for, whatever others ask for of the same cells.
    #[must_use]
    pub fn experiment_repeats(&self, experiment: usize) -> u32 {
        self.asked[experiment]
    }

    /// Asks for at least so many repeats of every cell and control of an experiment.
    pub fn raise_repeats(&mut self, experiment: usize, repeats: u32) {
        let controls = self.experiment_controls(experiment);
        for cell in self.experiment_cells(experiment).into_iter().chain(controls) {
            let own = &mut self.cells[cell as usize].repeats;
            *own = repeats.max(*own);
        }
        let asked = &mut self.asked[experiment];
        *asked = repeats.max(*asked);
        if let Some(whole) = &mut self.whole {
            whole.raise_repeats(experiment, repeats);
        }
    }

    /// The document whose digest is the cell's id, as canonical JSON (RFC 8785).
    #[must_use]
    pub fn document(&self, cell: u32) -> Vec<u8> {
        let (experiment, resolved) = self.resolved(cell);
        self.document_of(experiment, &resolved, Servers::TODAY)
    }

    fn document_of(
        &self,
        experiment: &Experiment,
        resolved: &resolve::Resolved<'_>,
        servers: Servers<'_>,
    ) -> Vec<u8> {
        identity::document(&self.study, resolved, experiment, &self.contents, servers)
    }

    fn id_of(&self, experiment: &Experiment, resolved: &resolve::Resolved<'_>) -> CellId {
        identity::id(&self.document_of(experiment, resolved, Servers::TODAY))
    }

    /// [`Plan::document`], parsed.
    #[must_use]
    pub fn identity(&self, cell: u32) -> serde_json::Value {
        // What was written as JSON a line ago is JSON.
        serde_json::from_slice(&self.document(cell)).unwrap_or_default()
    }

    /// Everything needed to execute the cell.
    #[must_use]
    pub fn spec(&self, cell: u32) -> CellSpec {
        let (experiment, resolved) = self.resolved(cell);
        let identity = self.identity(cell);
        let mut spec = spec::spec(&self.study, experiment, &resolved, identity);
        spec.levels = self.levels_with(cell, &IndexMap::new(), &spec);
        if let CellWork::Command(work) = &mut spec.work {
            work.metrics = self.picks(cell);
        }
        spec
    }

    /// The metrics that its experiments pick from a cell's files, one of each name.
    #[must_use]
    pub fn picks(&self, cell: u32) -> Vec<Pick> {
        // What is picked of a cell is picked of its replica.
        let experiments = self.experiments_of(self.original(cell)).into_iter();
        let all = experiments.flat_map(|index| self.study.experiments[index].picks());
        let named = all.map(|pick| (pick.name.as_str(), pick));
        named.collect::<indexmap::IndexMap<_, _>>().into_values().cloned().collect()
    }

    /// Whether the runs of a cell are read from earlier results.
    #[must_use]
    pub fn is_imported(&self, cell: u32) -> bool {
        self.study.experiments[self.home_experiment(cell)].kind.is_import()
    }

    /// Cells of an experiment (index into the study's experiments), in the order of its matrix.
    #[must_use]
    pub fn experiment_cells(&self, experiment: usize) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        self.rows[experiment].iter().copied().filter(|cell| seen.insert(*cell)).collect()
    }

    /// Cells of an experiment with their levels, in the order of its matrix; merged cells recur.
    #[must_use]
    pub fn experiment_rows(
        &self,
        experiment: usize,
    ) -> impl ExactSizeIterator<Item = (u32, Vec<(&str, &Level)>)> {
        let matrix = &self.matrices[experiment];
        let rows = self.rows[experiment].iter().enumerate();
        rows.map(|(row, cell)| (*cell, matrix.levels(row).collect()))
    }

    /// Experiments that a cell belongs to; not those that only need it as a control.
    #[must_use]
    pub fn experiments_of(&self, cell: u32) -> Vec<usize> {
        (0..self.rows.len()).filter(|index| self.row_of(*index, cell).is_some()).collect()
    }

    /// The first row of a cell in an experiment. There may be a million: none of them is looked at.
    fn row_of(&self, experiment: usize, cell: u32) -> Option<usize> {
        let places = self.places.get_or_init(|| {
            let sorted = |rows: &Vec<u32>| {
                let mut places: Vec<(u32, u32)> =
                    rows.iter().zip(0..).map(|(cell, row)| (*cell, row)).collect();
                places.sort_unstable();
                places.dedup_by_key(|(cell, _)| *cell);
                places
            };
            self.rows.iter().map(sorted).collect()
        });
        let own = &places[experiment];
        let place = own.binary_search_by_key(&cell, |(cell, _)| *cell).ok()?;
        Some(own[place].1 as usize)
    }

    /// The experiment in which the cell was seen first, or whose control it is first.
    #[must_use]
    pub fn home_experiment(&self, cell: u32) -> usize {
        self.home(cell).0
    }

    /// The cell's levels in this experiment: axis name and level, in the order of the axes. Empty
    /// when the cell is not in it.
    #[must_use]
    pub fn levels(&self, experiment: usize, cell: u32) -> Vec<(String, Level)> {
        let Some(row) = self.row_of(experiment, cell) else { return Vec::new() };
        self.matrices[experiment]
            .levels(row)
            .map(|(name, level)| (name.to_owned(), level.clone()))
            .collect()
    }

    /// The cell's levels in this experiment, of its axes and of what is fixed for all of its cells.
    #[must_use]
    pub fn row_levels(&self, experiment: usize, cell: u32) -> Vec<NamedLevel> {
        let own = self.levels(experiment, cell);
        let own = own.iter().map(|(name, level)| (name, level));
        let fixed = self.study.experiments[experiment].fixed.iter();
        own.chain(fixed).map(|(name, level)| NamedLevel::new(name, level)).collect()
    }

    /// All runs in the order in which they are to be executed. Interleaved experiments that share cells
    /// stand together where the first of them stands.
    #[must_use]
    pub fn order(&self) -> Vec<RunKey> {
        let blocks = self.blocks();
        let mut interleaved: Vec<Vec<order::Item>> = vec![Vec::new(); self.matrices.len()];
        let mut others = interleaved.clone();
        // A control follows the cell that it was made for, so that they are not far apart in time
        // where the order is that of the matrix.
        let mut cells: Vec<(usize, &Cell)> = self.cells.iter().enumerate().collect();
        cells.sort_by_key(|(_, cell)| (cell.experiment, cell.row, cell.control));
        // Nothing is executed for those that are read from earlier results.
        cells
            .retain(|(_, cell)| !self.study.experiments[cell.experiment as usize].kind.is_import());
        for (index, cell) in cells {
            let repeats = cell.repeats;
            let (cell, load, home) = (small(index), cell.load, cell.experiment as usize);
            let item = order::Item { cell, repeats, load };
            match blocks.of_cell(cell) {
                Some(group) => interleaved[group].push(item),
                None => others[home].push(item),
            }
        }
        let mut runs = Vec::new();
        for (index, (interleaved, others)) in interleaved.iter().zip(&others).enumerate() {
            let settings = &self.study.experiments[index].settings;
            let seed = settings.order_seed;
            runs.extend(order::order(Order::Interleaved, interleaved, seed, index));
            runs.extend(order::order(settings.order, others, seed, index));
        }
        runs
    }

    fn resolved(&self, cell: u32) -> (&Experiment, resolve::Resolved<'_>) {
        let (index, row) = self.home(cell);
        let (experiment, mut resolved) = self.resolved_row(index, row);
        if let Some(made) = self.cells[cell as usize].control {
            made.apply(&mut resolved);
        }
        (experiment, resolved)
    }

    fn resolved_row(&self, index: usize, row: usize) -> (&Experiment, resolve::Resolved<'_>) {
        static NONE: LazyLock<IndexMap<String, Level>> = LazyLock::new(IndexMap::new);
        self.resolved_row_with(index, row, &NONE)
    }

    /// As [`Plan::resolved_row`], with some levels changed.
    fn resolved_row_with<'p>(
        &'p self,
        index: usize,
        row: usize,
        changed: &'p IndexMap<String, Level>,
    ) -> (&'p Experiment, resolve::Resolved<'p>) {
        let experiment = &self.study.experiments[index];
        let fixed = experiment.fixed.iter().map(|(name, level)| (name.as_str(), level));
        let own = fixed.chain(self.matrices[index].levels(row));
        let own = own.filter(|(name, _)| !changed.contains_key(*name));
        let changed = changed.iter().map(|(name, level)| (name.as_str(), level));
        let levels =
            own.chain(changed).map(|(name, level)| (Role::of(name, &experiment.kind), level));
        (experiment, resolve::resolve(&self.study, experiment, &levels))
    }

    fn home(&self, cell: u32) -> (usize, usize) {
        let cell = self.cells[cell as usize];
        (cell.experiment as usize, cell.row as usize)
    }
}

fn fixed_roles(experiment: &Experiment) -> Vec<(Role<'_>, &Level)> {
    let role = |name| Role::of(name, &experiment.kind);
    experiment.fixed.iter().map(|(name, level)| (role(name), level)).collect()
}

/// Cells, rows and experiments are counted in 32 bits; `max_runs` keeps them far below.
fn small(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn report(problems: &mut Problems<'_>, experiment: &Experiment, error: &MatrixError) {
    let section = At::ROOT.key("experiment");
    let at = section.key(&experiment.name);
    match error {
        MatrixError::TooLarge { product, runs, limit } => {
            let message = format!(
                "experiment `{}` has {runs} runs, more than the {limit} allowed: {product}",
                experiment.name
            );
            let help = "narrow the matrix, or raise `max_runs` (in [defaults] or here)";
            problems.key(&at.key("matrix"), message, Some(help.into()));
        }
        MatrixError::ExcludeMatchesNothing(index) => {
            let message = "this exclude matches no cell";
            let help =
                "another exclude or a zip leaves no such cell; remove it or correct its levels";
            problems.value(&at.key("exclude").index(*index), message, Some(help.into()));
        }
        MatrixError::OverrideMatchesNothing(index) => {
            let message = "this override matches no cell";
            let help = "an exclude or a zip leaves no such cell; remove it or correct its levels";
            problems.value(&at.key("override").index(*index), message, Some(help.into()));
        }
        MatrixError::Empty => {
            let message = format!("every cell of experiment `{}` is excluded", experiment.name);
            problems.key(&at.key("exclude"), message, None);
        }
    }
}
