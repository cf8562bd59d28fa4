//! The factor `rate`: it sets the schedule of paced endpoints, and means nothing to real servers.

use super::experiment::Setting;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Endpoint;

/// Reports every endpoint that agents of these scenarios call and that `rate`, written at `at`,
/// cannot change.
pub(super) fn rate<'s>(
    at: &At<'_>,
    setting: &Setting<'_>,
    scenarios: impl Iterator<Item = &'s str>,
    problems: &mut Problems<'_>,
) {
    let mut told = Vec::new();
    for agent in scenarios.filter_map(|name| setting.scenarios.get(name)).flatten() {
        let name = &agent.endpoint;
        let obstacle = match setting.common.endpoints.get(name) {
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
