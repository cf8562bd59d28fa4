//! The figure that a claim is about, computed anew from stored runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cells::{self, Cell};
use super::words;
use crate::manifest::criterion::Cells;
use crate::manifest::study::{Claim, ClaimAs, ClaimOver, ClaimSide, ClaimStatistic, Quantity};
use crate::metrics::{self, Better, DeclaredMetric};
use crate::stats::{self, Sample};
use crate::store::record::{CallSummary, Metrics, RunRecord};

/// A recomputed figure with what it was made of.
pub(super) struct Figure {
    /// In its own unit.
    pub value: f64,
    pub runs: usize,
    pub cells: usize,
    pub notes: Vec<String>,
}

/// The unit of a claim's figure; `1` for a share, empty for a pure number.
pub(super) fn unit(claim: &Claim, declared: &[DeclaredMetric]) -> String {
    let compared = match &claim.against {
        Some((_, ClaimAs::Percent)) => Some("%"),
        Some((_, ClaimAs::Ratio)) => Some(SHARE),
        Some((_, ClaimAs::Difference)) | None => None,
    };
    if let Some(unit) = compared.filter(|_| claim.over != ClaimOver::Pairs) {
        return unit.to_owned();
    }
    let unit = match (&claim.statistic, &claim.quantity) {
        (ClaimStatistic::RangePercent, _) => "%",
        (ClaimStatistic::Cv | ClaimStatistic::Share(..), _) => SHARE,
        (ClaimStatistic::Of(_) | ClaimStatistic::Range, Quantity::Metric(metric)) => {
            let of_cells = matches!(claim.over, ClaimOver::Cells | ClaimOver::Pairs);
            match (compared, &claim.of) {
                (Some(unit), _) => unit,
                (None, ClaimStatistic::Cv) if of_cells => SHARE,
                (None, ClaimStatistic::RangePercent) if of_cells => "%",
                (None, ClaimStatistic::Distinct) if of_cells => "",
                _ => metrics::find(declared, metric).map_or("", |info| info.unit),
            }
        }
        _ => "",
    };
    unit.to_owned()
}

/// A part of a whole.
pub(super) const SHARE: &str = "1";

/// What is taken: `mean of ttft_ms`.
pub(super) fn subject(claim: &Claim) -> String {
    let (Quantity::Metric(name) | Quantity::Level(name)) = &claim.quantity;
    let (statistic, of) = (claim.statistic.name(), claim.of.name());
    let is = match claim.statistic {
        ClaimStatistic::Count(Some((sign, bound))) | ClaimStatistic::Share(sign, bound) => {
            format!(" {} {bound}", sign.written())
        }
        _ => String::new(),
    };
    let how = claim.against.as_ref().map(|(_, how)| how);
    let mut subject = match claim.over {
        ClaimOver::Runs => format!("{statistic} of {name}{is}"),
        ClaimOver::Calls => format!("{statistic} of {name}{is} over calls"),
        ClaimOver::Cells => format!("{statistic} of {name}{is} over the {of}s of cells"),
        ClaimOver::Pairs => {
            let change = match how {
                Some(ClaimAs::Percent) => "change in per cent",
                Some(ClaimAs::Ratio) => "ratio",
                Some(ClaimAs::Difference) | None => "difference",
            };
            format!("{statistic} of the {change}{is}, pair by pair, of the {of} of {name}")
        }
    };
    if let Some(agent) = &claim.agent {
        let _ = write!(subject, " of agent {agent}");
    }
    if let Some(stage) = claim.stage {
        let _ = write!(subject, " in stage {}", stage.name());
    }
    if let Some(repeat) = claim.repeat {
        let _ = write!(subject, " in repeat {repeat}");
    }
    subject
}

/// What is taken, of which cells, and what it is held against.
pub(super) fn quantity(claim: &Claim) -> String {
    let mut text = subject(claim) + &place(&claim.side);
    if let Some((other, how)) = &claim.against {
        text.push_str(match (&claim.statistic, claim.over, how) {
            (ClaimStatistic::P, ..) | (_, ClaimOver::Pairs, _) => " against that",
            (_, _, ClaimAs::Difference) => " less that",
            (_, _, ClaimAs::Percent) => " in per cent more than that",
            (_, _, ClaimAs::Ratio) => " divided by that",
        });
        text.push_str(&place(other));
    }
    if !claim.except.0.is_empty() {
        let _ = write!(text, ", without {}", words::levels(&claim.except));
    }
    text
}

fn place(side: &ClaimSide) -> String {
    let experiment = side.experiment.as_ref();
    words::place("at", &side.cells)
        + &experiment.map_or_else(String::new, |name| format!(" in experiment {name}"))
}

/// The figure of a claim. `experiments` are the names of experiments with their cells. What stands in its way is a
/// reason.
pub(super) fn recompute(
    claim: &Claim,
    experiments: &[(&str, &[Cell])],
    declared: &[DeclaredMetric],
) -> Result<Figure, String> {
    let question = Question { claim, experiments, declared };
    let own = question.taken(&claim.side)?;
    let mut other = match &claim.against {
        Some((side, _)) => Some(question.taken(side)?),
        None => None,
    };
    if let Some(other) = other.as_mut().filter(|_| claim.over == ClaimOver::Pairs) {
        // the others are no part of the figure
        let counterpart = |cell: &Cell| own.cells.iter().any(|of| question.are_paired(of, cell));
        other.keep(counterpart);
    }
    let value = match (&claim.statistic, &claim.against, &other) {
        (ClaimStatistic::P, _, Some(other)) => {
            let (own, other) = (question.sample(&own)?, question.sample(other)?);
            stats::difference(&own, &other).map_err(|error| error.to_string())?.p(0.0)
        }
        (statistic, Some((_, how)), Some(other)) if claim.over == ClaimOver::Pairs => {
            of_sample(&question.pairs(&own, other, *how)?, statistic)?
        }
        (_, Some((_, how)), Some(other)) => {
            compare(question.statistic(&own)?, question.statistic(other)?, *how)?
        }
        _ => question.statistic(&own)?,
    };
    let both: Vec<&Taken> = std::iter::once(&own).chain(&other).collect();
    let all: Vec<&Cell> = both.iter().flat_map(|side| side.cells.iter()).collect();
    let mut notes = both.iter().flat_map(|side| side.notes(claim)).collect::<Vec<_>>();
    notes.extend(cells::same_circumstances(&all).err());
    if let Some(other) = &other {
        let (ones, others) =
            (own.cells.iter().collect::<Vec<_>>(), other.cells.iter().collect::<Vec<_>>());
        notes.extend(cells::recorded_differences(&ones, &others));
    }
    Ok(Figure {
        value,
        runs: both.iter().map(|side| side.runs.len()).sum(),
        cells: all.len(),
        notes,
    })
}

struct Question<'q> {
    claim: &'q Claim,
    experiments: &'q [(&'q str, &'q [Cell<'q>])],
    declared: &'q [DeclaredMetric],
}

/// Cells of a side with those of their runs that it is about; every cell has one at least.
struct Taken<'q> {
    cells: Vec<Cell<'q>>,
    /// The index of the cell, and the run.
    runs: Vec<(usize, &'q RunRecord)>,
    /// Runs that were left out because calls of theirs do not count.
    incomplete: usize,
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
    /// Fails where a cell has no run.
    fn taken(&self, side: &ClaimSide) -> Result<Taken<'q>, String> {
        let cells = self.cells(side.experiment.as_deref(), &side.cells);
        cells::select(&cells, &side.cells)?;
        let mut taken = Taken { cells, runs: Vec::new(), incomplete: 0 };
        for (index, cell) in taken.cells.iter().enumerate() {
            let repeat = |run: &&RunRecord| self.claim.repeat.is_none_or(|own| own == run.repeat);
            let own: Vec<&RunRecord> = cell.runs.iter().copied().filter(repeat).collect();
            if own.is_empty() {
                let repeat = self.claim.repeat.unwrap_or_default();
                return Err(format!("cell {} ({}) has no repeat {repeat}", cell.name, cell.id));
            }
            for run in own {
                if self.claim.complete && not_counted(run) > 0 {
                    taken.incomplete += 1;
                } else {
                    taken.runs.push((index, run));
                }
            }
        }
        if taken.runs.is_empty() {
            return Err("every run of it has calls that do not count".to_owned());
        }
        Ok(taken)
    }

    /// Of the experiment, or of any; a cell may belong to several.
    fn cells(&self, experiment: Option<&str>, wanted: &Cells) -> Vec<Cell<'q>> {
        let mut all: Vec<Cell> = Vec::new();
        let about = self
            .experiments
            .iter()
            .filter(|(name, _)| experiment.is_none_or(|wanted| wanted == *name));
        for cell in about.flat_map(|(_, cells)| cells.iter()) {
            let except = &self.claim.except;
            let left_out = !except.0.is_empty() && except.select(&cell.levels);
            if wanted.select(&cell.levels)
                && !left_out
                && !all.iter().any(|known| known.id == cell.id)
            {
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
            ClaimStatistic::Rank { among, by } => self.rank(taken, among, by.as_deref()),
            ClaimStatistic::Correlation(with) => self.correlation(taken, with),
            statistic => of_sample(&self.sample(taken)?, statistic),
        }
    }

    /// What is known of a quantity: one value for each call, run or cell.
    fn observed(&self, taken: &Taken<'q>, quantity: &Quantity) -> Result<Observed, String> {
        let runs = || taken.runs.iter().enumerate();
        let values: Observed = match self.claim.over {
            ClaimOver::Calls => {
                let Quantity::Metric(metric) = quantity else {
                    return Err("a level is a run's and not a call's".to_owned());
                };
                let calls = |run: &'q RunRecord| run.calls.iter().enumerate();
                let values = runs().flat_map(|(index, (cell, run))| {
                    let own = calls(run).filter(|(_, call)| self.is_of_it(call));
                    own.filter_map(move |(call, own)| {
                        let source = Source { cell: *cell, run: index, call };
                        Some((source, known(&own.metrics, metric)?))
                    })
                });
                values.collect()
            }
            ClaimOver::Runs | ClaimOver::Cells | ClaimOver::Pairs => runs()
                .filter_map(|(index, (cell, run))| {
                    let source = Source { cell: *cell, run: index, call: 0 };
                    Some((source, self.of_run(&taken.cells[*cell], run, quantity)?))
                })
                .collect(),
        };
        if values.is_empty() {
            let name = match quantity {
                Quantity::Metric(name) | Quantity::Level(name) => name,
            };
            let what = if self.claim.over == ClaimOver::Calls { "calls" } else { "" };
            let what = if what.is_empty() { String::new() } else { format!("the {what} of ") };
            return Err(format!("`{name}` is unknown in {what}all {} run(s)", taken.runs.len()));
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
                let recorded = || run.imported.as_ref()?.recorded.get(name)?.parse().ok();
                of_cell.map_or_else(recorded, |level| level.number).filter(|n| n.is_finite())
            }
        }
    }

    /// 1 + the number of groups that are better by their mean.
    fn rank(&self, own: &Taken<'q>, among: &Cells, by: Option<&str>) -> Result<f64, String> {
        let Quantity::Metric(metric) = &self.claim.quantity else {
            return Err("a level is not ranked".to_owned());
        };
        let better = metrics::find(self.declared, metric).and_then(|info| info.better);
        let Some(better) = better else {
            return Err(format!("of `{metric}` neither more nor less is better"));
        };
        let side =
            ClaimSide { experiment: self.claim.side.experiment.clone(), cells: among.clone() };
        let ranked = self.taken(&side)?;
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
        let mut subjects = own.cells.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        subjects.dedup();
        let [subject] = subjects.as_slice() else {
            let what = by.map_or("cells".to_owned(), |axis| format!("levels of `{axis}`"));
            return Err(format!("a rank is of one, and {} {what} are selected", subjects.len()));
        };
        let mut means = BTreeMap::new();
        for (name, values) in groups {
            means.insert(name, sample(values)?.mean());
        }
        let Some(mean) = means.get(subject) else {
            return Err("what is ranked is not among the others".to_owned());
        };
        let before = means.values().filter(|other| match better {
            Better::Higher => *other > mean,
            Better::Lower => *other < mean,
        });
        Ok((1 + before.count()) as f64)
    }

    fn are_paired(&self, cell: &Cell, other: &Cell) -> bool {
        fn level<'c>(cell: &'c Cell, axis: &str) -> Option<&'c serde_json::Value> {
            cell.levels.iter().find(|level| level.name == axis).map(|level| &level.level)
        }
        self.claim.paired_by.iter().all(|axis| level(cell, axis) == level(other, axis))
    }

    /// What each cell comes to against its counterpart.
    fn pairs(&self, own: &Taken<'q>, other: &Taken<'q>, how: ClaimAs) -> Result<Sample, String> {
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
                return Err(format!("cell {name} ({id}) has {n} counterparts with a figure"));
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
}

impl Taken<'_> {
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

    /// What is not there although there is a figure, and runs in it of which calls do not count.
    fn notes(&self, claim: &Claim) -> Vec<String> {
        let mut notes = Vec::new();
        let planned: usize = match claim.repeat {
            Some(_) => self.cells.len(),
            None => self.cells.iter().map(|cell| cell.planned as usize).sum(),
        };
        let there = self.runs.len() + self.incomplete;
        if there < planned {
            notes.push(format!("{there} of {planned} planned runs count"));
        }
        if self.incomplete > 0 {
            let of = self.incomplete;
            notes.push(format!("{of} run(s) with calls that do not count are left out"));
        }
        let failed = self.runs.iter().filter(|(_, run)| not_counted(run) > 0);
        let failed: Vec<String> =
            failed.map(|(cell, run)| format!("{}/{}", self.cells[*cell].id, run.repeat)).collect();
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

/// So many runs are named.
const NAMED: usize = 8;

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
        _ if other == 0.0 => Err("it is held against 0".to_owned()),
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
