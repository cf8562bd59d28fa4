//! Instruments: there for the cells that cannot do without, and missed by those that want them.

use super::facts::PySpy;
use super::needs::ProbeNeed;
use super::{Facts, Finding, Needs, Subject};

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(Err(reason)) = &facts.gpus {
        findings.extend(missing("gpu", &needs.gpu, reason));
    }
    if let Some(PySpy::Unavailable(reason)) = &facts.py_spy {
        findings.extend(missing("flamegraph", &needs.flamegraph, reason));
    }
    if let Some(reason) = &facts.no_tracing {
        findings.extend(missing("flamegraph", &needs.flamegraph, reason));
    }
    if let Some(reason) = &facts.no_capture {
        findings.extend(missing("wire", &needs.wire, reason));
    }
    findings
}

fn missing(probe: &'static str, need: &ProbeNeed, reason: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !need.required.is_empty() {
        let message = format!("it is required and unavailable: {reason}");
        let advice = "make it available, or drop `required`";
        let finding = Finding::blocking(Subject::Probe(probe), message, advice);
        findings.push(finding.about(&need.required));
    }
    if !need.wanted.is_empty() {
        let message = format!("it is unavailable: {reason}");
        let advice = "the runs will be made without it and say so";
        let finding = Finding::warning(Subject::Probe(probe), message, advice);
        findings.push(finding.about(&need.wanted));
    }
    findings
}
