//! All hypotheses of a study are one family: the more are asked, the more will seem to hold by chance.

use super::Finding;
use crate::stats;

/// Holm-adjusted p of each finding, over those that have a p and so many `others` whose p is not known here.
/// Hypotheses of the family that could not be tested can mislead nobody and do not count.
#[must_use]
pub fn adjust(findings: &[&Finding], others: usize) -> Vec<Option<f64>> {
    let known: Vec<f64> = findings.iter().filter_map(|finding| finding.p).collect();
    // an unknown p takes the last place, so that it costs the others what it can cost them
    let raw: Vec<f64> = known.iter().copied().chain(std::iter::repeat_n(1.0, others)).collect();
    let mut adjusted = stats::holm(&raw).into_iter();
    findings.iter().map(|finding| finding.p.and_then(|_| adjusted.next())).collect()
}
