//! Checks of recommendations: a sentence, and grounds that exist.

use super::names::reference;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Ground, GroundOf, Recommendation};
use crate::manifest::written;

pub(super) fn recommendations(
    written: &written::Manifest,
    problems: &mut Problems<'_>,
) -> Vec<Recommendation> {
    let section = At::ROOT.key("recommendation");
    let hypotheses: Vec<String> = written
        .experiment
        .iter()
        .flat_map(|(name, own)| own.hypothesis.keys().map(move |key| format!("{name}/{key}")))
        .collect();
    let mut recommendations = Vec::new();
    for (name, body) in &written.recommendation {
        let at = section.key(name);
        if body.text.trim().is_empty() {
            problems.value(&at.key("text"), "`text` is the sentence that is recommended", None);
        }
        if body.rests_on.is_empty() {
            let help = "write for example `rests_on = [{ hypothesis = \"EXPERIMENT/NAME\" }]`";
            let message = "a recommendation rests on a verdict or a claim";
            problems.value(&at.key("rests_on"), message, Some(help.into()));
        }
        let at = at.key("rests_on");
        let grounds = body.rests_on.iter().enumerate().filter_map(|(index, ground)| {
            self::ground(&at.index(index), ground, &hypotheses, written, problems)
        });
        let grounds = grounds.collect();
        recommendations.push(Recommendation {
            name: name.clone(),
            text: body.text.clone(),
            grounds,
        });
    }
    recommendations
}

fn ground(
    at: &At<'_>,
    ground: &written::Ground,
    hypotheses: &[String],
    written: &written::Manifest,
    problems: &mut Problems<'_>,
) -> Option<Ground> {
    let (of, answers) = match (&ground.hypothesis, &ground.claim) {
        (Some(name), None) => {
            let at = at.key("hypothesis");
            reference(problems, &at, "hypothesis", name, hypotheses.iter(), false);
            (GroundOf::Hypothesis(name.clone()), ["supported", "refuted"])
        }
        (None, Some(name)) => {
            reference(problems, &at.key("claim"), "claim", name, written.claim.keys(), false);
            (GroundOf::Claim(name.clone()), ["reproduced", "contradicted"])
        }
        _ => {
            let help = "write `{ hypothesis = \"EXPERIMENT/NAME\" }` or `{ claim = \"NAME\" }`";
            problems.value(at, "a ground is one hypothesis or one claim", Some(help.into()));
            return None;
        }
    };
    let is = match &ground.is {
        None => answers[0],
        Some(is) => {
            let known = answers.into_iter().find(|answer| answer == is);
            if known.is_none() {
                let help = suggest(is, answers)
                    .unwrap_or_else(|| format!("`{}` or `{}`", answers[0], answers[1]));
                problems.value(&at.key("is"), format!("it is never `{is}`"), Some(help));
            }
            known?
        }
    };
    Some(Ground { of, is })
}
