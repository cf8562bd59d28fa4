//! The factor `rate`: it sets the schedule of paced endpoints, and means nothing to real servers.

use super::called::Caller;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Endpoint;

/// Reports every endpoint that is called and that `rate`, written at `at`, cannot change.
pub(super) fn rate(at: &At<'_>, callers: &[Caller<'_>], problems: &mut Problems<'_>) {
    let mut told = Vec::new();
    for Caller { name, endpoint, .. } in callers {
        let obstacle = match endpoint {
            Some(Endpoint::Paced(pacing)) if !pacing.gaps.is_empty() => "follows a trace of gaps",
            Some(Endpoint::Paced(_)) | None => continue,
            Some(_) => "is a real server",
        };
        if !told.contains(&name) {
            let message = format!("`rate` cannot change endpoint `{name}`, which {obstacle}");
            let help = "`rate` is for simulated endpoints; `throttle` slows what a client reads";
            problems.key(at, message, Some(help.into()));
            told.push(name);
        }
    }
}
