//! Servers: up, of the kind that the manifest says, with room for the streams.

use agent::wire::headers::HeaderError;

use super::needs::EndpointNeed;
use super::{Facts, Finding, Needs, Subject};
use crate::server::{ServerError, ServerFacts};

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, _, need) in needs.servers() {
        let subject = || Subject::Endpoint(name.clone());
        match facts.servers.get(name) {
            Some(Ok(server)) => {
                let doubts = server.doubts.iter().map(|doubt| {
                    let message = format!("{} ({})", doubt.message, need.url());
                    Finding::warning(subject(), message, doubt.advice).about(&need.cells)
                });
                findings.extend(doubts);
                findings.extend(served(subject(), need, server).map(|one| one.about(&need.cells)));
            }
            Some(Err(error)) => findings.push(unserved(subject(), need, error).about(&need.cells)),
            None => {}
        }
    }
    findings
}

fn unserved(subject: Subject, need: &EndpointNeed, error: &ServerError) -> Finding {
    let server = need.endpoint.server();
    let key = server.and_then(|server| server.api_key_env.as_deref());
    let proxy = server.is_some_and(|server| server.route.proxy.is_some());
    let advice = match (error, need.endpoint.is_ollama_server()) {
        (ServerError::Header(HeaderError::Missing { variable, .. }), _) => {
            format!("set {variable} and try again")
        }
        (ServerError::Header(_), _) => "correct it and try again".to_owned(),
        (ServerError::Unreachable { .. }, _) if proxy => {
            "start the server or the proxy, or correct their addresses in the manifest".to_owned()
        }
        (ServerError::Trust(_), _) => {
            "correct `ca_file` of the endpoint in the manifest".to_owned()
        }
        (ServerError::Unreachable { .. }, true) => {
            "start it (`OLLAMA_HOST=… ollama serve`), or correct its address in the manifest"
                .to_owned()
        }
        (ServerError::Unreachable { .. }, _) => {
            "start it, or correct its address in the manifest".to_owned()
        }
        (ServerError::Refused { status: 401 | 403, challenge, .. }, _) => {
            let basic = challenge.as_deref().is_some_and(|way| way.eq_ignore_ascii_case("basic"));
            match key {
                _ if basic => "it wants a name and a password: put `Basic ` and their base64 into an \
                               environment variable, and name that in the endpoint by \
                               `headers = { authorization = { env = \"VARIABLE\" } }`"
                    .to_owned(),
                Some(variable) => format!("put a key that it accepts into {variable}"),
                None => "put a valid key into an environment variable, and name that in the endpoint by \
                         `api_key_env = \"VARIABLE\"`"
                    .to_owned(),
            }
        }
        (ServerError::Refused { status: 407, .. }, _) => {
            "the proxy wants a password, which is not supported".to_owned()
        }
        (ServerError::Refused { .. }, _) => {
            "wait until it is ready, or look into its log".to_owned()
        }
        (ServerError::Foreign { .. } | ServerError::NoApi { .. }, _) => {
            "correct the address or the protocol of the endpoint in the manifest".to_owned()
        }
        // Its message says it.
        (ServerError::Moved { .. }, _) => String::new(),
        _ => "correct the endpoint in the manifest".to_owned(),
    };
    let finding = Finding::blocking(subject, error.to_string(), advice);
    if error.is_final() { finding } else { finding.or_tried() }
}

fn served(subject: Subject, need: &EndpointNeed, server: &ServerFacts) -> Option<Finding> {
    if let Some(slots) = server.slots
        && slots < need.streams as u64
    {
        let message = format!(
            "{} streams call it at the same time, and it serves {slots}: the others wait in its queue",
            need.streams
        );
        let advice = "start it with as many slots (llama.cpp: --parallel), or take the queue for \
                      what is measured";
        return Some(Finding::warning(subject, message, advice));
    }
    let told = server.server.is_some() || server.version.is_some() || server.listed.is_some();
    if !told && server.doubts.is_empty() {
        let message = format!("what answers at {} does not say which server it is", need.url());
        let advice = "the runs will not tell which server and models they measured; check that it \
                      is the one that is meant";
        return Some(Finding::warning(subject, message, advice));
    }
    None
}
