//! Runtimes: the Python that the bundled one needs, and the programs of the users' own.

use std::collections::BTreeMap;

use super::facts::Python;
use super::{Facts, Finding, Needs, Subject};
use crate::plan::CellId;

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What stands against one of its programs often stands against the other too.
    let mut unusable: BTreeMap<&str, Vec<CellId>> = BTreeMap::new();
    for (program, found) in &facts.python {
        let cells = needs.python.get(program);
        if let (Python::Unusable(reason), Some(cells)) = (found, cells) {
            unusable.entry(reason).or_default().extend(cells);
        }
    }
    for (reason, cells) in unusable {
        let subject = Subject::Runtime("python".to_owned());
        findings.push(Finding::blocking(subject, reason.to_owned(), "").about(&cells));
    }
    for (name, program) in &facts.programs_missing {
        let Some((_, cells)) = needs.runtimes.get(name) else { continue };
        let message = format!("cannot start the runtime: there is no program `{program}`");
        let advice = "build or install it, or correct `command` in the manifest; a path starts at \
                      the manifest's folder";
        let subject = Subject::Runtime(name.clone());
        findings.push(Finding::blocking(subject, message, advice).about(cells));
    }
    findings
}
