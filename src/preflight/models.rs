//! Models: there, under the names that the manifest uses, and known by their content.

use std::fmt::Write as _;

use super::needs::EndpointNeed;
use super::{Facts, Finding, Needs, Subject};
use crate::manifest::nearest::nearest;
use crate::server::ServerFacts;

/// Names of a server's list that a message repeats.
const LISTED: usize = 8;
/// Characters of each.
const NAME: usize = 100;

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, _, need) in needs.servers() {
        let Some(Ok(server)) = facts.servers.get(name) else { continue };
        for (model, model_need) in &need.models {
            let subject = Subject::Model { model: model.clone(), endpoint: name.clone() };
            let finding = if server.missing.contains(model) {
                Some(missing(subject, model, need, server))
            } else {
                undigested(subject, model, server)
            };
            findings.extend(finding.map(|finding| finding.about(&model_need.cells)));
        }
    }
    findings
}

fn missing(subject: Subject, model: &str, need: &EndpointNeed, server: &ServerFacts) -> Finding {
    let listed = server.listed.as_deref().unwrap_or_default();
    let lists_all = server.lists_all;
    let mut message = if lists_all {
        format!("the server at {} does not have it", need.url())
    } else {
        format!("the list of the server at {} does not hold it", need.url())
    };
    let holds = if lists_all { "it has" } else { "it holds" };
    if listed.is_empty() {
        let _ = write!(message, "; {holds} no model at all");
    } else {
        let shown = |name: &String| name.chars().take(NAME).collect::<String>();
        let names: Vec<String> = listed.iter().take(LISTED).map(shown).collect();
        let _ = write!(message, "; {holds} {}", names.join(", "));
    }
    if listed.len() > LISTED {
        let _ = write!(message, " and {} more", listed.len() - LISTED);
    }
    let near = nearest(model, listed.iter().map(String::as_str));
    let near = near.map(|near| format!("did you mean `{near}`?"));
    if !lists_all {
        let tried = "lists may leave out what a server takes, so the runs are tried all the same";
        let advice = near.map_or_else(|| tried.to_owned(), |near| format!("{near} Else: {tried}"));
        return Finding::warning(subject, message, advice);
    }
    let advice = match (near, need.endpoint.is_ollama_server()) {
        (Some(near), true) => format!("{near} Otherwise `ollama pull {model}`"),
        (Some(near), false) => near,
        (None, true) => format!("`ollama pull {model}`"),
        (None, false) => "load it there, or name one of the server's in the manifest".to_owned(),
    };
    Finding::blocking(subject, message, advice).or_tried()
}

/// Without a digest a replaced model would pass for the same.
fn undigested(subject: Subject, model: &str, server: &ServerFacts) -> Option<Finding> {
    let known = server.models.get(model)?;
    if known.digest.is_some() {
        return None;
    }
    let message = "its server does not tell a digest of it: a replaced model would not be noticed";
    let advice = "keep note of the model's file yourself (llama.cpp takes tags: sha256:…)";
    Some(Finding::warning(subject, message.to_owned(), advice))
}
