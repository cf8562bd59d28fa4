//! What this machine can do, line by line: itself, its clocks, the tools, the local servers.
//!
//! Nothing here is a failure: what is absent is said to be, with what to do about it. Looking changes
//! nothing and takes a second or two.

mod clock;
mod machine;
mod servers;
mod tools;

use std::path::Path;
use std::thread;

use serde::Serialize;

use super::Finding;
use crate::os::condition::Look;
use crate::provenance;
use crate::python;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub name: String,
    pub state: State,
    /// What was found, in words.
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How it stands with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// It would disturb or distort what is measured.
    Warning,
    /// It is not there, or this system does not tell.
    Unavailable,
}

impl Line {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Ok, found: found.into(), advice: None }
    }

    fn unavailable(name: &str, found: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned()).filter(|advice| !advice.is_empty());
        Self { state: State::Unavailable, advice, ..Self::ok(name, found) }
    }

    /// What was found, or what a finding says instead.
    fn judged(name: &str, found: impl Into<String>, finding: Option<Finding>) -> Self {
        let line = Self::ok(name, found);
        match finding {
            None => line,
            Some(Finding { message: found, advice, .. }) => {
                Self { state: State::Warning, found, advice: Some(advice), ..line }
            }
        }
    }
}

/// Looks at everything. `results` is the folder that runs would go to.
#[must_use]
pub fn examine(results: &Path, python: &python::Setup) -> Vec<Line> {
    // Timers first, while nothing of ours is at work.
    let clock = clock::lines();
    let look = Look::begin();
    let (servers, tools, met) = thread::scope(|scope| {
        let servers = scope.spawn(servers::lines);
        let tools = tools::lines(results, python);
        let met = provenance::machine();
        (servers.join().unwrap_or_default(), tools, met)
    });
    let mut lines = machine::lines(&met, &look.end());
    lines.extend(clock);
    lines.extend(tools);
    lines.extend(servers);
    lines
}

#[cfg(test)]
mod tests;
