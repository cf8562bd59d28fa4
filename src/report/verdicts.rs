//! Hypotheses and claims of a study, judged on the runs that statistics use.

use std::collections::BTreeSet;

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, FailedAttempt};
use crate::cells::NamedLevel;
use crate::manifest::study::{Hypothesis, Order};
use crate::metrics;
use crate::plan::Plan;
use crate::stats::Needed;
use crate::store::executed::{self, ExecutedPlan};
use crate::store::failed::CANCELLED;
use crate::verdict::{self, Checked, Finding, Known, Question, Standing};

/// A hypothesis with what the data say of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    pub experiment: String,
    pub name: String,
    pub claim: String,
    /// The criterion in words.
    pub criterion: String,
    /// The metrics that it names.
    pub metrics: Vec<String>,
    /// `supported`, `refuted`, `inconclusive`, `no data`.
    pub verdict: &'static str,
    pub decided: bool,
    pub reason: Option<String>,
    pub test: String,
    /// What the effect is.
    pub quantity: String,
    pub effect: Option<f64>,
    pub unit: String,
    pub interval: Option<[f64; 2]>,
    /// Of the interval, per cent.
    pub confidence: String,
    pub alpha: f64,
    pub p: Option<f64>,
    /// Holm's over the hypotheses of the study that have a p.
    pub adjusted_p: Option<f64>,
    /// A decision that the adjusted p bears out; `None` where there is no decision or no p.
    pub survives: Option<bool>,
    pub n: String,
    /// In words: `12 pairs`.
    pub needed: Option<String>,
    /// Of a claim about load balance: what became of the work done.
    pub work: Option<String>,
    pub notes: Vec<String>,
    /// When the criterion was declared, where that was before its runs.
    pub declared: Option<String>,
    /// Why the label "post hoc" stands here.
    pub post_hoc: Option<String>,
    /// The criterion that it replaced, in words.
    pub replaced: Option<String>,
    pub parts: Vec<Part>,
}

/// A part of a compound hypothesis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub criterion: String,
    pub verdict: &'static str,
    pub reason: Option<String>,
    pub quantity: String,
    pub effect: Option<f64>,
    pub unit: String,
    pub interval: Option<[f64; 2]>,
    pub confidence: String,
    pub p: Option<f64>,
    pub n: String,
}

/// Judges every hypothesis and checks every claim. `cells` are those of the plan.
pub(super) fn judge(
    plan: &Plan,
    cells: &[Cell],
    failed: &[FailedAttempt],
    executed: Option<&ExecutedPlan>,
) -> (Vec<Judged>, Vec<Checked>) {
    let study = plan.study();
    let declared = metrics::declared(study);
    let names: BTreeSet<String> = study
        .experiments
        .iter()
        .flat_map(|own| own.hypotheses.iter().map(|one| executed::name(&own.name, &one.name)))
        .collect();
    let mut found: Vec<(Finding, Judged)> = Vec::new();
    let mut experiments: Vec<(&str, Vec<verdict::Cell>)> = Vec::new();
    for (index, experiment) in study.experiments.iter().enumerate() {
        let wanted = !experiment.hypotheses.is_empty() || !study.claims.is_empty();
        let members = if wanted { plan.experiment_cells(index) } else { Vec::new() };
        // filtered out as a whole
        if members.is_empty() {
            continue;
        }
        let own: Vec<verdict::Cell> = members
            .into_iter()
            .map(|cell| of_cell(&cells[cell as usize], plan.row_levels(index, cell), failed))
            .collect();
        for hypothesis in &experiment.hypotheses {
            let finding = verdict::judge(&Question {
                criterion: &hypothesis.criterion,
                alpha: hypothesis.alpha,
                cells: &own,
                interleaved: experiment.settings.order == Order::Interleaved,
                declared: &declared,
            });
            let standing = standing(plan, index, hypothesis, cells, executed, &names);
            let judged = judged(&experiment.name, hypothesis, &finding, standing);
            found.push((finding, judged));
        }
        experiments.push((&experiment.name, own));
    }
    let adjusted = verdict::adjust(&found.iter().map(|(finding, _)| finding).collect::<Vec<_>>());
    let hypotheses = found
        .into_iter()
        .zip(adjusted)
        .map(|((_, judged), adjusted_p)| Judged {
            adjusted_p,
            survives: adjusted_p.filter(|_| judged.decided).map(|p| p < judged.alpha),
            ..judged
        })
        .collect();
    let experiments: Vec<(&str, &[verdict::Cell])> =
        experiments.iter().map(|(name, cells)| (*name, cells.as_slice())).collect();
    let profile = study.profile.as_deref();
    let check = |claim| verdict::check(claim, &experiments, profile, &declared);
    (hypotheses, study.claims.iter().map(check).collect())
}

fn of_cell<'a>(
    cell: &'a Cell,
    levels: Vec<NamedLevel>,
    failed: &[FailedAttempt],
) -> verdict::Cell<'a> {
    let own = |attempt: &&FailedAttempt| {
        attempt.cell.as_ref() == Some(&cell.id) && attempt.cause != CANCELLED
    };
    verdict::Cell {
        id: cell.short(),
        name: &cell.name,
        levels,
        planned: cell.repeats,
        runs: fresh(cell).collect(),
        stale: cell.stale.len(),
        failed: failed.iter().filter(own).count(),
    }
}

fn standing(
    plan: &Plan,
    index: usize,
    hypothesis: &Hypothesis,
    cells: &[Cell],
    executed: Option<&ExecutedPlan>,
    names: &BTreeSet<String>,
) -> Standing {
    let concerned: Vec<&Cell> = plan
        .experiment_cells(index)
        .into_iter()
        .filter(|cell| hypothesis.criterion.concerns(&plan.row_levels(index, *cell)))
        .map(|cell| &cells[cell as usize])
        .collect();
    let runs = || concerned.iter().flat_map(|cell| cell.runs.values());
    let known =
        Known { runs: runs().count(), first_started: runs().map(|run| run.started.as_str()).min() };
    let experiment = &plan.study().experiments[index].name;
    verdict::standing(executed, experiment, hypothesis, known, |name| !names.contains(name))
}

fn judged(
    experiment: &str,
    hypothesis: &Hypothesis,
    finding: &Finding,
    standing: Standing,
) -> Judged {
    let (declared, post_hoc, replaced) = match standing {
        Standing::Before { since } => (Some(since), None, None),
        Standing::PostHoc { why, replaced } => (None, Some(why), replaced),
        Standing::Open => (None, None, None),
    };
    Judged {
        experiment: experiment.to_owned(),
        name: hypothesis.name.clone(),
        claim: hypothesis.claim.clone(),
        criterion: verdict::in_words(&hypothesis.criterion),
        metrics: hypothesis.criterion.metrics().into_iter().map(str::to_owned).collect(),
        verdict: finding.verdict.name(),
        decided: finding.verdict.is_decided(),
        reason: finding.reason.clone(),
        test: finding.test.clone(),
        quantity: finding.quantity.clone(),
        effect: finding.effect,
        unit: finding.unit.clone(),
        interval: finding.interval.map(|interval| [interval.low, interval.high]),
        confidence: percent(finding.level),
        alpha: hypothesis.alpha,
        p: finding.p,
        adjusted_p: None,
        survives: None,
        n: finding.n.clone(),
        needed: finding.needed.map(|needed| match needed {
            Needed::Runs(runs) => format!("{runs} {}", finding.needed_unit),
            Needed::TooMany => format!("over {} {}", Needed::LARGEST, finding.needed_unit),
        }),
        work: finding.work.clone(),
        notes: finding.notes.clone(),
        declared,
        post_hoc,
        replaced,
        parts: finding.parts.iter().map(|(criterion, part)| of_part(criterion, part)).collect(),
    }
}

/// `95`, without the digits that 1 − alpha brings.
fn percent(level: f64) -> String {
    ((level * 1e8).round() / 1e6).to_string()
}

fn of_part(criterion: &str, part: &Finding) -> Part {
    Part {
        criterion: criterion.to_owned(),
        verdict: part.verdict.name(),
        reason: part.reason.clone(),
        quantity: part.quantity.clone(),
        effect: part.effect,
        unit: part.unit.clone(),
        interval: part.interval.map(|interval| [interval.low, interval.high]),
        confidence: percent(part.level),
        p: part.p,
        n: part.n.clone(),
    }
}
