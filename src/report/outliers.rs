//! Runs far from the others of their cell, as the manifest's rule flags them.

use serde::Serialize;

use super::completeness::fresh;
use super::data::Cell;
use crate::manifest::study::{Mad, Outliers};
use crate::metrics::outliers::{Outlier, flagged};

/// The rule in words, and the runs that it flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutlierTable {
    /// Metrics that are looked at; empty: none is.
    pub metrics: Vec<String>,
    pub k: f64,
    pub scaled: bool,
    /// In the order of the plan.
    pub runs: Vec<FlaggedRun>,
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
    let mut runs = Vec::new();
    for cell in cells.iter().filter(|_| !rule.metrics.is_empty()) {
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
    OutlierTable { metrics: rule.metrics.clone(), k: rule.k, scaled: rule.mad == Mad::Scaled, runs }
}
