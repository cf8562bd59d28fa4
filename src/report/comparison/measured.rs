//! The values that a comparison takes of a cell, and whether two cells' runs form pairs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::contrast::{Contrast, Yardstick};
use crate::metrics::MetricInfo;
use crate::report::cell_table::measurement_error;
use crate::report::completeness::fresh;
use crate::report::data::{Cell, Data, Experiment, NamedLevel};
use crate::report::select::{Selection, value};
use crate::stats::Sample;
use crate::store::blocks::{self, Began};
use crate::store::record::{Evidence, RunRecord};
use crate::store::staleness;

/// A metric of one cell, or the mean over several cells by repeat.
#[derive(Debug, Clone)]
pub struct Measured<'a> {
    pub cells: Vec<&'a Cell>,
    /// The cell's levels on the experiment's axes.
    pub levels: &'a [NamedLevel],
    /// By repeat.
    runs: BTreeMap<u32, Run<'a>>,
    error: Option<f64>,
    yardstick: Yardstick,
}

#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    value: f64,
    began: Began<'a>,
}

impl<'a> Measured<'a> {
    pub fn new(cell: &'a Cell, levels: &'a [NamedLevel], metric: &MetricInfo<'_>) -> Self {
        let run = |run: &'a RunRecord| {
            let value = value(run, metric.name)?;
            Some((run.repeat, Run { value, began: Began::one(run.began()) }))
        };
        Self {
            cells: vec![cell],
            levels,
            runs: fresh(cell).filter_map(run).collect(),
            error: measurement_error(cell, metric),
            yardstick: Yardstick::of(metric),
        }
    }

    /// The mean over cells in each repeat in which all of them know the metric. `None` without cells.
    pub fn mean_of(parts: &[Self]) -> Option<Self> {
        let (first, others) = parts.split_first()?;
        let mut whole = first.clone();
        whole.cells.extend(others.iter().flat_map(|part| &part.cells));
        whole.runs = first
            .runs
            .keys()
            .filter_map(|repeat| {
                let runs: Option<Vec<&Run>> =
                    parts.iter().map(|part| part.runs.get(repeat)).collect();
                let runs = runs?;
                let sum: f64 = runs.iter().map(|run| run.value).sum();
                let began = Began {
                    first: runs.iter().map(|run| run.began.first).min()?,
                    last: runs.iter().map(|run| run.began.last).max()?,
                };
                Some((*repeat, Run { value: sum / runs.len() as f64, began }))
            })
            .collect();
        whole.error = parts.iter().filter_map(|part| part.error).max_by(f64::total_cmp);
        Some(whole)
    }

    /// The values, one per run; `None` without any.
    pub fn sample(&self) -> Option<Sample> {
        Sample::new(self.runs.values().map(|run| run.value).collect()).ok()
    }

    pub fn n(&self) -> usize {
        self.runs.len()
    }

    /// Why there is no value.
    pub fn nothing(&self) -> &'static str {
        let runs = self.cells.iter().copied().flat_map(fresh).count();
        match (self.runs.is_empty(), runs) {
            (true, 0) => "no data: no run is stored",
            (true, _) => "the metric is unknown in every run",
            (false, _) => "a value is too large to compute with",
        }
    }

    fn newest(&self) -> Option<&'a Evidence> {
        let runs = self.cells.iter().copied().flat_map(fresh);
        runs.max_by_key(|run| (&run.finished, run.repeat)).map(|run| &run.evidence)
    }
}

/// Compares cells of a study; knows which of them were measured in the same blocks.
#[derive(Debug)]
pub struct Comparer<'a> {
    /// The experiments with interleaved runs, by the ids of their cells.
    blocks: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Comparer<'a> {
    pub fn new(data: &'a Data) -> Self {
        let mut blocks: HashMap<&str, Vec<usize>> = HashMap::new();
        let interleaved = |experiment: &(usize, &Experiment)| experiment.1.interleaved;
        for (index, experiment) in data.experiments.iter().enumerate().filter(interleaved) {
            let replicas = experiment.replicas.iter().map(|(_, replica)| *replica);
            for cell in experiment.cells.iter().map(|own| own.cell).chain(replicas) {
                blocks.entry(&data.cells[cell].id).or_default().push(index);
            }
        }
        Self { blocks }
    }

    /// Both sides with their figures; not judged yet.
    pub fn contrast(&self, of: &Measured<'_>, to: &Measured<'_>) -> Contrast {
        let (all_of, all_to) = match (of.sample(), to.sample()) {
            (Some(of), Some(to)) => (of, to),
            (None, _) => return Contrast::undefined(of.nothing()),
            (_, None) => return Contrast::undefined(format!("the other side: {}", to.nothing())),
        };
        let mut contrast = match self.pairs(of, to) {
            Some((pairs_of, pairs_to)) => Contrast::new(&pairs_of, &pairs_to, true, of.yardstick),
            None => Contrast::new(&all_of, &all_to, false, of.yardstick),
        };
        if let Some(differences) = other_circumstances(of, to) {
            contrast = contrast.under_other_circumstances(differences);
        }
        let error = [of.error, to.error].into_iter().flatten().max_by(f64::total_cmp);
        contrast.within(error)
    }

    /// The p of [`Self::contrast`] alone.
    pub fn p(&self, of: &Measured<'_>, to: &Measured<'_>) -> Option<f64> {
        let (all_of, all_to) = (of.sample()?, to.sample()?);
        if other_circumstances(of, to).is_some() {
            return None;
        }
        let test = match self.pairs(of, to) {
            Some((pairs_of, pairs_to)) => of.yardstick.test(&pairs_of, &pairs_to, true),
            None => of.yardstick.test(&all_of, &all_to, false),
        };
        Some(test.ok()?.p(0.0))
    }

    /// Values of the repeats that both sides have, if their runs are pairs: the plan interleaves them,
    /// and all runs of a repeat were really made before those of the next.
    fn pairs(&self, of: &Measured<'_>, to: &Measured<'_>) -> Option<(Sample, Sample)> {
        let mut cells = of.cells.iter().chain(&to.cells);
        let first = self.blocks.get(cells.next()?.id.as_str())?;
        let together = |block: &&usize| {
            let in_block = |cell: &&Cell| {
                self.blocks.get(cell.id.as_str()).is_some_and(|blocks| blocks.contains(block))
            };
            of.cells.iter().chain(&to.cells).all(in_block)
        };
        first.iter().find(together)?;
        let pairs = blocks::pairs(&of.runs, &to.runs, |run| run.began).ok()?;
        if pairs.len() < 2 {
            return None;
        }
        let yardstick = of.yardstick;
        let of = Sample::new(pairs.iter().map(|(of, _)| of.value).collect()).ok()?;
        let to = Sample::new(pairs.iter().map(|(_, to)| to.value).collect()).ok()?;
        yardstick.pairs_tell(&of, &to).then_some((of, to))
    }
}

/// How the circumstances of the newest runs differ beyond what the cells ask for.
fn other_circumstances(of: &Measured<'_>, to: &Measured<'_>) -> Option<String> {
    let differences = staleness(to.newest()?, of.newest()?);
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// The selected cells with their levels on the experiment's axes, or all of their factors.
pub fn measured<'a>(
    data: &'a Data,
    selection: &Selection<'a>,
    metric: &MetricInfo<'_>,
) -> Vec<Measured<'a>> {
    let levels = levels(data, selection.experiment);
    let of = |cell: &&'a Cell| {
        let own = levels.get(cell.id.as_str()).copied().unwrap_or(&cell.factors);
        Measured::new(cell, own, metric)
    };
    selection.cells.iter().map(of).collect()
}

/// As [`measured`], but once for each row of the matrix: one cell may stand for several.
pub fn measured_rows<'a>(
    data: &'a Data,
    experiment: &'a Experiment,
    selection: &Selection<'a>,
    metric: &MetricInfo<'_>,
) -> Vec<Measured<'a>> {
    let selected: HashSet<&str> = selection.cells.iter().map(|cell| cell.id.as_str()).collect();
    let mut rows = Vec::new();
    for own in &experiment.cells {
        let cell = &data.cells[own.cell];
        if selected.contains(cell.id.as_str()) {
            let levels = std::iter::once(&own.levels).chain(&own.merged);
            rows.extend(levels.map(|levels| Measured::new(cell, levels, metric)));
        }
    }
    rows
}

fn levels<'a>(
    data: &'a Data,
    experiment: Option<&'a Experiment>,
) -> HashMap<&'a str, &'a [NamedLevel]> {
    let cells = experiment.map_or(&[][..], |experiment| &experiment.cells);
    cells.iter().map(|own| (data.cells[own.cell].id.as_str(), own.levels.as_slice())).collect()
}
