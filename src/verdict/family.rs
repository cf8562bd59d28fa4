//! All hypotheses of a study are one family: the more are asked, the more will seem to hold by chance.

use super::Finding;
use crate::stats;

/// Holm-adjusted p of each finding, over those that have a p. Hypotheses that could not be tested can
/// mislead nobody and do not count.
#[must_use]
pub fn adjust(findings: &[&Finding]) -> Vec<Option<f64>> {
    let raw: Vec<f64> = findings.iter().filter_map(|finding| finding.p).collect();
    let mut adjusted = stats::holm(&raw).into_iter();
    findings.iter().map(|finding| finding.p.and_then(|_| adjusted.next())).collect()
}
