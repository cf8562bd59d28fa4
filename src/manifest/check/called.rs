//! Which endpoints the agents of an experiment call: their own, or the levels of the factor `endpoint`.

use std::collections::BTreeSet;

use super::experiment::{Setting, scenarios_of};
use super::options::not_carried;
use super::variant::Matrix;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Endpoint, Level, ScenarioAgent};

const ENDPOINT: &str = "endpoint";

/// An agent with an endpoint that it calls in some cells.
pub(super) struct Caller<'m> {
    pub scenario: &'m str,
    pub agent: &'m ScenarioAgent,
    pub name: &'m str,
    /// `None`: it is broken, which was said where it is declared.
    pub endpoint: Option<&'m Endpoint>,
}

impl Caller<'_> {
    /// Whether it is this level of its scenario or endpoint; `None` of other axes.
    pub fn is_at(&self, axis: &str, level: &Level) -> Option<bool> {
        let is = |own: &str| matches!(level, Level::Text(text) if text == own);
        match axis {
            "scenario" => Some(is(self.scenario)),
            ENDPOINT if self.agent.endpoint.is_none() => Some(is(self.name)),
            _ => None,
        }
    }
}

/// Every agent of the experiment's scenarios, once with each endpoint that it calls.
pub(super) fn callers<'m>(setting: &'m Setting<'_>, matrix: &Matrix<'m>) -> Vec<Caller<'m>> {
    let levels = levels(matrix);
    let mut callers = Vec::new();
    for (scenario, agent) in agents(setting, matrix) {
        let own = agent.endpoint.as_deref();
        let names = match own {
            Some(name) => vec![name],
            None => levels.iter().copied().collect(),
        };
        callers.extend(names.into_iter().map(|name| {
            let endpoint = setting.common.endpoints.get(name);
            Caller { scenario, agent, name, endpoint }
        }));
    }
    callers
}

/// Every agent needs an endpoint, every level of `endpoint` an agent that calls it, with options that it has.
pub(super) fn endpoints(
    at: &At<'_>,
    setting: &Setting<'_>,
    matrix: &Matrix<'_>,
    problems: &mut Problems<'_>,
) {
    let there = |table: &&str| match *table {
        "matrix" => matrix.axes.contains_key(ENDPOINT),
        _ => matrix.fixed.contains_key(ENDPOINT),
    };
    let varied = ["matrix", "fixed"].into_iter().find(there);
    let open = |agent: &ScenarioAgent| agent.endpoint.is_none();
    let Some(table) = varied else {
        for (scenario, agent) in agents(setting, matrix).filter(|(_, agent)| open(agent)) {
            let message = format!(
                "agent `{}` of scenario `{scenario}` has no endpoint in this experiment",
                agent.agent
            );
            let help =
                "put `endpoint` into the matrix or under `fixed`, or name one in the scenario";
            problems.key(at, message, Some(help.into()));
        }
        return;
    };
    let (table, mut told) = (at.key(table), BTreeSet::new());
    let place = table.key(ENDPOINT);
    let mut agents = agents(setting, matrix).map(|(_, agent)| agent).peekable();
    if agents.peek().is_some() && !agents.any(open) {
        let message = "`endpoint` reaches no agent: each of them names its own";
        let help = "leave `endpoint` out of the agents of the scenario that are to call its levels";
        problems.key(&place, message, Some(help.into()));
    }
    for caller in callers(setting, matrix).iter().filter(|caller| open(caller.agent)) {
        let Some(server) = caller.endpoint.and_then(Endpoint::server) else { continue };
        for option in caller.agent.options.iter().flatten().map(|(name, _)| name) {
            if told.insert((option, caller.name)) {
                not_carried(&place, option, caller.name, server.api, problems);
            }
        }
    }
}

fn agents<'m>(
    setting: &'m Setting<'_>,
    matrix: &Matrix<'m>,
) -> impl Iterator<Item = (&'m str, &'m ScenarioAgent)> {
    let scenarios = scenarios_of(matrix.axes, matrix.fixed, matrix.include).into_iter();
    scenarios.flat_map(|name| {
        setting.scenarios.get(name).into_iter().flatten().map(move |agent| (name, agent))
    })
}

fn levels<'m>(matrix: &Matrix<'m>) -> BTreeSet<&'m str> {
    let added = matrix.include.iter().filter_map(|cell| cell.get(ENDPOINT));
    let changed = matrix.overrides.iter().filter_map(|change| change.set.get(ENDPOINT));
    let levels = matrix.axes.get(ENDPOINT).into_iter().flatten();
    let levels = levels.chain(matrix.fixed.get(ENDPOINT)).chain(added).chain(changed);
    let text = |level: &'m Level| match level {
        Level::Text(name) => Some(name.as_str()),
        _ => None,
    };
    levels.filter_map(text).collect()
}
