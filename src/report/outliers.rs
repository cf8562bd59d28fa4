//! Runs far from the others of their cell, as the manifest's rule flags them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::completeness::fresh;
use super::data::Cell;
use crate::manifest::study::{Mad, Outliers};
use crate::metrics::outliers::{Outlier, flagged, known};
use crate::stats::{OutlierRule, flag_rates};

/// The rule in words, and the runs that it flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutlierTable {
    /// Metrics that are looked at; empty: none is.
    pub metrics: Vec<String>,
    pub k: f64,
    pub scaled: bool,
    /// How often the rule flags clean data, by the numbers of runs that were looked at, ascending.
    pub clean: Vec<CleanRate>,
    /// In the order of the plan.
    pub runs: Vec<FlaggedRun>,
}

/// What the rule makes of n normal values none of which is an outlier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CleanRate {
    pub n: usize,
    /// The share of the values that it flags.
    pub of_runs: f64,
    /// The share of the cells in which it flags any.
    pub of_cells: f64,
}

/// A run that the rule flags.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlaggedRun {
    /// `<id8>/<repeat>`.
    pub run: String,
    /// 32 hex digits.
    pub id: String,
    pub cell_name: String,
    #[serde(flatten)]
    pub outlier: Outlier,
    /// `<id8>/<repeat>` of the run that was made because of it.
    pub rerun: Option<String>,
    /// Its repeat.
    pub rerun_repeat: Option<u32>,
}

pub(super) fn collect(cells: &[Cell], rule: &Outliers) -> OutlierTable {
    let (mut runs, mut sizes) = (Vec::new(), BTreeSet::new());
    for cell in cells.iter().filter(|_| !rule.metrics.is_empty()) {
        for metric in &rule.metrics {
            let n = known(&fresh(cell), metric).len();
            // fewer than two values are not far from each other
            if n > 1 {
                sizes.insert(n);
            }
        }
        for outlier in flagged(&fresh(cell), rule) {
            let named = |repeat: u32| format!("{}/{repeat}", cell.short());
            let rerun = cell.runs.values().find(|run| run.rerun_of == Some(outlier.repeat));
            runs.push(FlaggedRun {
                run: named(outlier.repeat),
                id: cell.id.clone(),
                cell_name: cell.name.clone(),
                rerun: rerun.map(|run| named(run.repeat)),
                rerun_repeat: rerun.map(|run| run.repeat),
                outlier,
            });
        }
    }
    let scaled = rule.mad == Mad::Scaled;
    let clean = |n: usize| {
        let rates = flag_rates(OutlierRule { deviations: rule.k, scaled }, n);
        CleanRate { n, of_runs: rates.per_value, of_cells: rates.per_sample }
    };
    OutlierTable {
        metrics: rule.metrics.clone(),
        k: rule.k,
        scaled,
        clean: sizes.into_iter().map(clean).collect(),
        runs,
    }
}
