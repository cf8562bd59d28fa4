//! How many repeats a hypothesis needs, said before the data.
//!
//! Runs are drawn as normal, or lognormal where a metric is a positive time or rate, with the means and the
//! spread of the runs at hand: a pilot, or what is stored of an earlier study. What is common to the cells of a
//! block stays common. The truth is put where the claim holds by the smallest effect that matters, and the
//! program's own path to the verdict judges: the number is the least at which it says so in 80 % of the draws.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Verdict;
use super::cells::{Cell, short};
use super::drawn;
use super::judge::{Question, judge};
use super::looks;
use super::sides::partners;
use super::words;
use crate::manifest::criterion::{Across, Bound, Cells, Criterion, Over, Statistic};
use crate::metrics::{self, MetricInfo, Scale, SmallestEffect};
use crate::stats::{self, POWER, Sample};
use crate::store::record::RunRecord;

/// More repeats than these are not looked for, and no studies of more runs than those: each is drawn as whole
/// records, hundreds of times.
const MOST: u32 = 500;
const MOST_RUNS: usize = 20_000;
/// Draws at each number of repeats, and after how many it is looked whether more are needed.
const DRAWS: u32 = 400;
const BATCH: u32 = 80;
const SEED: u64 = 80;
/// Confidence of the range that the spread is known to.
const LEVEL: f64 = 0.95;

/// What one criterion needs; a part of a compound one stands by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub criterion: String,
    /// What is taken to be true, in words.
    pub truth: String,
    /// What the spread is and which runs it is of, in words.
    pub spread: String,
    pub repeats: Repeats,
}

/// Repeats of each cell; `None`: more than `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    pub needed: Option<u32>,
    /// More were not looked for.
    pub most: u32,
    /// For a spread at the ends of its 95 % interval.
    pub range: (Option<u32>, Option<u32>),
    /// So that it is decided after the correction for all criteria of the study, whatever the others say.
    pub corrected: Option<u32>,
}

/// What each part of a criterion needs, or why that is not known. `family` counts the criteria of the study. The
/// question's cells hold the runs at hand.
#[must_use]
pub fn planned(question: &Question, family: usize) -> Vec<(String, Result<Planned, String>)> {
    match question.criterion {
        Criterion::All(parts) | Criterion::Any(parts) => {
            let any = matches!(question.criterion, Criterion::Any(_));
            let share = if any { parts.len() as f64 } else { 1.0 };
            let alpha = question.alpha / share;
            let of = |criterion| planned(&Question { criterion, alpha, ..*question }, family);
            parts.iter().flat_map(of).collect()
        }
        one => vec![(words::criterion(one), alone(question, family.max(1)))],
    }
}

fn alone(question: &Question, family: usize) -> Result<Planned, String> {
    let model = Model::of(question)?;
    let alpha = last_level(question);
    let needed = |scale: f64, alpha: f64| model.needed(question, alpha, scale);
    let (low, high) = model.scales();
    let repeats = Repeats {
        needed: needed(1.0, alpha),
        most: model.most(),
        range: (needed(low, alpha), needed(high, alpha)),
        corrected: needed(1.0, alpha / family as f64),
    };
    Ok(Planned {
        criterion: words::criterion(question.criterion),
        truth: model.truth.clone(),
        spread: model.spread.clone(),
        repeats,
    })
}

/// What is left of alpha for the last look, where looks are declared.
fn last_level(question: &Question) -> f64 {
    let levels = looks::levels(question.looks, question.alpha);
    let last =
        levels.ok().filter(|levels| levels.len() > 1).and_then(|levels| levels.last().copied());
    last.unwrap_or(question.alpha)
}

/// Cells as they are taken to be.
struct Model<'a> {
    cells: Vec<Modelled<'a>>,
    /// The metric, or two that are to be correlated with this correlation.
    metric: &'a str,
    with: Option<(&'a str, f64)>,
    /// Values are exponentials of what is drawn.
    log: bool,
    /// Repeats that the residuals of the cells have in common.
    blocks: Vec<u32>,
    /// Degrees of freedom of the spread; `None`: there is none.
    freedom: Option<f64>,
    truth: String,
    spread: String,
}

struct Modelled<'a> {
    cell: &'a Cell<'a>,
    mean: f64,
    /// By block, ÷ √ of the degrees of freedom: what is drawn is their sum, each times a normal deviate.
    residuals: Vec<f64>,
    /// A spread that no block shares.
    own: f64,
}

impl<'a> Model<'a> {
    fn of(question: &Question<'a>) -> Result<Self, String> {
        let criterion = question.criterion;
        let (metric, with) = match criterion {
            Criterion::Correlation { across: Across::Cells, .. } => {
                return Err("more repeats give no more cells, and those are correlated".to_owned());
            }
            Criterion::Correlation { x, y, bound, .. } => (x.as_str(), Some((y.as_str(), *bound))),
            Criterion::Difference { metric, .. }
            | Criterion::Ratio { metric, .. }
            | Criterion::Equivalent { metric, .. }
            | Criterion::Threshold { metric, .. } => (metric.as_str(), None),
            Criterion::Steadier { .. } => return Err(NO_SPREAD.to_owned()),
            Criterion::All(_) | Criterion::Any(_) => {
                return Err("its parts stand by themselves".to_owned());
            }
        };
        if let Criterion::Threshold { statistic, .. } = criterion {
            match statistic {
                Statistic::Sd | Statistic::Cv => return Err(NO_SPREAD.to_owned()),
                Statistic::Min | Statistic::Max => {
                    return Err("nothing is inferred from the smallest or largest run".to_owned());
                }
                Statistic::Mean | Statistic::Median | Statistic::P95 | Statistic::P99 => {}
            }
        }
        if let Some((y, bound)) = with {
            return Ok(Self::correlated(question, metric, y, bound));
        }
        let info = metrics::find(question.declared, metric)
            .ok_or_else(|| format!("this version computes no metric `{metric}`"))?;
        let mut model = Self::fitted(question, metric, &info)?;
        model.aim(question, &info)?;
        Ok(model)
    }

    /// The cells of the criterion with the means and the spread of their runs.
    fn fitted(question: &Question<'a>, metric: &'a str, info: &MetricInfo) -> Result<Self, String> {
        let concerned: Vec<&'a Cell<'a>> = question
            .cells
            .iter()
            .filter(|cell| question.criterion.concerns(&cell.levels))
            .collect();
        let known = |cell: &Cell| -> BTreeMap<u32, f64> {
            let value = |run: &&RunRecord| Some((run.repeat, (*run.metrics.get(metric)?)?));
            cell.runs.iter().filter_map(value).filter(|(_, value)| value.is_finite()).collect()
        };
        let values: Vec<BTreeMap<u32, f64>> = concerned.iter().map(|cell| known(cell)).collect();
        let all = || values.iter().flat_map(BTreeMap::values);
        let log = metrics::scale(info) == Scale::Ratio && all().all(|value| *value > 0.0);
        let scaled = |value: f64| if log { value.ln() } else { value };
        let samples: Vec<Option<Sample>> = values
            .iter()
            .map(|own| Sample::new(own.values().map(|value| scaled(*value)).collect()).ok())
            .collect();
        let freedom: usize = samples.iter().flatten().map(|own| own.n() - 1).sum();
        let squares: f64 = samples
            .iter()
            .flatten()
            .filter_map(|own| Some(own.sd()?.powi(2) * (own.n() - 1) as f64))
            .sum();
        let runs: usize = values.iter().map(BTreeMap::len).sum();
        if freedom == 0 {
            return Err(format!(
                "{runs} run(s) at hand know `{metric}`, and a spread takes two of one cell: make a pilot with \
                 `repeats = 3`"
            ));
        }
        let pooled = (squares / freedom as f64).sqrt();
        if pooled <= 0.0 {
            return Err(format!("`{metric}` does not vary over the {runs} runs at hand"));
        }
        let means: Vec<f64> = samples.iter().flatten().map(Sample::mean).collect();
        let middle = means.iter().sum::<f64>() / means.len() as f64;
        let blocks: BTreeSet<u32> = values.iter().flat_map(|own| own.keys().copied()).collect();
        let blocks: Vec<u32> = blocks.into_iter().collect();
        let modelled =
            |((cell, values), sample): ((&'a Cell<'a>, &BTreeMap<u32, f64>), &Option<Sample>)| {
                let mean = sample.as_ref().map_or(middle, Sample::mean);
                let sd = sample.as_ref().and_then(Sample::sd);
                if !question.interleaved || sd.is_none() {
                    return Modelled {
                        cell,
                        mean,
                        residuals: Vec::new(),
                        own: sd.unwrap_or(pooled),
                    };
                }
                let root = ((values.len() - 1) as f64).sqrt();
                let residual = |block: &u32| {
                    values.get(block).map_or(0.0, |value| (scaled(*value) - mean) / root)
                };
                Modelled { cell, mean, residuals: blocks.iter().map(residual).collect(), own: 0.0 }
            };
        let cells: Vec<Modelled> =
            concerned.iter().copied().zip(&values).zip(&samples).map(modelled).collect();
        let without = samples.iter().flatten().filter(|own| own.n() > 1).count();
        let without = cells.len() - without;
        let size = if log {
            format!("{} %", short(100.0 * pooled, 3))
        } else {
            format!("{} {}", short(pooled, 3), info.unit).trim_end().to_owned()
        };
        let lacking = if without > 0 {
            format!("; {without} cell(s) have too few of their own")
        } else {
            String::new()
        };
        let spread =
            format!("sd {size} within cells, of {runs} run(s) of {} cell(s){lacking}", cells.len());
        Ok(Self {
            cells,
            metric,
            with: None,
            log,
            blocks,
            freedom: Some(freedom as f64),
            truth: String::new(),
            spread,
        })
    }

    /// Two metrics go together half way between the bound and what a correlation can be.
    fn correlated(question: &Question<'a>, x: &'a str, y: &'a str, bound: Bound) -> Self {
        let truth = f64::midpoint(bound.value(), direction(bound));
        let concerned =
            question.cells.iter().filter(|cell| question.criterion.concerns(&cell.levels));
        let modelled = |cell| Modelled { cell, mean: 0.0, residuals: Vec::new(), own: 0.0 };
        Self {
            cells: concerned.map(modelled).collect(),
            metric: x,
            with: Some((y, truth)),
            log: false,
            blocks: Vec::new(),
            freedom: None,
            truth: format!("a correlation of {}", short(truth, 3)),
            spread: "a correlation has no spread of its own".to_owned(),
        }
    }

    /// Puts the truth where the claim holds by the smallest effect that matters.
    fn aim(&mut self, question: &Question, info: &MetricInfo) -> Result<(), String> {
        let effect = metrics::smallest_effect(info).ok_or_else(|| {
            format!(
                "`{}` has no smallest effect that matters: see `runner schema metrics`",
                info.name
            )
        })?;
        let said = effect.text(info.unit);
        match question.criterion {
            Criterion::Difference { at, than, bound, .. } => {
                let size = |reference: f64| match effect {
                    SmallestEffect::Relative(share) => share * reference.abs(),
                    SmallestEffect::Absolute(size) => size,
                };
                let sign = direction(*bound);
                self.truth = format!("a difference {said} beyond {}", short(bound.value(), 4));
                self.place(question, at, than, |than| than + bound.value() + sign * size(than))
            }
            Criterion::Equivalent { at, to, .. } => {
                "no difference".clone_into(&mut self.truth);
                self.place(question, at, to, |to| to)
            }
            Criterion::Ratio { of, to, bound, .. } => {
                let sign = direction(*bound);
                self.truth = format!("a ratio {said} beyond {}", short(bound.value(), 4));
                self.place(question, of, to, |to| match effect {
                    SmallestEffect::Relative(share) => to * bound.value() * (1.0 + sign * share),
                    SmallestEffect::Absolute(size) => to * bound.value() + sign * size,
                })
            }
            Criterion::Threshold { statistic, bound, .. } => {
                let value = bound.value();
                let size = match effect {
                    SmallestEffect::Relative(share) => share * value.abs(),
                    SmallestEffect::Absolute(size) => size,
                };
                let target = value + direction(*bound) * size;
                self.truth = format!("a {} {said} beyond {}", statistic.name(), short(value, 4));
                self.at(*statistic, target)
            }
            _ => Ok(()),
        }
    }

    /// Moves the cells of the one side so that their mean is what `target` makes of the other side's: side by
    /// side, or pair by pair where each must hold.
    fn place(
        &mut self,
        question: &Question,
        one: &Cells,
        other: &Cells,
        target: impl Fn(f64) -> f64,
    ) -> Result<(), String> {
        let of = |side: &Cells, model: &Self| -> Vec<usize> {
            let chosen = |place: &usize| side.select(&model.cells[*place].cell.levels);
            (0..model.cells.len()).filter(chosen).collect()
        };
        let (ones, others) = (of(one, self), of(other, self));
        let cells_of = |places: &[usize]| -> Vec<&Cell> {
            places.iter().map(|place| self.cells[*place].cell).collect()
        };
        let pairs = match question.terms.over {
            Over::Each => partners(&cells_of(&ones), &cells_of(&others), one, other)?,
            Over::Cells => Vec::new(),
        };
        let place_of = |id: &str| self.cells.iter().position(|own| own.cell.id == id);
        let groups: Vec<(Vec<usize>, Vec<usize>)> = if pairs.is_empty() {
            vec![(ones, others)]
        } else {
            let places = |(a, b): &(&str, &str)| Some((vec![place_of(a)?], vec![place_of(b)?]));
            pairs.iter().filter_map(places).collect()
        };
        for (ones, others) in groups {
            let (now, reference) = (self.level(&ones), self.level(&others));
            self.shift(&ones, now, target(reference))?;
        }
        Ok(())
    }

    /// Moves every cell so that the statistic of its runs is the target; over several cells their mean.
    fn at(&mut self, statistic: Statistic, target: f64) -> Result<(), String> {
        let tail = match statistic {
            Statistic::P95 => 1.644_854,
            Statistic::P99 => 2.326_348,
            _ => 0.0,
        };
        let all: Vec<usize> = (0..self.cells.len()).collect();
        let now = if statistic == Statistic::Mean {
            self.level(&all)
        } else {
            let of = |own: &Modelled| self.value(own.mean + tail * own.sd());
            self.cells.iter().map(of).sum::<f64>() / all.len() as f64
        };
        self.shift(&all, now, target)
    }

    fn shift(&mut self, places: &[usize], now: f64, target: f64) -> Result<(), String> {
        let by = if self.log { (target / now).ln() } else { target - now };
        if !by.is_finite() {
            return Err(format!("`{}` cannot be {}", self.metric, short(target, 4)));
        }
        for place in places {
            self.cells[*place].mean += by;
        }
        Ok(())
    }

    /// The mean of the cells' means, in the metric's unit.
    fn level(&self, places: &[usize]) -> f64 {
        let mean = |place: &usize| {
            let own = &self.cells[*place];
            let above = if self.log { own.sd().powi(2) / 2.0 } else { 0.0 };
            self.value(own.mean + above)
        };
        places.iter().map(mean).sum::<f64>() / places.len() as f64
    }

    fn value(&self, scaled: f64) -> f64 {
        if self.log { scaled.exp() } else { scaled }
    }

    /// What the spread may be of what it was seen to be, at the ends of its interval.
    fn scales(&self) -> (f64, f64) {
        let Some(freedom) = self.freedom else { return (1.0, 1.0) };
        let tail = (1.0 - LEVEL) / 2.0;
        let end = |p| stats::chi_squared_quantile(p, freedom).map(|chi| (freedom / chi).sqrt());
        (end(1.0 - tail).unwrap_or(1.0), end(tail).unwrap_or(1.0))
    }

    fn most(&self) -> u32 {
        let runs = MOST_RUNS / self.cells.len().max(1);
        u32::try_from(runs).map_or(MOST, |runs| runs.clamp(2, MOST))
    }

    /// The least number of repeats at which the verdict is as it should be in [`POWER`] of the draws.
    fn needed(&self, question: &Question, alpha: f64, scale: f64) -> Option<u32> {
        let enough = |repeats: u32| self.decides(question, alpha, scale, repeats);
        let mut high = 2;
        while !enough(high) {
            if high >= self.most() {
                return None;
            }
            high = (high * 2).min(self.most());
        }
        let mut low = (high / 2).max(1);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if enough(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }

    fn decides(&self, question: &Question, alpha: f64, scale: f64, repeats: u32) -> bool {
        let mut supported = 0_u32;
        for from in (0..DRAWS).step_by(BATCH as usize) {
            let one = |draw: u32| u32::from(self.draw(question, alpha, scale, repeats, draw));
            supported += (from..from + BATCH).into_par_iter().map(one).sum::<u32>();
            let share = f64::from(supported) / f64::from(from + BATCH);
            let error = 3.0 * (POWER * (1.0 - POWER) / f64::from(from + BATCH)).sqrt();
            if (share - POWER).abs() > error {
                return share > POWER;
            }
        }
        f64::from(supported) >= POWER * f64::from(DRAWS)
    }

    /// Whether a study that was drawn is judged to support the claim.
    fn draw(&self, question: &Question, alpha: f64, scale: f64, repeats: u32, draw: u32) -> bool {
        let mut rng =
            ChaCha8Rng::seed_from_u64(SEED ^ (u64::from(repeats) << 32) ^ u64::from(draw));
        let mut runs: Vec<Vec<RunRecord>> = vec![Vec::new(); self.cells.len()];
        let mut place = 0;
        for repeat in 1..=repeats {
            let common: Vec<f64> =
                self.blocks.iter().map(|_| stats::normal_deviate(&mut rng)).collect();
            for (own, runs) in self.cells.iter().zip(&mut runs) {
                let shared: f64 = own.residuals.iter().zip(&common).map(|(r, g)| r * g).sum();
                let deviate = shared + own.own * stats::normal_deviate(&mut rng);
                let x = own.mean + scale * deviate;
                let mut values = vec![(self.metric.to_owned(), self.value(x))];
                if let Some((y, r)) = self.with {
                    let free = (1.0 - r * r).sqrt() * stats::normal_deviate(&mut rng);
                    values = vec![(self.metric.to_owned(), stats::normal_deviate(&mut rng))];
                    let along = r * values[0].1 + free;
                    values.push((y.to_owned(), along));
                }
                runs.push(drawn::run(repeat, place, values));
                place += 1;
            }
        }
        let cells: Vec<Cell> = self
            .cells
            .iter()
            .zip(&runs)
            .map(|(own, runs)| Cell {
                planned: repeats,
                open: Vec::new(),
                runs: runs.iter().collect(),
                stale: 0,
                failed: Vec::new(),
                ..own.cell.clone()
            })
            .collect();
        judge(&Question { cells: &cells, alpha, looks: &[], ..*question }).verdict
            == Verdict::Supported
    }
}

impl Modelled<'_> {
    fn sd(&self) -> f64 {
        (self.residuals.iter().map(|r| r * r).sum::<f64>() + self.own * self.own).sqrt()
    }
}

const NO_SPREAD: &str = "how far two spreads must lie apart to matter is not known";

fn direction(bound: Bound) -> f64 {
    if matches!(bound, Bound::Above(_)) { 1.0 } else { -1.0 }
}
