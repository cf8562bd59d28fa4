//! The figure that a claim is about, computed anew from stored runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::cells::NamedLevel;
use crate::manifest::criterion::Cells;
use crate::manifest::factor;
use crate::manifest::study::{Claim, ClaimAs, ClaimOver, ClaimSide, ClaimStatistic, Quantity};
use crate::manifest::written::Scalar;
use crate::metrics::{self, Better, DeclaredMetric};
use crate::stats::{self, Sample};
use crate::store;
use crate::store::record::{CallSummary, Metrics, RunRecord};
use crate::verdict::cells::{self, Cell, Datum};

/// A recomputed figure with what it was made of.
pub(super) struct Figure {
    /// In its own unit.
    pub value: f64,
    pub runs: usize,
    pub cells: usize,
    pub notes: Vec<String>,
}

/// The figure of a claim. `experiments` are the names of experiments with their cells. What stands in its way is a
/// reason.
pub(super) fn recompute(
    claim: &Claim,
    experiments: &[(&str, &[Cell])],
    declared: &[DeclaredMetric],
) -> Result<Figure, String> {
    let question = Question { claim, experiments, declared };
    let mut own = question.taken(&claim.side)?;
    if let ClaimStatistic::Rank { among, by } = &claim.statistic {
        let (value, ranked) = question.rank(&own, among, by.as_deref())?;
        return Ok(question.figure(value, &[&ranked], Vec::new()));
    }
    let Some((side, how)) = &claim.against else {
        return Ok(question.figure(question.statistic(&own)?, &[&own], Vec::new()));
    };
    let mut other = question.taken(side)?;
    let value = match &claim.statistic {
        statistic if claim.over == ClaimOver::Pairs => {
            let pairs = question.pairs(&mut own, &mut other, *how)?;
            of_sample(&pairs, statistic)?
        }
        ClaimStatistic::P => {
            if let Some(cell) = own.cells.iter().find(|cell| other.has(cell)) {
                let (name, id) = (cell.name, cell.id);
                return Err(format!("cell {name} ({id}) is on both sides of the test"));
            }
            let (own, other) = (question.sample(&own)?, question.sample(&other)?);
            stats::difference(&own, &other).map_err(|error| error.to_string())?.p(0.0)
        }
        _ => compare(question.statistic(&own)?, question.statistic(&other)?, *how)?,
    };
    let mut notes = Vec::new();
    let both = own.cells.iter().filter(|cell| other.has(cell)).count();
    if both > 0 && claim.over != ClaimOver::Pairs {
        notes.push(format!("{both} cell(s) are on both sides"));
    }
    let selected = |name: &str| {
        let keys = claim.side.cells.0.keys().chain(side.cells.0.keys());
        keys.into_iter().any(|key| key == name)
    };
    let differences = store::level_differences(own.levels(), other.levels());
    let differences = differences.iter().filter(|own| !selected(&own.name));
    notes.extend(differences.map(ToString::to_string));
    Ok(question.figure(value, &[&own, &other], notes))
}

struct Question<'q> {
    claim: &'q Claim,
    experiments: &'q [(&'q str, &'q [Cell<'q>])],
    declared: &'q [DeclaredMetric],
}

/// Cells of a side with those of their runs of which a figure is known; every cell has one at least.
struct Taken<'q> {
    /// With the runs that the claim is about, whether their figure is known or not.
    cells: Vec<Cell<'q>>,
    /// The index of the cell, and the run.
    runs: Vec<(usize, &'q RunRecord)>,
    /// Runs that were left out because calls of theirs do not count.
    incomplete: usize,
    /// Runs whose figure is unknown, of cells in which none is known.
    without: usize,
}

/// What one value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    /// Index of the cell.
    cell: usize,
    /// Index of the run; 0 where the value is the cell's.
    run: usize,
    /// Index of the call; 0 where the value is the run's.
    call: usize,
}

type Observed = Vec<(Source, f64)>;

impl<'q> Question<'q> {
    fn figure(&self, value: f64, sides: &[&Taken<'q>], further: Vec<String>) -> Figure {
        let all: Vec<&Cell> = sides.iter().flat_map(|side| side.cells.iter()).collect();
        let mut notes: Vec<String> = sides.iter().flat_map(|side| self.notes(side)).collect();
        notes.extend(cells::same_circumstances(&all).err());
        notes.extend(further);
        let runs: BTreeSet<(&str, u32)> = sides
            .iter()
            .flat_map(|side| side.runs.iter().map(|(cell, run)| (side.cells[*cell].id, run.repeat)))
            .collect();
        let cells: BTreeSet<&str> = all.iter().map(|cell| cell.id).collect();
        Figure { value, runs: runs.len(), cells: cells.len(), notes }
    }

    /// Fails where a cell has no run, and where one has no figure although each of them must have one.
    fn taken(&self, side: &ClaimSide) -> Result<Taken<'q>, String> {
        let selected = self.cells(side.experiment.as_deref(), &side.cells);
        cells::select(&selected, &side.cells)?;
        let each = matches!(self.claim.over, ClaimOver::Cells | ClaimOver::Pairs)
            || matches!(self.claim.statistic, ClaimStatistic::Rank { .. });
        let mut taken = Taken { cells: Vec::new(), runs: Vec::new(), incomplete: 0, without: 0 };
        for mut cell in selected {
            if let Some(repeat) = self.claim.repeat {
                cell.runs.retain(|run| run.repeat == repeat);
                cell.planned = 1;
            }
            if cell.runs.is_empty() {
                let repeat = self.claim.repeat.unwrap_or_default();
                return Err(format!("cell {} ({}) has no repeat {repeat}", cell.name, cell.id));
            }
            let all = cell.runs.len();
            if self.claim.complete {
                cell.runs.retain(|run| not_counted(run) == 0);
            }
            taken.incomplete += all - cell.runs.len();
            cell.planned -= u32::try_from(all - cell.runs.len()).unwrap_or(cell.planned);
            let known: Vec<&RunRecord> =
                cell.runs.iter().copied().filter(|run| self.is_known(&cell, run)).collect();
            if known.is_empty() && each {
                return Err(format!("no run of cell {} ({}) has the figure", cell.name, cell.id));
            }
            if known.is_empty() {
                taken.without += cell.runs.len();
                continue;
            }
            taken.runs.extend(known.into_iter().map(|run| (taken.cells.len(), run)));
            taken.cells.push(cell);
        }
        if taken.runs.is_empty() {
            let (Quantity::Metric(name) | Quantity::Level(name)) = &self.claim.quantity;
            return Err(match taken.without {
                0 => "every run of it has calls that do not count".to_owned(),
                runs => format!("`{name}` is unknown in all {runs} run(s)"),
            });
        }
        Ok(taken)
    }

    /// Of the experiment, or of any; a cell may belong to several.
    fn cells(&self, experiment: Option<&str>, wanted: &Cells) -> Vec<Cell<'q>> {
        let except = &self.claim.except;
        let about = self
            .experiments
            .iter()
            .filter(|(name, _)| experiment.is_none_or(|wanted| wanted == *name));
        let mut all: Vec<Cell> = Vec::new();
        let mut known = HashSet::new();
        for cell in about.flat_map(|(_, cells)| cells.iter()) {
            let left_out = !except.0.is_empty() && except.select(&cell.levels);
            if wanted.select(&cell.levels) && !left_out && known.insert(cell.id) {
                all.push(cell.clone());
            }
        }
        all
    }

    fn sample(&self, taken: &Taken<'q>) -> Result<Sample, String> {
        let values = self.observed(taken, &self.claim.quantity)?;
        sample(values.into_iter().map(|(_, value)| value).collect())
    }

    fn statistic(&self, taken: &Taken<'q>) -> Result<f64, String> {
        match &self.claim.statistic {
            ClaimStatistic::Correlation(with) => self.correlation(taken, with),
            statistic => of_sample(&self.sample(taken)?, statistic),
        }
    }

    /// A run has what the figure is made of: of two metrics both.
    fn is_known(&self, cell: &Cell, run: &'q RunRecord) -> bool {
        let known = |quantity: &Quantity| match (self.claim.over, quantity) {
            (ClaimOver::Calls, Quantity::Metric(name)) => {
                let mut calls = run.calls.iter().filter(|call| self.is_of_it(call));
                calls.any(|call| known(&call.metrics, name).is_some())
            }
            _ => self.of_run(cell, run, quantity).is_some(),
        };
        let with = match &self.claim.statistic {
            ClaimStatistic::Correlation(with) => known(&Quantity::Metric(with.clone())),
            _ => true,
        };
        with && known(&self.claim.quantity)
    }

    /// What is known of a quantity: one value for each call, run or cell.
    fn observed(&self, taken: &Taken<'q>, quantity: &Quantity) -> Result<Observed, String> {
        let mut values = Observed::new();
        for (index, (cell, run)) in taken.runs.iter().enumerate() {
            let source = |call| Source { cell: *cell, run: index, call };
            if let (ClaimOver::Calls, Quantity::Metric(metric)) = (self.claim.over, quantity) {
                let own = run.calls.iter().enumerate().filter(|(_, call)| self.is_of_it(call));
                values.extend(
                    own.filter_map(|(call, own)| {
                        Some((source(call), known(&own.metrics, metric)?))
                    }),
                );
            } else {
                let value = self.of_run(&taken.cells[*cell], run, quantity);
                values.extend(value.map(|value| (source(0), value)));
            }
        }
        if !matches!(self.claim.over, ClaimOver::Cells | ClaimOver::Pairs) {
            return Ok(values);
        }
        // the values of a cell stand together
        let of_cells = values.chunk_by(|a, b| a.0.cell == b.0.cell).map(|own| {
            let source = Source { cell: own[0].0.cell, run: 0, call: 0 };
            let values = sample(own.iter().map(|(_, value)| *value).collect())?;
            Ok((source, of_sample(&values, &self.claim.of)?))
        });
        of_cells.collect()
    }

    fn is_of_it(&self, call: &CallSummary) -> bool {
        !call.warmup
            && (self.claim.uncounted || call.outcome.counts())
            && self.claim.agent.as_ref().is_none_or(|agent| *agent == call.agent)
            && self.claim.stage.is_none_or(|stage| call.stage == Some(stage))
    }

    fn of_run(&self, cell: &Cell, run: &RunRecord, quantity: &Quantity) -> Option<f64> {
        match (quantity, &self.claim.agent) {
            (Quantity::Metric(name), None) => known(&run.metrics, name),
            (Quantity::Metric(name), Some(agent)) => {
                let own = run.agents.iter().find(|figures| figures.agent == *agent)?;
                known(&own.metrics, name)
            }
            (Quantity::Level(name), _) => {
                let of_cell = cell.levels.iter().find(|level| level.name == *name);
                let recorded = || recorded_number(name, run.imported.as_ref()?.recorded.get(name)?);
                of_cell.map_or_else(recorded, |level| level.number).filter(|n| n.is_finite())
            }
        }
    }

    /// 1 + the number of groups that are better by their mean, and the cells that are ranked.
    fn rank(
        &self,
        own: &Taken<'q>,
        among: &Cells,
        by: Option<&str>,
    ) -> Result<(f64, Taken<'q>), String> {
        let Quantity::Metric(metric) = &self.claim.quantity else {
            return Err("a level is not ranked".to_owned());
        };
        let better = metrics::find(self.declared, metric).and_then(|info| info.better);
        let Some(better) = better else {
            return Err(format!("of `{metric}` neither more nor less is better"));
        };
        let ClaimSide { experiment, cells } = &self.claim.side;
        let cells = match by {
            // one level against the others, in all else as it is selected
            Some(axis) if among.0.is_empty() => {
                let others = cells.0.iter().filter(|(name, _)| *name != axis);
                Cells(others.map(|(name, level)| (name.clone(), level.clone())).collect())
            }
            _ => among.clone(),
        };
        let ranked = self.taken(&ClaimSide { experiment: experiment.clone(), cells })?;
        if let Some(cell) = own.cells.iter().find(|cell| !ranked.has(cell)) {
            return Err(format!("cell {} ({}) is not among those ranked", cell.name, cell.id));
        }
        let group = |cell: &Cell| match by {
            None => Ok(cell.id.to_owned()),
            Some(axis) => match cell.levels.iter().find(|level| level.name == axis) {
                Some(level) => Ok(level.text.clone()),
                None => Err(format!("cell {} ({}) has no level of `{axis}`", cell.name, cell.id)),
            },
        };
        let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (source, value) in self.observed(&ranked, &self.claim.quantity)? {
            groups.entry(group(&ranked.cells[source.cell])?).or_default().push(value);
        }
        let subjects = own.cells.iter().map(group).collect::<Result<BTreeSet<_>, _>>()?;
        let mut means = BTreeMap::new();
        for (name, values) in groups {
            means.insert(name, sample(values)?.mean());
        }
        let (Some(subject), 1) = (subjects.first(), subjects.len()) else {
            let what = by.map_or("cells".to_owned(), |axis| format!("levels of `{axis}`"));
            return Err(format!("a rank is of one, and {} {what} are selected", subjects.len()));
        };
        let mean = means.get(subject).ok_or("what is ranked has no figure")?;
        let before = means.values().filter(|other| match better {
            Better::Higher => *other > mean,
            Better::Lower => *other < mean,
        });
        Ok(((1 + before.count()) as f64, ranked))
    }

    fn are_paired(&self, cell: &Cell, other: &Cell) -> bool {
        fn level<'c>(cell: &'c Cell, axis: &str) -> Option<&'c serde_json::Value> {
            cell.levels.iter().find(|level| level.name == axis).map(|level| &level.level)
        }
        cell.id != other.id
            && self.claim.paired_by.iter().all(|axis| level(cell, axis) == level(other, axis))
    }

    /// What each cell comes to against its counterpart. A cell that is its own counterpart is none of the pairs, and
    /// cells without one on the other side are left out there.
    fn pairs(
        &self,
        own: &mut Taken<'q>,
        other: &mut Taken<'q>,
        how: ClaimAs,
    ) -> Result<Sample, String> {
        own.keep(|cell| !other.has(cell));
        other.keep(|cell| own.cells.iter().any(|of| self.are_paired(of, cell)));
        if own.cells.is_empty() {
            return Err("every cell of it is its own counterpart".to_owned());
        }
        let quantity = &self.claim.quantity;
        let others = self.observed(other, quantity)?;
        let mut values = Vec::new();
        for (source, value) in self.observed(own, quantity)? {
            let cell = &own.cells[source.cell];
            let alike =
                others.iter().filter(|(of, _)| self.are_paired(cell, &other.cells[of.cell]));
            let alike: Vec<f64> = alike.map(|(_, value)| *value).collect();
            let [counterpart] = alike.as_slice() else {
                let (name, id, n) = (cell.name, cell.id, alike.len());
                return Err(format!("cell {name} ({id}) has {n} counterparts"));
            };
            values.push(compare(value, *counterpart, how)?);
        }
        sample(values)
    }

    fn correlation(&self, taken: &Taken<'q>, with: &str) -> Result<f64, String> {
        let x = self.observed(taken, &self.claim.quantity)?;
        let y: BTreeMap<Source, f64> =
            self.observed(taken, &Quantity::Metric(with.to_owned()))?.into_iter().collect();
        let pairs = x.into_iter().filter_map(|(source, x)| Some((x, *y.get(&source)?)));
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.unzip();
        let found = stats::pearson(&sample(x)?, &sample(y)?);
        found.map(|found| found.value).map_err(|error| error.to_string())
    }

    /// What is not there although there is a figure, runs in it of which calls do not count, and values far from others.
    fn notes(&self, taken: &Taken<'q>) -> Vec<String> {
        let (Quantity::Metric(name) | Quantity::Level(name)) = &self.claim.quantity;
        let cells: Vec<&Cell> = taken.cells.iter().collect();
        let mut notes = cells::missing(&cells, name, taken.runs.len());
        if self.claim.over != ClaimOver::Calls && matches!(self.claim.quantity, Quantity::Metric(_))
        {
            let values = taken.runs.iter().filter_map(|(cell, run)| {
                let cell = &taken.cells[*cell];
                let value = self.of_run(cell, run, &self.claim.quantity)?;
                Some(Datum { cell, run, value })
            });
            let values: Vec<Datum> = values.collect();
            let outliers = cells::outlier_notes(name, &values);
            if cells.len() == 1 || outliers.len() < 2 {
                notes.extend(outliers);
            } else {
                let n = outliers.len();
                notes.push(format!(
                    "{n} runs lie more than 3.5 scaled MAD from the median of their cells, and are kept"
                ));
            }
        }
        if taken.without > 0 {
            let of = taken.without;
            notes.push(format!(
                "further {of} run(s), in whose cells `{name}` is unknown, are left out"
            ));
        }
        if taken.incomplete > 0 {
            let of = taken.incomplete;
            notes.push(format!("{of} run(s) with calls that do not count are left out"));
        }
        let failed = taken.runs.iter().filter(|(_, run)| not_counted(run) > 0);
        let failed: Vec<String> =
            failed.map(|(cell, run)| format!("{}/{}", taken.cells[*cell].id, run.repeat)).collect();
        if !failed.is_empty() {
            let n = failed.len();
            let shown: Vec<&str> = failed.iter().map(String::as_str).take(NAMED).collect();
            let more = if n > NAMED { format!(" and {} more", n - NAMED) } else { String::new() };
            notes
                .push(format!("calls do not count in {n} of its runs: {}{more}", shown.join(", ")));
        }
        notes
    }
}

impl Taken<'_> {
    fn has(&self, cell: &Cell) -> bool {
        self.cells.iter().any(|own| own.id == cell.id)
    }

    /// Leaves out cells, and their runs.
    fn keep(&mut self, wanted: impl Fn(&Cell) -> bool) {
        let kept: Vec<bool> = self.cells.iter().map(wanted).collect();
        let place = |cell: usize| kept[..cell].iter().filter(|kept| **kept).count();
        self.runs.retain(|(cell, _)| kept[*cell]);
        for (cell, _) in &mut self.runs {
            *cell = place(*cell);
        }
        let mut is_kept = kept.iter();
        self.cells.retain(|_| is_kept.next() == Some(&true));
    }

    /// Name and value of every level of its cells, and of those that its runs recorded beyond them.
    fn levels(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_cells = self.cells.iter().flat_map(|cell| &cell.levels);
        let of_cells = of_cells.map(|level| (level.name.as_str(), level.text.as_str()));
        of_cells.chain(self.runs.iter().flat_map(|(_, run)| store::recorded(run)))
    }
}

/// So many runs are named.
const NAMED: usize = 8;

/// A recorded level in the unit of its factor.
fn recorded_number(name: &str, text: &str) -> Option<f64> {
    let number = || {
        let level = factor::lookup(name)?.level(&Scalar::Text(text.to_owned())).ok()?;
        NamedLevel::new(name, &level).number
    };
    text.parse().ok().or_else(number)
}

fn not_counted(run: &RunRecord) -> usize {
    let measured = run.calls.iter().filter(|call| !call.warmup);
    measured.filter(|call| !call.outcome.counts()).count()
}

fn known(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics.get(name).copied().flatten().filter(|value| value.is_finite())
}

fn sample(values: Vec<f64>) -> Result<Sample, String> {
    Sample::new(values).map_err(|error| error.to_string())
}

fn compare(own: f64, other: f64, how: ClaimAs) -> Result<f64, String> {
    match how {
        ClaimAs::Difference => Ok(own - other),
        ClaimAs::Percent if other <= 0.0 => {
            Err(format!("it is held against {other}: no per cent of what is not above 0"))
        }
        ClaimAs::Ratio if other == 0.0 => Err("it is held against 0".to_owned()),
        ClaimAs::Percent => Ok(100.0 * (own / other - 1.0)),
        ClaimAs::Ratio => Ok(own / other),
    }
}

/// A statistic of one sample.
fn of_sample(sample: &Sample, statistic: &ClaimStatistic) -> Result<f64, String> {
    let n = sample.n();
    let count = |is: &dyn Fn(f64) -> bool| sample.values().iter().filter(|v| is(**v)).count();
    let value = match statistic {
        ClaimStatistic::Of(stat) => metrics::statistic(sample.values().to_vec(), *stat),
        ClaimStatistic::Cv => sample.cv(),
        ClaimStatistic::Range => Some(sample.max() - sample.min()),
        ClaimStatistic::RangePercent if sample.min() > 0.0 => {
            Some(100.0 * (sample.max() / sample.min() - 1.0))
        }
        ClaimStatistic::Count(None) => Some(n as f64),
        ClaimStatistic::Count(Some((sign, bound))) => {
            Some(count(&|own| sign.holds(own, *bound)) as f64)
        }
        ClaimStatistic::Share(sign, bound) => {
            Some(count(&|own| sign.holds(own, *bound)) as f64 / n as f64)
        }
        ClaimStatistic::Distinct => {
            let mut sorted = sample.sorted().to_vec();
            sorted.dedup();
            Some(sorted.len() as f64)
        }
        ClaimStatistic::RangePercent
        | ClaimStatistic::Rank { .. }
        | ClaimStatistic::Correlation(_)
        | ClaimStatistic::P => None,
    };
    value.ok_or_else(|| format!("{n} value(s) have no {}", statistic.name()))
}
