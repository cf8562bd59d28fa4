//! Matrix algebra: product, zip, exclude, override, include. Pure; levels are small indices.
//!
//! Cells come out in the order of the manifest, the last axis varying fastest. Order of operations:
//! product (zipped axes count as one), exclude, override, include.

use crate::manifest::study::{Experiment, Level};

/// The cells of one experiment: rows of level indices, one column per axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Axis names and the levels that occur in any cell.
    pub axes: Vec<(String, Vec<Level>)>,
    /// Row-major, `axes.len()` indices per cell.
    indices: Vec<u32>,
    /// Number of cells; an experiment without axes has one.
    rows: usize,
    /// Of each cell, in place of the experiment's; empty where no cell has its own.
    repeats: Vec<Option<u32>>,
}

/// Why a matrix cannot be made; the indices count from 0 in the manifest's lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatrixError {
    TooLarge {
        /// `3 models × 4 throttles`, as factors of the product.
        product: String,
        runs: u128,
        limit: u64,
    },
    ExcludeMatchesNothing(usize),
    OverrideMatchesNothing(usize),
    /// Every cell is excluded.
    Empty,
}

impl Matrix {
    /// Expands an experiment's matrix.
    pub fn expand(experiment: &Experiment) -> Result<Self, MatrixError> {
        let mut axes: Vec<(String, Vec<Level>)> =
            experiment.axes.iter().map(|(name, levels)| (name.clone(), levels.clone())).collect();
        let groups = groups(&axes, &experiment.zip);
        check_size(experiment, &axes, &groups)?;

        let mut excludes: Vec<(Conditions, bool)> =
            experiment.exclude.iter().map(|cell| (conditions(&axes, cell), false)).collect();
        let mut changes = Vec::new();
        for change in &experiment.overrides {
            let when = conditions(&axes, &change.when);
            let set: Vec<(usize, u32)> = change
                .set
                .iter()
                .filter_map(|(axis, level)| intern(&mut axes, axis, level))
                .collect();
            changes.push(Change { when, set, repeats: change.repeats, matched: false });
        }
        let mut included: Vec<u32> = Vec::new();
        for cell in &experiment.include {
            let row: Vec<(usize, u32)> =
                cell.iter().filter_map(|(axis, level)| intern(&mut axes, axis, level)).collect();
            let mut indices = vec![0; axes.len()];
            for (axis, level) in row {
                indices[axis] = level;
            }
            included.extend(indices);
        }

        let width = axes.len();
        let mut indices: Vec<u32> = Vec::new();
        let mut repeats: Vec<Option<u32>> = Vec::new();
        let mut take = |row: &[u32], own: Option<u32>| {
            let mut out = false;
            for (conditions, matched) in &mut excludes {
                if conditions.iter().all(|(axis, level)| row[*axis] == *level) {
                    *matched = true;
                    out = true;
                }
            }
            if !out {
                // Conditions see the cell as multiplied, so the order of overrides does not matter
                // to what they match.
                let start = indices.len();
                indices.extend_from_slice(row);
                let mut asked = own;
                for change in &mut changes {
                    if change.when.iter().all(|(axis, level)| row[*axis] == *level) {
                        change.matched = true;
                        asked = change.repeats.or(asked);
                        for (axis, level) in &change.set {
                            indices[start + *axis] = *level;
                        }
                    }
                }
                repeats.push(asked);
            }
        };
        let mut row = vec![0_u32; width];
        let mut counters = vec![0_u32; groups.len()];
        for cell in experiment.listed.iter().flatten() {
            for (place, level) in cell.levels.iter().enumerate() {
                let (_, levels) = &axes[place];
                let known = levels.iter().position(|known| known == level).unwrap_or_default();
                row[place] = u32::try_from(known).unwrap_or(u32::MAX);
            }
            take(&row, cell.repeats);
        }
        'cells: while experiment.listed.is_none() {
            for (group, counter) in groups.iter().zip(&counters) {
                for axis in &group.axes {
                    row[*axis] = *counter;
                }
            }
            take(&row, None);
            for (counter, group) in counters.iter_mut().zip(&groups).rev() {
                *counter += 1;
                if *counter < group.length {
                    continue 'cells;
                }
                *counter = 0;
            }
            break;
        }
        if let Some(index) = excludes.iter().position(|(_, matched)| !matched) {
            return Err(MatrixError::ExcludeMatchesNothing(index));
        }
        if let Some(index) = changes.iter().position(|change| !change.matched) {
            return Err(MatrixError::OverrideMatchesNothing(index));
        }
        repeats.extend(experiment.include.iter().map(|_| None));
        indices.extend(included);
        let rows = repeats.len();
        if rows == 0 {
            return Err(MatrixError::Empty);
        }
        if repeats.iter().all(Option::is_none) {
            repeats.clear();
        }
        Ok(Self { axes, indices, rows, repeats })
    }

    /// The repeats of one cell, where it has its own.
    #[must_use]
    pub fn repeats(&self, row: usize) -> Option<u32> {
        self.repeats.get(row).copied().flatten()
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Level indices of one cell, one per axis.
    #[must_use]
    pub fn row(&self, row: usize) -> &[u32] {
        let width = self.axes.len();
        &self.indices[row * width..(row + 1) * width]
    }

    /// Axis names and levels of one cell.
    pub fn levels(&self, row: usize) -> impl Iterator<Item = (&str, &Level)> + Clone {
        self.axes
            .iter()
            .zip(self.row(row))
            .map(|((name, levels), index)| (name.as_str(), &levels[*index as usize]))
    }

    /// Keeps the cells for which `keep` holds, and says which those were.
    pub fn retain(&mut self, mut keep: impl FnMut(&Self, usize) -> bool) -> Vec<usize> {
        let kept: Vec<usize> = (0..self.rows).filter(|row| keep(self, *row)).collect();
        let mut indices = Vec::with_capacity(kept.len() * self.axes.len());
        for row in &kept {
            indices.extend_from_slice(self.row(*row));
        }
        if !self.repeats.is_empty() {
            self.repeats = kept.iter().map(|row| self.repeats(*row)).collect();
        }
        self.rows = kept.len();
        self.indices = indices;
        kept
    }
}

/// What an override changes.
struct Change {
    when: Conditions,
    set: Vec<(usize, u32)>,
    repeats: Option<u32>,
    /// A cell was like that.
    matched: bool,
}

/// Axes that step together, and how far.
struct Group {
    axes: Vec<usize>,
    length: u32,
}

type Conditions = Vec<(usize, u32)>;

fn groups(axes: &[(String, Vec<Level>)], zip: &[Vec<String>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut zipped: Vec<(usize, usize)> = Vec::new();
    for (index, (name, levels)) in axes.iter().enumerate() {
        let partner = zip.iter().position(|group| group.contains(name));
        let existing =
            partner.and_then(|zip| zipped.iter().find(|(z, _)| *z == zip)).map(|(_, group)| *group);
        if let Some(group) = existing {
            groups[group].axes.push(index);
            continue;
        }
        if let Some(zip) = partner {
            zipped.push((zip, groups.len()));
        }
        let length = u32::try_from(levels.len()).unwrap_or(u32::MAX);
        groups.push(Group { axes: vec![index], length });
    }
    groups
}

fn check_size(
    experiment: &Experiment,
    axes: &[(String, Vec<Level>)],
    groups: &[Group],
) -> Result<(), MatrixError> {
    let multiplied =
        groups.iter().map(|group| u128::from(group.length)).fold(1, u128::saturating_mul);
    let cells = experiment.listed.as_ref().map_or(multiplied, |listed| listed.len() as u128);
    let cells = cells.saturating_add(experiment.include.len() as u128);
    let until = experiment.settings.until.as_ref();
    let repeats = until.map_or(experiment.settings.repeats, |until| until.max);
    let runs = cells.saturating_mul(u128::from(repeats));
    let limit = experiment.settings.max_runs;
    if runs <= u128::from(limit) {
        return Ok(());
    }
    let mut product: Vec<String> = groups
        .iter()
        .map(|group| {
            let names: Vec<&str> = group.axes.iter().map(|axis| axes[*axis].0.as_str()).collect();
            format!("{} {}", group.length, names.join("+"))
        })
        .collect();
    product.push(format!("{repeats} repeats"));
    Err(MatrixError::TooLarge { product: product.join(" × "), runs, limit })
}

fn conditions(
    axes: &[(String, Vec<Level>)],
    cell: &indexmap::IndexMap<String, Level>,
) -> Conditions {
    cell.iter()
        .filter_map(|(name, level)| {
            let column = axes.iter().position(|(known, _)| known == name)?;
            let index = axes[column].1.iter().position(|known| known == level)?;
            Some((column, u32::try_from(index).ok()?))
        })
        .collect()
}

/// The index of a level, added to its axis when new.
fn intern(axes: &mut [(String, Vec<Level>)], name: &str, level: &Level) -> Option<(usize, u32)> {
    let column = axes.iter().position(|(known, _)| known == name)?;
    let levels = &mut axes[column].1;
    let index = levels.iter().position(|known| known == level).unwrap_or_else(|| {
        levels.push(level.clone());
        levels.len() - 1
    });
    Some((column, u32::try_from(index).ok()?))
}
