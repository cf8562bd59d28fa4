//! The factor `cold`: it needs servers that can put their models out of memory.

use std::collections::BTreeSet;

use super::called::{Caller, callers};
use super::experiment::Setting;
use super::variant::Matrix;
use crate::manifest::factor::COLD;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Level;
use crate::manifest::written;

/// Reports endpoints that cold cells call and that cannot unload.
///
/// It is an error where the study itself declares them. Under a profile, which can replace servers and
/// no axes, and beside an `exclude` that may leave those cells out, it is a warning: preflight finds
/// the cells that cannot be made.
pub(super) fn cold(
    (at, name): (&At<'_>, &str),
    setting: &Setting<'_>,
    matrix: &Matrix<'_>,
    written: &written::Experiment,
    problems: &mut Problems<'_>,
    warnings: &mut Vec<String>,
) {
    let Some((section, always)) = place(matrix) else { return };
    if always && written.warmup.is_some_and(|calls| calls > 0) {
        warnings.push(format!(
            "experiment `{name}`: `warmup` does nothing, since a cold run makes no warm-up calls"
        ));
    }
    let excluded = matrix.exclude.iter().any(|out| out.contains_key(COLD));
    let certain = !setting.common.profiled && !excluded;
    let mut told = BTreeSet::new();
    for Caller { name: called, endpoint, .. } in callers(setting, matrix) {
        let Some(reason) = endpoint.and_then(|endpoint| endpoint.api().cannot_unload()) else {
            continue;
        };
        if !told.insert(called) {
            continue;
        }
        let message = format!(
            "`cold = true` needs servers that can unload a model; endpoint `{called}` {reason}"
        );
        if certain {
            let help = "only Ollama servers are known to unload on request: drop `cold`, or start \
                        the server anew by hand and measure without a warm-up";
            let at = at.key(section);
            let inner = at.key(COLD);
            // The others are lists of selections.
            let at = if ["matrix", "fixed"].contains(&section) { &inner } else { &at };
            problems.key(at, message, Some(help.into()));
        } else {
            warnings.push(format!("experiment `{name}`: {message}"));
        }
    }
}

/// Where the experiment asks for cold runs, and whether all are.
fn place(matrix: &Matrix<'_>) -> Option<(&'static str, bool)> {
    let cold = |level: Option<&Level>| level == Some(&Level::Bool(true));
    if let Some(levels) = matrix.axes.get(COLD)
        && levels.contains(&Level::Bool(true))
    {
        return Some(("matrix", levels.len() == 1));
    }
    if cold(matrix.fixed.get(COLD)) {
        return Some(("fixed", true));
    }
    if matrix.include.iter().any(|cell| cold(cell.get(COLD))) {
        return Some(("include", false));
    }
    matrix.overrides.iter().any(|change| cold(change.set.get(COLD))).then_some(("override", false))
}
