//! Preflight's findings for people.

use super::count;
use crate::preflight::{Finding, Severity};

/// One line of a list.
pub(super) fn line(finding: &Finding) -> String {
    let sentence = finding.sentence();
    match finding.severity {
        Severity::Warning => format!("- warning: {sentence}"),
        Severity::Blocking => {
            format!("- {sentence} ({} cannot be made)", count(finding.cells.len() as u64, "cell"))
        }
    }
}
