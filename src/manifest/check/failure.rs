//! Checks of what is done after failures and about outliers: fallbacks, when to stop, which runs are
//! measured again.

use indexmap::IndexMap;

use super::axes::Levels;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{
    ExperimentKind, Fallback, FallbackOn, Level, OnFailure, Outliers, RetryOn,
};
use crate::manifest::written::{self, Scalar, Settings};

/// Failures that are the model's or the server's with this configuration, not of the way to it.
const QUALIFYING: [RetryOn; 2] = [RetryOn::HttpError, RetryOn::InBandError];

/// The fallback of an experiment: the profile's, its own, or that of the defaults. The defaults' is
/// for scenarios: it names factors that nothing else has.
pub(super) fn fallback(
    at: &At<'_>,
    written: &written::Experiment,
    checker: &Levels<'_>,
    problems: &mut Problems<'_>,
) -> Fallback {
    let common = checker.setting.common;
    let scenario = matches!(checker.kind, ExperimentKind::Scenario);
    let defaults = At::ROOT.key("defaults");
    let of_settings = |settings: &Settings| settings.fallback.clone().filter(|_| scenario);
    let steps = if let Some(overlaid) = of_settings(&common.overlay) {
        steps(&At::ROOT.key("profile"), &overlaid, checker, problems)
    } else if let Some(own) = &written.fallback {
        steps(&at.key("fallback"), own, checker, problems)
    } else if let Some(shared) = of_settings(&common.written) {
        steps(&defaults.key("fallback"), &shared, checker, problems)
    } else {
        Vec::new()
    };
    let on = common.overlay.fallback_on.as_ref().or(written.fallback_on.as_ref());
    let on = on.or(common.written.fallback_on.as_ref());
    Fallback { steps, on: FallbackOn(on.cloned().unwrap_or_else(|| QUALIFYING.to_vec())) }
}

fn steps(
    at: &At<'_>,
    written: &[IndexMap<String, Scalar>],
    checker: &Levels<'_>,
    problems: &mut Problems<'_>,
) -> Vec<IndexMap<String, Level>> {
    let mut steps = Vec::new();
    for (index, step) in written.iter().enumerate() {
        let at = at.index(index);
        if step.is_empty() {
            problems.value(&at, "a fallback that changes nothing is none", None);
        }
        let mut levels = IndexMap::new();
        for (factor, value) in step {
            let at = at.key(factor);
            if ["runtime", "scenario"].contains(&factor.as_str()) && !checker.kind.is_command() {
                let message = format!("a fallback cannot change the {factor}");
                let help = "it is to measure the same work with less; use an experiment of its own";
                problems.key(&at, message, Some(help.to_owned()));
            } else if checker.axis(&at, factor, problems)
                && let Some(level) = checker.level(&at, factor, value, problems)
            {
                levels.insert(factor.clone(), level);
            }
        }
        steps.push(levels);
    }
    steps
}

/// When execution stops after failures, and how outliers are found: the profile's settings over the
/// defaults.
pub(super) fn study_wide(
    written: &Settings,
    overlay: &Settings,
    problems: &mut Problems<'_>,
) -> (OnFailure, Outliers) {
    let at = At::ROOT.key("defaults");
    check(&at, written, problems);
    let on_failure = overlay.on_failure.or(written.on_failure).unwrap_or(OnFailure::Continue);
    let outliers = overlay.outliers.as_ref().or(written.outliers.as_ref());
    (on_failure, outliers.map(rule).unwrap_or_default())
}

/// Checks the settings that are the same for the whole study.
pub(super) fn check(at: &At<'_>, written: &Settings, problems: &mut Problems<'_>) {
    if written.on_failure == Some(OnFailure::StopAfter(0)) {
        let message = "`stop_after = 0` would stop before the first run";
        let help = "write 1 to stop after the first failed run";
        problems.value(&at.key("on_failure"), message, Some(help.to_owned()));
    }
    if let Some(outliers) = &written.outliers {
        let at = at.key("outliers");
        if outliers.k.is_some_and(|k| !(k > 0.0 && k.is_finite())) {
            problems.value(&at.key("k"), "`k` must be more than 0", None);
        }
        if outliers.metrics.is_empty() {
            let message = "name the metrics whose outliers are looked for";
            problems.value(&at.key("metrics"), message, None);
        }
    }
}

fn rule(written: &written::Outliers) -> Outliers {
    let default = Outliers::default();
    Outliers {
        metrics: written.metrics.clone(),
        k: written.k.unwrap_or(default.k),
        mad: written.mad.unwrap_or(default.mad),
    }
}
