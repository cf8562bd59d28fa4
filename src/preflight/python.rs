//! Runtimes: the Python that the bundled one needs, and the programs of the users' own.

use super::facts::Python;
use super::{Facts, Finding, Needs, Subject};

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(Python::Unusable(reason)) = &facts.python {
        let subject = Subject::Runtime("python".to_owned());
        findings.push(Finding::blocking(subject, reason.clone(), "").about(&needs.python));
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
