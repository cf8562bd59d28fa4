//! Context: what is asked for against what model and server can give.

use std::collections::BTreeMap;

use super::{Facts, Finding, Needs, Subject};
use crate::plan::CellId;
use crate::server::ModelFacts;

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, _, need) in needs.servers() {
        let Some(Ok(server)) = facts.servers.get(name) else { continue };
        for (model, model_need) in &need.models {
            let Some(known) = server.models.get(model) else { continue };
            let subject = || Subject::Model { model: model.clone(), endpoint: name.clone() };
            for (asked, cells) in &model_need.contexts {
                findings.extend(too_long(*asked, known).map(|(message, advice)| {
                    Finding::warning(subject(), message, advice).about(cells)
                }));
            }
            // Of Ollama the context is what `num_ctx` asks for, and a longer answer moves it on.
            if !need.endpoint.is_ollama_server() {
                let told = answers(&model_need.answers, known);
                findings.extend(told.map(|(message, advice, cells)| {
                    Finding::warning(subject(), message, advice).about(cells)
                }));
            }
        }
    }
    findings
}

fn too_long(asked: u64, known: &ModelFacts) -> Option<(String, &'static str)> {
    let made_for = known.context_length.filter(|made_for| asked > *made_for)?;
    let message = format!("num_ctx = {asked} is more than the {made_for} tokens it was made for");
    Some((
        message,
        "ask for no more than the model can: beyond it the server cuts, or answers worse",
    ))
}

fn answers<'n>(
    asked: &'n BTreeMap<u64, Vec<CellId>>,
    known: &ModelFacts,
) -> Option<(String, &'static str, &'n [CellId])> {
    let served = known.served_context?;
    let (longest, cells) = asked.last_key_value().filter(|(longest, _)| **longest >= served)?;
    let message = format!(
        "max_tokens = {longest} leaves no room for a prompt in the server's context of {served} tokens"
    );
    Some((message, "lower max_tokens, or start the server with a longer context", cells))
}
