//! Published numbers against stored runs.

use serde::Serialize;

use super::cells::{self, Cell};
use super::{catalogue, threshold, unit, words};
use crate::manifest::study::{Claim, Tolerance};
use crate::metrics::{self, DeclaredMetric};

/// What stored runs say of a published number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reproduction {
    /// The recomputed number is within the tolerance.
    Reproduced,
    Contradicted,
    NoData,
}

impl Reproduction {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Contradicted => "contradicted",
            Self::NoData => "no data",
        }
    }
}

/// A claim with what was recomputed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    pub name: String,
    pub result: Reproduction,
    /// Why nothing was recomputed.
    pub reason: Option<String>,
    /// `mean of client_tokens_per_s at throttle 60 tok/s`.
    pub quantity: String,
    /// As published, in `unit`.
    pub published: f64,
    pub recomputed: Option<f64>,
    pub unit: String,
    /// How far the two may differ, in `unit`.
    pub allowed: f64,
    /// Runs behind the recomputed number, and the cells that they are of.
    pub runs: usize,
    pub cells: usize,
    pub source: String,
    pub notes: Vec<String>,
}

/// Recomputes the number of a claim. `experiments` are the names of experiments with their cells, and
/// `profile` is the profile whose results they are,
/// `declared` the study's own metrics.
#[must_use]
pub fn check(
    claim: &Claim,
    experiments: &[(&str, &[Cell])],
    profile: Option<&str>,
    declared: &[DeclaredMetric],
) -> Checked {
    let allowed = match claim.tolerance {
        Tolerance::Relative(share) => share * claim.value.abs(),
        Tolerance::Absolute(size) => size,
    };
    let at = words::levels(&claim.cells);
    let info = metrics::find(declared, &claim.metric);
    let of_metric = info.map_or("", |info| catalogue::unit_of(info.unit, claim.statistic));
    let mut checked = Checked {
        name: claim.name.clone(),
        result: Reproduction::NoData,
        reason: None,
        quantity: format!(
            "{} of {}{}{}{}",
            claim.statistic.name(),
            claim.metric,
            if at.is_empty() { "" } else { " at " },
            at,
            claim.experiment.as_ref().map_or_else(String::new, |name| format!(" in {name}")),
        ),
        published: claim.value,
        recomputed: None,
        unit: claim.unit.clone().unwrap_or_else(|| of_metric.to_owned()),
        allowed,
        runs: 0,
        cells: 0,
        source: claim.source.clone(),
        notes: Vec::new(),
    };
    if let Some(wanted) = &claim.profile
        && profile != Some(wanted)
    {
        checked.reason = Some(format!("it is about the results of profile `{wanted}`"));
        return checked;
    }
    match recompute(claim, experiments, declared, of_metric, &mut checked) {
        Ok(recomputed) => {
            checked.recomputed = Some(recomputed);
            // the rounding of the subtraction is no contradiction
            let off = (recomputed - claim.value).abs();
            let within = off <= allowed + 1e-12 * claim.value.abs();
            checked.result =
                if within { Reproduction::Reproduced } else { Reproduction::Contradicted };
        }
        Err(reason) => checked.reason = Some(reason),
    }
    checked
}

/// The number in the claim's unit.
fn recompute(
    claim: &Claim,
    experiments: &[(&str, &[Cell])],
    declared: &[DeclaredMetric],
    of_metric: &str,
    checked: &mut Checked,
) -> Result<f64, String> {
    let mut all: Vec<Cell> = Vec::new();
    for (name, cells) in experiments {
        if claim.experiment.as_ref().is_none_or(|wanted| wanted == name) {
            for cell in *cells {
                // a cell may belong to several experiments
                let selected = claim.cells.select(&cell.levels);
                if selected && !all.iter().any(|known| known.id == cell.id) {
                    all.push(cell.clone());
                }
            }
        }
    }
    let selected = cells::select(&all, &claim.cells)?;
    let values = cells::values(&selected, &claim.metric, declared)?;
    let sample = cells::sample(&values)?;
    (checked.runs, checked.cells) = (values.len(), selected.len());
    checked.notes = cells::notes(&selected, &claim.metric, &values);
    checked.notes.extend(cells::same_circumstances(&selected).err());
    let factor = unit::factor(of_metric, &checked.unit)
        .ok_or_else(|| format!("`{}` cannot be turned into {}", of_metric, checked.unit))?;
    let value = threshold::value(&sample, claim.statistic)
        .ok_or_else(|| format!("{} run(s) have no {}", sample.n(), claim.statistic.name()))?;
    Ok(value * factor)
}
