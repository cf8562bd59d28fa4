//! Which comparisons are adjusted together.
//!
//! Whoever looks through the tables of an experiment for a difference makes all of their tests, so that they
//! are one family, whatever table a comparison stands in: by the false discovery rate (Benjamini &
//! Hochberg 1995), which holds what is called better or worse by chance to a small share of all that is,
//! and where nothing differs to nothing in 19 of 20 experiments. A comparison is adjusted once and looked up by
//! every table, so that it never has two adjusted p in one report.
//!
//! There are two kinds. *Against the baseline*: cells with their counterparts, which the manifest names.
//! *Rankings*: cells with the best one, which the same data chose, so that their p have paid for that choice
//! before they are adjusted. A table of another baseline, of another direction, or of a part of
//! the cells ranked, is a family of its own.
//!
//! What the report's tables show is a family. The export has more: metrics that no table shows, and cells
//! against those that differ on one axis of the baseline. These are adjusted over everything that the
//! export compares, which what the tables show is a part of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use serde::Serialize;

use super::baseline::Counterparts;
use super::measured::{Comparer, Measured, measured};
use super::ranking;
use crate::metrics::MetricInfo;
use crate::report::cell_table::main_metrics;
use crate::report::completeness::fresh;
use crate::report::data::{Data, Experiment, NamedText};
use crate::report::select::{Selection, value};
use crate::stats;

/// What a family is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FamilyOf {
    /// Everything that the tables of an experiment hold against its baseline.
    #[serde(rename = "of this experiment")]
    Experiment,
    /// All cells of all metrics that the tables of an experiment show, each in its ranking.
    #[serde(rename = "in rankings of this experiment")]
    Rankings,
    /// The same and what only the export has.
    #[serde(rename = "of all metrics of this experiment")]
    Everything,
    #[serde(rename = "of this table")]
    Table,
    /// Two sets of results.
    #[serde(rename = "of this comparison")]
    Sets,
}

impl FamilyOf {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FamilyOf::Experiment => "of this experiment",
            FamilyOf::Rankings => "in rankings of this experiment",
            FamilyOf::Everything => "of all metrics of this experiment",
            FamilyOf::Table => "of this table",
            FamilyOf::Sets => "of this comparison",
        }
    }
}

/// An adjusted p, and within what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    pub p: f64,
    pub of: FamilyOf,
    pub tests: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Baseline,
    Ranking,
}

/// Metric, and the ids of a cell and of the one that it is compared with.
type Key = (String, String, String);

/// The families of one kind in one experiment: what the tables show, then everything.
#[derive(Debug)]
struct Both {
    shown: HashMap<Key, f64>,
    all: HashMap<Key, f64>,
}

/// Families by experiment, each computed when it is first asked for.
#[derive(Debug, Default)]
pub struct Families(Mutex<HashMap<(String, Kind), Arc<Both>>>);

/// Looks up adjusted p.
#[derive(Debug, Clone)]
pub struct Lookup(Arc<Both>, Kind);

impl Lookup {
    /// That of a metric of a cell against another; `None` where there was no test.
    #[must_use]
    pub fn of(&self, metric: &str, cell: &str, other: &str) -> Option<Adjusted> {
        let key = (metric.to_owned(), cell.to_owned(), other.to_owned());
        let of_shown = match self.1 {
            Kind::Baseline => FamilyOf::Experiment,
            Kind::Ranking => FamilyOf::Rankings,
        };
        let families = [(&self.0.shown, of_shown), (&self.0.all, FamilyOf::Everything)];
        let mut found = families.iter().filter_map(|(family, of)| {
            Some(Adjusted { p: *family.get(&key)?, of: *of, tests: family.len() })
        });
        found.next()
    }
}

impl Families {
    /// Comparisons with the baseline of the manifest, whole or on one axis.
    pub fn against_baseline(&self, data: &Data, experiment: &Experiment) -> Lookup {
        self.lookup(data, experiment, Kind::Baseline)
    }

    /// Comparisons with rank 1 among all cells, in the direction of the catalogue.
    pub fn rankings(&self, data: &Data, experiment: &Experiment) -> Lookup {
        self.lookup(data, experiment, Kind::Ranking)
    }

    fn lookup(&self, data: &Data, experiment: &Experiment, kind: Kind) -> Lookup {
        let key = (experiment.name.clone(), kind);
        // families are only ever added whole
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&key) {
            return Lookup(Arc::clone(found), kind);
        }
        let both = Arc::new(Both::new(data, experiment, kind));
        known().insert(key, Arc::clone(&both));
        Lookup(both, kind)
    }
}

impl Both {
    fn new(data: &Data, experiment: &Experiment, kind: Kind) -> Self {
        let selection = Selection::whole(data, experiment);
        let (first, further) = main_metrics(data, &selection);
        let shown = |key: &Key| {
            let mut metrics = first.iter().chain(&further);
            metrics.any(|metric| metric.better.is_some() && metric.name == key.0)
        };
        let raw = match kind {
            Kind::Baseline => against_baseline(data, experiment, &selection),
            Kind::Ranking => rankings(data, &selection),
        };
        let tables: Vec<(Key, f64)> = raw
            .iter()
            .filter(|own| own.whole && shown(&own.key))
            .map(|own| (own.key.clone(), own.p))
            .collect();
        let all = raw.into_iter().map(|own| (own.key, own.p)).collect();
        Self { shown: adjusted(tables), all: adjusted(all) }
    }
}

fn adjusted(raw: Vec<(Key, f64)>) -> HashMap<Key, f64> {
    let p: Vec<f64> = raw.iter().map(|(_, p)| *p).collect();
    raw.into_iter().map(|(key, _)| key).zip(stats::benjamini_hochberg(&p)).collect()
}

/// One test.
struct Raw {
    key: Key,
    p: f64,
    /// The counterpart is that of the whole baseline, or rank 1; not that on one axis.
    whole: bool,
}

/// The metrics that a run of the selection knows.
pub fn known<'a>(data: &'a Data, selection: &Selection<'a>) -> Vec<MetricInfo<'a>> {
    let runs: Vec<_> = selection.cells.iter().copied().flat_map(fresh).collect();
    let known = |metric: &MetricInfo<'_>| runs.iter().any(|run| value(run, metric.name).is_some());
    data.metrics().filter(known).collect()
}

fn against_baseline<'a>(
    data: &'a Data,
    experiment: &'a Experiment,
    selection: &Selection<'a>,
) -> Vec<Raw> {
    let comparer = Comparer::new(data);
    // on every axis of the baseline alone, after the whole of it
    let mut baselines: Vec<Vec<NamedText>> = vec![experiment.baseline.clone()];
    if experiment.baseline.len() > 1 {
        baselines.extend(experiment.baseline.iter().map(|level| vec![level.clone()]));
    }
    baselines.retain(|levels| !levels.is_empty());
    let counterparts: Vec<Counterparts<'_>> =
        baselines.iter().map(|levels| Counterparts::new(data, experiment, levels)).collect();
    known(data, selection)
        .par_iter()
        .flat_map_iter(|metric| {
            let mut found: Vec<Raw> = Vec::new();
            for own in measured(data, selection, metric) {
                for (place, counterparts) in counterparts.iter().enumerate() {
                    let Some(other) = counterparts.of(own.levels) else { continue };
                    let cell = own.cells[0];
                    let key = (metric.name.to_owned(), cell.id.clone(), other.id.clone());
                    // that on an axis may be that of the whole baseline
                    let twice = found.iter().rev().take(place).any(|known| known.key == key);
                    if cell.id == other.id || twice {
                        continue;
                    }
                    let other = Measured::new(other, own.levels, metric);
                    if let Some(p) = comparer.p(&own, &other) {
                        found.push(Raw { key, p, whole: place == 0 });
                    }
                }
            }
            found
        })
        .collect()
}

fn rankings(data: &Data, selection: &Selection<'_>) -> Vec<Raw> {
    let ranked = known(data, selection);
    ranked
        .par_iter()
        .flat_map_iter(|metric| {
            let tests = metric.better.map(|better| ranking::tests(data, metric, better, selection));
            tests.into_iter().flatten().map(|(cell, first, p)| {
                let key = (metric.name.to_owned(), cell, first);
                Raw { key, p, whole: true }
            })
        })
        .collect()
}
