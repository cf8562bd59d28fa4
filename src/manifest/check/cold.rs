//! The factor `cold`: it needs servers that can put their models out of memory.

use std::collections::BTreeSet;

use super::experiment::{Setting, scenarios_of};
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
    let scenarios = scenarios_of(matrix.axes, matrix.fixed, matrix.include);
    for agent in scenarios.into_iter().filter_map(|name| setting.scenarios.get(name)).flatten() {
        let endpoint = setting.common.endpoints.get(&agent.endpoint);
        let Some(reason) = endpoint.and_then(|endpoint| endpoint.api().cannot_unload()) else {
            continue;
        };
        if !told.insert(&agent.endpoint) {
            continue;
        }
        let message = format!(
            "`cold = true` needs servers that can unload a model; endpoint `{}` {reason}",
            agent.endpoint
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
