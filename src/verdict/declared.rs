//! Whether a criterion was chosen before there were data to choose it by.

use super::words;
use crate::manifest::criterion::Criterion;
use crate::manifest::study::{Hypothesis, Order};
use crate::plan::Plan;
use crate::store::executed::{self, Declared, ExecutedPlan, PlannedRepeats, Subject};

/// When a criterion was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Before the first run of the cells that it concerns.
    Before {
        since: String,
        /// Finished runs that it had by then in cells that it is no longer about.
        elsewhere: usize,
    },
    /// After it.
    PostHoc {
        why: String,
        /// The criterion that was declared first under its name, in words, where it was another one.
        replaced: Option<String>,
    },
    /// There are no data yet, and no exec has seen it.
    Open,
}

/// What could be known when a criterion was chosen.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Stored runs of the cells that it concerns.
    pub runs: usize,
    /// When the first of them began; RFC 3339, UTC.
    pub first_started: Option<&'a str>,
    /// Some of them are earlier results, which were there whenever they were imported.
    pub imported: bool,
}

/// A criterion of the manifest as it stands today.
#[derive(Debug, Clone)]
pub struct Today {
    /// `<experiment>/<hypothesis>`.
    pub name: String,
    pub digest: String,
    pub subject: Subject,
}

impl Today {
    #[must_use]
    pub fn of(plan: &Plan, experiment: usize, hypothesis: &Hypothesis) -> Self {
        Self {
            name: executed::name(&plan.study().experiments[experiment].name, &hypothesis.name),
            digest: executed::criterion_digest(&hypothesis.document),
            subject: Subject::of(plan, experiment, hypothesis),
        }
    }

    fn is(&self, declared: &Declared) -> bool {
        declared.is_as(&self.digest, Some(&self.subject))
    }
}

/// How a criterion stands. Words around it do not matter, nor does a change that was taken back: it is
/// the criterion of today that counts, of today's cells and metrics, and when it was first declared under its
/// name, or under a name that is `gone` from the manifest (a hypothesis or an experiment that was renamed).
#[must_use]
pub fn standing(
    plan: Option<&ExecutedPlan>,
    today: &Today,
    known: Known,
    gone: impl Fn(&str) -> bool,
) -> Standing {
    if known.imported {
        // an exec that saw the criterion before the import did not see it before the runs were made
        return Standing::PostHoc {
            why: "runs of it are earlier results, which were there before it was declared"
                .to_owned(),
            replaced: None,
        };
    }
    let under = |name: &str| -> Vec<&Declared> {
        plan.into_iter().flat_map(|plan| plan.declared(name)).collect()
    };
    let own = under(&today.name);
    let renamed = plan
        .into_iter()
        .flat_map(|plan| plan.hypotheses.keys())
        .filter(|other| gone(other))
        .flat_map(|other| under(other));
    let same = own.iter().copied().chain(renamed).filter(|declared| today.is(declared));
    if let Some(declared) = same.min_by(|a, b| a.since.cmp(&b.since)) {
        return of(declared, own.first().copied().unwrap_or(declared), known);
    }
    if known.runs == 0 {
        return Standing::Open;
    }
    let same_words = own.iter().rfind(|declared| declared.digest == today.digest);
    match (own.first(), same_words) {
        (None, _) => Standing::PostHoc {
            why: "it was not declared before its first run".to_owned(),
            replaced: None,
        },
        (_, Some(declared)) => Standing::PostHoc {
            why: format!(
                "the cells or metrics that it is about were changed after {}",
                declared.since
            ),
            replaced: None,
        },
        (Some(first), None) => Standing::PostHoc {
            why: format!("it was changed after {}", first.since),
            replaced: Some(in_words(first)),
        },
    }
}

/// The criteria that were declared and that no hypothesis of the manifest is any more, by their names. One that is
/// there under another name, its own being gone, was renamed; each hypothesis is one criterion and no more.
#[must_use]
pub fn withdrawn<'p>(plan: &'p ExecutedPlan, today: &[Today]) -> Vec<(&'p str, &'p Declared)> {
    let named = |name: &str| today.iter().find(|own| own.name == name);
    let all = plan
        .hypotheses
        .keys()
        .flat_map(|name| plan.declared(name).map(move |declared| (name.as_str(), declared)));
    let stands = |name: &str, declared: &Declared| {
        named(name).is_some_and(|own| own.digest == declared.digest)
    };
    let (standing, left): (Vec<_>, Vec<_>) =
        all.partition(|(name, declared)| stands(name, declared));
    let mut free: Vec<&Today> = today
        .iter()
        .filter(|own| {
            !standing
                .iter()
                .any(|(name, declared)| *name == own.name && declared.digest == own.digest)
        })
        .collect();
    let mut withdrawn: Vec<(&str, &Declared)> = Vec::new();
    for (name, declared) in left {
        let renamed = free.iter().position(|own| named(name).is_none() && own.is(declared));
        match renamed {
            Some(place) => {
                free.swap_remove(place);
            }
            // declared of several sets of cells it is one criterion
            None if withdrawn
                .iter()
                .any(|(known, own)| *known == name && own.digest == declared.digest) => {}
            None => withdrawn.push((name, declared)),
        }
    }
    withdrawn
}

/// What became of the planned number of repeats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repeats {
    /// How often the data could be looked at without its having been declared, the end counted: 1 unless
    /// somebody planned other repeats when runs were there.
    pub looks: usize,
    /// Why a criterion over them is post hoc.
    pub post_hoc: Option<String>,
}

impl Repeats {
    /// What of alpha a verdict may use. The first look had all of it, so that what is left is little: the shares
    /// of 2, 3, 4 … looks, 1 ÷ looks², come to less than two thirds of alpha however many follow.
    #[must_use]
    pub fn share(&self) -> f64 {
        1.0 / self.looks.max(1).pow(2) as f64
    }
}

/// Whether repeats were changed when there were data. `today` is what the manifest asks for, with the runs that
/// there are now; `history` what earlier execs found.
#[must_use]
pub fn repeats(history: &[PlannedRepeats], today: &PlannedRepeats) -> Repeats {
    let mut planned: Vec<&PlannedRepeats> = history.iter().collect();
    let is_new = planned.last().is_some_and(|last| !last.is_as(today));
    planned.extend(Some(today).filter(|today| is_new && today.is_look()));
    let changes = planned.iter().filter(|own| own.is_look()).count();
    if changes == 0 {
        return Repeats { looks: 1, post_hoc: None };
    }
    let steps: Vec<String> = planned.iter().map(|own| in_full(own)).collect();
    let looks = changes + 1;
    let post_hoc = format!(
        "the planned repeats were {} when there were data ({}), which makes {looks} looks, none of them \
         declared; it is judged at alpha ÷ {}",
        if steps.len() > 1 { "changed" } else { "chosen" },
        steps.join(", then "),
        looks * looks
    );
    Repeats { looks, post_hoc: Some(post_hoc) }
}

fn in_full(planned: &PlannedRepeats) -> String {
    let mut words = planned.repeats.to_string();
    if planned.looks.len() > 1 {
        let looks: Vec<String> = planned.looks.iter().map(u32::to_string).collect();
        words = format!("{words} with looks at {}", looks.join(", "));
    }
    if let Some(until) = &planned.until {
        words = format!("{words} until narrow, {} at most", until.max);
    }
    if let Some(order) = planned.order.filter(|order| *order != Order::Interleaved) {
        words = format!("{words}, {}", order.name());
    }
    if let Some(runs) = planned.runs_before.filter(|runs| *runs > 0) {
        words = format!("{words} after {runs} runs");
    }
    words
}

fn of(declared: &Declared, first: &Declared, known: Known) -> Standing {
    let since = declared.since.clone();
    // a version that did not count runs said only when
    let elsewhere = declared.runs_elsewhere;
    let before = match (declared.runs_before, known.first_started) {
        (Some(runs), _) => runs == 0,
        (None, Some(started)) => since.as_str() <= started,
        (None, None) => true,
    };
    if before {
        return Standing::Before { since, elsewhere };
    }
    let runs = declared.runs_before.map_or_else(String::new, |runs| format!("{runs} of "));
    Standing::PostHoc {
        why: format!("it was declared on {since}, after {runs}its runs were made"),
        replaced: (first.digest != declared.digest).then(|| in_words(first)),
    }
}

/// As it would be read in a manifest; as it is stored where this version cannot read it.
fn in_words(declared: &Declared) -> String {
    match Criterion::stored(&declared.criterion) {
        Some((criterion, terms, alpha)) => {
            format!("{}{}, at alpha {alpha}", words::criterion(&criterion), words::terms(terms))
        }
        None => declared.criterion.to_string(),
    }
}
