//! Memory of GPUs against the size of models.

use super::{Facts, Finding, Needs};

/// Nothing is known of GPUs here, so nothing is said of them.
pub(super) fn findings(_needs: &Needs, _facts: &Facts) -> Vec<Finding> {
    Vec::new()
}
