//! Whether a criterion was chosen before there were data to choose it by.

use super::words;
use crate::manifest::criterion::Criterion;
use crate::manifest::study::Hypothesis;
use crate::store::executed::{self, Declared, ExecutedPlan, PlannedRepeats};

/// When a criterion was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Before the first run of the cells that it concerns.
    Before { since: String },
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
}

/// How a criterion stands. Words around it do not matter, nor does a change that was taken back: it is
/// the criterion of today that counts, and when it was first declared under its name, or under a name
/// that is `gone` from the manifest (a hypothesis or an experiment that was renamed).
#[must_use]
pub fn standing(
    plan: Option<&ExecutedPlan>,
    experiment: &str,
    hypothesis: &Hypothesis,
    known: Known,
    gone: impl Fn(&str) -> bool,
) -> Standing {
    let name = executed::name(experiment, &hypothesis.name);
    let digest = executed::criterion_digest(&hypothesis.document);
    let under = |name: &str| -> Vec<&Declared> {
        plan.into_iter().flat_map(|plan| plan.declared(name)).collect()
    };
    let own = under(&name);
    let same = |declared: &&&Declared| declared.digest == digest;
    if let Some(declared) = own.iter().find(same) {
        return of(declared, own[0], known);
    }
    let renamed = plan
        .into_iter()
        .flat_map(|plan| plan.hypotheses.keys())
        .filter(|other| gone(other))
        .flat_map(|other| under(other))
        .find(|declared| declared.digest == digest);
    if let Some(declared) = renamed {
        return of(declared, declared, known);
    }
    if known.runs == 0 {
        return Standing::Open;
    }
    match own.first() {
        None => Standing::PostHoc {
            why: "it was not declared before its first run".to_owned(),
            replaced: None,
        },
        Some(first) => Standing::PostHoc {
            why: format!("it was changed after {}", first.since),
            replaced: Some(in_words(first)),
        },
    }
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
    planned.extend(Some(today).filter(|today| is_new && today.runs_before > 0));
    let changes = planned.iter().skip(1).filter(|own| own.runs_before > 0).count();
    if changes == 0 {
        return Repeats { looks: 1, post_hoc: None };
    }
    let steps: Vec<String> = planned.iter().map(|own| in_full(own)).collect();
    let looks = changes + 1;
    let post_hoc = format!(
        "the planned repeats were changed when there were data ({}), which makes {looks} looks, none of them \
         declared; it is judged at alpha ÷ {}",
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
    if planned.runs_before > 0 {
        words = format!("{words} after {} runs", planned.runs_before);
    }
    words
}

fn of(declared: &Declared, first: &Declared, known: Known) -> Standing {
    let since = declared.since.clone();
    // a version that did not count runs said only when
    let before = match (declared.runs_before, known.first_started) {
        (Some(runs), _) => runs == 0,
        (None, Some(started)) => since.as_str() <= started,
        (None, None) => true,
    };
    if before {
        return Standing::Before { since };
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
