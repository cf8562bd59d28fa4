//! Cold runs: only a server that unloads on request can be found empty.

use super::{Finding, Needs, Subject};

pub(super) fn findings(needs: &Needs) -> Vec<Finding> {
    let cold = needs.endpoints.iter().filter(|(_, need)| !need.cold.is_empty());
    cold.filter_map(|(name, need)| {
        let reason = need.endpoint.api().cannot_unload()?;
        let message = format!("`cold = true` needs a server that can unload a model; it {reason}");
        let advice = "leave these cells out by --filter cold=false, or use an Ollama server";
        Some(Finding::blocking(Subject::Endpoint(name.clone()), message, advice).about(&need.cold))
    })
    .collect()
}
