//! Hypotheses and claims of a study, judged on the runs that statistics use.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, FailedAttempt};
use crate::cells::NamedLevel;
use crate::manifest::criterion::Criterion;
use crate::manifest::study::{Experiment, Hypothesis, Order};
use crate::metrics::{self, DeclaredMetric};
use crate::plan::Plan;
use crate::stats::Needed;
use crate::store::executed::{self, Declared, ExecutedPlan, PlannedRepeats};
use crate::store::failed;
use crate::verdict::power::{self, Planned};
use crate::verdict::{self, Checked, Finding, Known, Question, Repeats, Standing, Today};

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
    /// Holm's over the hypotheses of the study, those that were withdrawn included.
    pub adjusted_p: Option<f64>,
    /// How many criteria that correction is over.
    pub family: usize,
    /// A decision that the adjusted p bears out; `None` where there is no decision or no p.
    pub survives: Option<bool>,
    pub n: String,
    /// In words: `12 pairs (6 to 41)`, the range for the ends of the effect's interval.
    pub needed: Option<String>,
    /// Of a claim about load balance: what became of the work done.
    pub work: Option<String>,
    pub notes: Vec<String>,
    /// When the criterion was declared, where that was before its runs.
    pub declared: Option<String>,
    /// It was declared, there were data, and it is no longer in the manifest: since when.
    pub withdrawn: Option<String>,
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

/// What is judged: the plan's cells with their runs, and what was declared of them when.
struct Judging<'a> {
    plan: &'a Plan,
    cells: &'a [Cell],
    failed: &'a [FailedAttempt],
    executed: Option<&'a ExecutedPlan>,
    declared: &'a [DeclaredMetric],
    /// Every hypothesis of the manifest.
    today: Vec<Today>,
}

/// A criterion that is no longer in the manifest, judged all the same.
type Withdrawn = (Criterion, Finding, Judged);

/// An experiment with its cells as verdicts take them.
struct Own<'a> {
    index: usize,
    experiment: &'a Experiment,
    cells: Vec<verdict::Cell<'a>>,
}

/// Judges every hypothesis, those that were withdrawn after there were data included, and checks every claim.
/// `cells` are those of the whole plan: what is shown of a study changes no verdict. Hypotheses of which nothing is
/// in `shown` are left out, and count in the family.
pub(super) fn judge(
    shown: &Plan,
    cells: &[Cell],
    failed: &[FailedAttempt],
    executed: Option<&ExecutedPlan>,
) -> (Vec<Judged>, Vec<Checked>) {
    let plan = shown.whole();
    let study = plan.study();
    let declared = metrics::declared(study);
    let hypotheses = study.experiments.iter().enumerate().flat_map(|(index, own)| {
        own.hypotheses.iter().map(move |hypothesis| Today::of(plan, index, hypothesis))
    });
    let today = hypotheses.collect();
    let judging = Judging { plan, cells, failed, executed, declared: &declared, today };
    let experiments = judging.experiments();
    let (withdrawn, lost) = judging.withdrawn(&experiments);
    let mut found: Vec<(Finding, Judged, bool)> = Vec::new();
    for (own, withdrawn) in experiments.iter().zip(withdrawn) {
        let is_shown = |criterion: &Criterion| {
            let mut cells = shown.experiment_cells(own.index).into_iter();
            std::ptr::eq(shown, plan)
                || cells.any(|cell| criterion.concerns(&shown.row_levels(own.index, cell)))
        };
        for hypothesis in &own.experiment.hypotheses {
            let (finding, judged) = judging.hypothesis(own, hypothesis);
            found.push((finding, judged, is_shown(&hypothesis.criterion)));
        }
        found.extend(
            withdrawn
                .into_iter()
                .map(|(criterion, finding, judged)| (finding, judged, is_shown(&criterion))),
        );
    }
    let findings: Vec<&Finding> = found.iter().map(|(finding, ..)| finding).collect();
    // whoever asked it and let it go untested has asked it
    let untested = found
        .iter()
        .filter(|(finding, judged, _)| judged.withdrawn.is_some() && finding.p.is_none());
    let others = lost + untested.count();
    let family = others + findings.iter().filter(|finding| finding.p.is_some()).count();
    let adjusted = verdict::adjust(&findings, others);
    let hypotheses = found
        .into_iter()
        .zip(adjusted)
        .filter(|((_, _, is_shown), _)| *is_shown)
        .map(|((_, judged, _), adjusted_p)| Judged {
            adjusted_p,
            family,
            survives: adjusted_p.filter(|_| judged.decided).map(|p| p < judged.alpha),
            ..judged
        })
        .collect();
    let experiments: Vec<(&str, &[verdict::Cell])> = experiments
        .iter()
        .map(|own| (own.experiment.name.as_str(), own.cells.as_slice()))
        .collect();
    let profile = study.profile.as_deref();
    let check = |claim| verdict::check(claim, &experiments, profile, &declared);
    (hypotheses, study.claims.iter().map(check).collect())
}

/// What a hypothesis needs to be decided, by its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedHypothesis {
    pub experiment: String,
    pub name: String,
    pub alpha: f64,
    /// Repeats that the manifest asks for; the most, where it leaves them to the data.
    pub repeats: u32,
    /// Each with its criterion in words, and what it needs or why that is not known.
    pub parts: Vec<(String, Result<Planned, String>)>,
}

/// How many repeats each hypothesis needs, from the runs at hand.
pub(super) fn planned(plan: &Plan, cells: &[Cell]) -> Vec<PlannedHypothesis> {
    let study = plan.study();
    let declared = metrics::declared(study);
    let judging = Judging {
        plan,
        cells,
        failed: &[],
        executed: None,
        declared: &declared,
        today: Vec::new(),
    };
    let family = study.experiments.iter().map(|own| own.hypotheses.len()).sum();
    let mut found = Vec::new();
    for own in judging.experiments() {
        let settings = &own.experiment.settings;
        for hypothesis in &own.experiment.hypotheses {
            let question = Question {
                criterion: &hypothesis.criterion,
                terms: hypothesis.terms,
                alpha: hypothesis.alpha,
                cells: &own.cells,
                interleaved: settings.order == Order::Interleaved,
                looks: &settings.looks,
                declared: &declared,
            };
            found.push(PlannedHypothesis {
                experiment: own.experiment.name.clone(),
                name: hypothesis.name.clone(),
                alpha: hypothesis.alpha,
                repeats: settings.until.as_ref().map_or(settings.repeats, |until| until.max),
                parts: power::planned(&question, family),
            });
        }
    }
    found
}

impl<'a> Judging<'a> {
    /// The experiments with the cells of the whole plan; a cell has the runs that its experiment asks for, however
    /// many others want of it.
    fn experiments(&self) -> Vec<Own<'a>> {
        let experiments = self.plan.study().experiments.iter().enumerate();
        experiments
            .map(|(index, experiment)| {
                let repeats = self.plan.experiment_repeats(index);
                // the data say how many there are to be, and failed runs are tried again
                let until = experiment.settings.until.as_ref();
                let grows = until.is_some_and(|until| repeats < until.max);
                let cell = |cell: u32| {
                    let levels = self.plan.row_levels(index, cell);
                    of_cell(&self.cells[cell as usize], levels, self.failed, repeats, grows)
                };
                let cells = self.plan.experiment_cells(index).into_iter().map(cell).collect();
                Own { index, experiment, cells }
            })
            .collect()
    }

    fn hypothesis(&self, own: &Own<'a>, hypothesis: &Hypothesis) -> (Finding, Judged) {
        let standing = self.standing(own, hypothesis);
        let repeats = self.repeats(own);
        let finding = self.finding(own, hypothesis, &repeats);
        let tried = match &standing {
            Standing::Before { elsewhere, .. } if *elsewhere > 0 => Some(format!(
                "the same criterion had {elsewhere} run(s) in cells that it is no longer about when it \
                 was declared of these"
            )),
            _ => None,
        };
        let mut judged = judged(&own.experiment.name, hypothesis, &finding, standing);
        judged.notes.extend(tried);
        if let Some(why) = repeats.post_hoc {
            judged.declared = None;
            judged.post_hoc = Some(match judged.post_hoc {
                Some(other) => format!("{other}; {why}"),
                None => why,
            });
        }
        judged.claim.push_str(&self.swapped_models(own, &hypothesis.criterion));
        (finding, judged)
    }

    fn finding(&self, own: &Own<'a>, hypothesis: &Hypothesis, repeats: &Repeats) -> Finding {
        let settings = &own.experiment.settings;
        let looks = if repeats.post_hoc.is_some() { &[][..] } else { settings.looks.as_slice() };
        let share = repeats.share();
        let mut finding = verdict::judge(&Question {
            criterion: &hypothesis.criterion,
            terms: hypothesis.terms,
            alpha: hypothesis.alpha * share,
            cells: &own.cells,
            interleaved: settings.order == Order::Interleaved,
            looks,
            declared: self.declared,
        });
        // below alpha exactly where there is a decision, as any other p
        finding.p = finding.p.map(|p| (p / share).min(1.0));
        finding
    }

    fn concerned(&self, own: &Own<'a>, criterion: &Criterion) -> Vec<&'a Cell> {
        let cells = self.plan.experiment_cells(own.index).into_iter();
        let concerned =
            cells.filter(|cell| criterion.concerns(&self.plan.row_levels(own.index, *cell)));
        concerned.map(|cell| &self.cells[cell as usize]).collect()
    }

    fn standing(&self, own: &Own<'a>, hypothesis: &Hypothesis) -> Standing {
        let concerned = self.concerned(own, &hypothesis.criterion);
        let runs = || concerned.iter().flat_map(|cell| cell.runs.values());
        let first_started = runs().filter_map(|run| run.started.as_deref()).min();
        let imported = runs().any(|run| run.imported.is_some());
        let known = Known { runs: runs().count(), first_started, imported };
        let gone = |name: &str| !self.today.iter().any(|own| own.name == name);
        let name = executed::name(&own.experiment.name, &hypothesis.name);
        match self.today.iter().find(|own| own.name == name) {
            Some(today) => verdict::standing(self.executed, today, known, gone),
            None => Standing::Open,
        }
    }

    /// Whether the repeats of an experiment were changed when there were data.
    fn repeats(&self, own: &Own<'a>) -> Repeats {
        let runs = own.cells.iter().map(|cell| cell.runs.len() + cell.stale).sum();
        let today = PlannedRepeats {
            runs_before: Some(runs),
            ..PlannedRepeats::of(&own.experiment.settings)
        };
        let history = self.executed.and_then(|plan| plan.repeats.get(&own.experiment.name));
        verdict::repeats(history.map_or(&[], Vec::as_slice), &today)
    }

    /// By experiment, the criteria that were declared, that data could have spoken against, and that no hypothesis
    /// of the manifest is any more; and how many more there are that this version cannot read or whose experiment
    /// is gone. They stay in the family: whoever declares ten and deletes nine has asked ten.
    fn withdrawn(&self, experiments: &[Own<'a>]) -> (Vec<Vec<Withdrawn>>, usize) {
        let mut found: Vec<Vec<_>> = experiments.iter().map(|_| Vec::new()).collect();
        let mut lost = 0;
        let gone = self.executed.map(|plan| verdict::withdrawn(plan, &self.today));
        for (name, declared) in gone.unwrap_or_default() {
            let place = name.split_once('/').and_then(|(experiment, _)| {
                experiments.iter().position(|own| own.experiment.name == experiment)
            });
            let stored = Criterion::stored(&declared.criterion);
            let (Some(place), Some((criterion, terms, alpha))) = (place, stored) else {
                lost += 1;
                continue;
            };
            let own = &experiments[place];
            let known: Vec<Vec<NamedLevel>> =
                own.cells.iter().map(|cell| cell.levels.clone()).collect();
            let hypothesis = Hypothesis {
                name: name.split_once('/').map_or(name, |(_, own)| own).to_owned(),
                claim: "(withdrawn)".to_owned(),
                alpha,
                criterion: criterion.on_cells(&known),
                terms,
                document: declared.criterion.clone(),
            };
            if !self.had_data(own, &hypothesis, declared) {
                continue;
            }
            let finding = self.finding(own, &hypothesis, &self.repeats(own));
            let mut judged = judged(&own.experiment.name, &hypothesis, &finding, Standing::Open);
            judged.withdrawn = Some(declared.since.clone());
            found[place].push((hypothesis.criterion, finding, judged));
        }
        (found, lost)
    }

    /// Whether runs could have spoken against a criterion: known of cells that are all in the plan.
    fn had_data(&self, own: &Own<'a>, hypothesis: &Hypothesis, declared: &Declared) -> bool {
        let has_runs = |cell: &Cell| !cell.runs.is_empty();
        let Some(subject) = &declared.subject else {
            let concerned = self.concerned(own, &hypothesis.criterion);
            return concerned.is_empty() || concerned.into_iter().any(has_runs);
        };
        subject
            .cells
            .iter()
            .any(|id| self.cells.iter().find(|cell| cell.id == *id).is_none_or(has_runs))
    }

    /// What the profile asks the servers for in place of the models that the manifest names, where the criterion
    /// is about them: ` [with gemma-3-270m in place of gemma3:latest]`.
    fn swapped_models(&self, own: &Own<'a>, criterion: &Criterion) -> String {
        let study = self.plan.study();
        if study.profile.is_none() {
            return String::new();
        }
        let concerned = self.concerned(own, criterion);
        let asked: BTreeSet<&str> = concerned
            .iter()
            .flat_map(|cell| &cell.factors)
            .filter(|factor| factor.name == "model")
            .map(|factor| factor.text.as_str())
            .collect();
        let swapped: BTreeMap<&str, &str> = study
            .models
            .iter()
            .filter(|(named, used)| named != used && asked.contains(used.as_str()))
            .map(|(named, used)| (named.as_str(), used.as_str()))
            .collect();
        if swapped.is_empty() {
            return String::new();
        }
        let words: Vec<String> =
            swapped.iter().map(|(named, used)| format!("{used} in place of {named}")).collect();
        format!(" [here with {}]", words.join(", "))
    }
}

/// Attempts that failed for reasons that say nothing of what was measured.
const OF_THE_PROGRAM: [&str; 4] = [failed::CANCELLED, "abandoned", "storage", "damaged"];

/// A cell with the runs of these repeats. Runs that were made again because of outliers are none of them: what they
/// are made for was seen in the data.
fn of_cell<'a>(
    cell: &'a Cell,
    levels: Vec<NamedLevel>,
    failed: &[FailedAttempt],
    repeats: u32,
    grows: bool,
) -> verdict::Cell<'a> {
    let own: Vec<&FailedAttempt> = failed
        .iter()
        .filter(|attempt| attempt.cell.as_ref() == Some(&cell.id))
        .filter(|attempt| !OF_THE_PROGRAM.contains(&attempt.cause.as_str()))
        .collect();
    let tried: BTreeSet<u32> = own.iter().map(|attempt| attempt.repeat).collect();
    let settled = |repeat: &u32| {
        cell.runs.contains_key(repeat)
            || cell.fell_back.contains(repeat)
            || !grows && tried.contains(repeat)
    };
    verdict::Cell {
        id: cell.short(),
        name: &cell.name,
        levels,
        planned: repeats,
        open: (1..=repeats).filter(|repeat| !settled(repeat)).collect(),
        runs: fresh(cell).filter(|run| run.repeat <= repeats).collect(),
        stale: cell.stale.keys().filter(|repeat| **repeat <= repeats).count(),
        failed: own.iter().map(|attempt| attempt.repeat).filter(|own| *own <= repeats).collect(),
    }
}

fn judged(
    experiment: &str,
    hypothesis: &Hypothesis,
    finding: &Finding,
    standing: Standing,
) -> Judged {
    let (declared, post_hoc, replaced) = match standing {
        Standing::Before { since, .. } => (Some(since), None, None),
        Standing::PostHoc { why, replaced } => (None, Some(why), replaced),
        Standing::Open => (None, None, None),
    };
    let terms = verdict::terms_in_words(hypothesis.terms);
    Judged {
        experiment: experiment.to_owned(),
        name: hypothesis.name.clone(),
        claim: hypothesis.claim.clone(),
        criterion: format!("{}{terms}", verdict::in_words(&hypothesis.criterion)),
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
        family: 0,
        survives: None,
        n: finding.n.clone(),
        needed: needed(finding),
        work: finding.work.clone(),
        notes: finding.notes.clone(),
        declared,
        withdrawn: None,
        post_hoc,
        replaced,
        parts: finding.parts.iter().map(|(criterion, part)| of_part(criterion, part)).collect(),
    }
}

/// `18 pairs (9 to over 1000000)`.
fn needed(finding: &Finding) -> Option<String> {
    let number = |needed: Needed| match needed {
        Needed::Runs(runs) => runs.to_string(),
        Needed::TooMany => format!("over {}", Needed::LARGEST),
    };
    let range = finding
        .needed_range
        .map(|(least, most)| format!(" ({} to {})", number(least), number(most)))
        .unwrap_or_default();
    finding.needed.map(|needed| format!("{} {}{range}", number(needed), finding.needed_unit))
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
