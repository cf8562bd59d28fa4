//! Servers: up, of the kind that the manifest says, with room for the streams.

use super::facts::NoServer;
use super::needs::EndpointNeed;
use super::{Facts, Finding, Needs, Subject};
use crate::server::{ServerError, ServerFacts};

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let asked = needs.servers().filter_map(|(name, _, need)| {
        let subject = Subject::Endpoint(name.clone());
        let finding = match facts.servers.get(name)? {
            Ok(server) => served(subject, need, server)?,
            Err(error) => unserved(subject, need, error),
        };
        Some(finding.about(&need.cells))
    });
    asked.collect()
}

fn unserved(subject: Subject, need: &EndpointNeed, error: &NoServer) -> Finding {
    let error = match error {
        NoServer::NoKey(variable) => {
            let message =
                format!("the environment variable {variable} with its API key is not set");
            return Finding::blocking(subject, message, format!("set {variable} and try again"));
        }
        NoServer::Endpoint(error) => error,
    };
    let proxy = need.endpoint.server().is_some_and(|server| server.route.proxy.is_some());
    let advice = match (error, need.endpoint.is_ollama_server()) {
        (ServerError::Unreachable { .. }, _) if proxy => {
            "start the server or the proxy, or correct their addresses in the manifest"
        }
        (ServerError::Trust(_), _) => "correct `ca_file` of the endpoint in the manifest",
        (ServerError::Unreachable { .. }, true) => {
            "start it (`OLLAMA_HOST=… ollama serve`), or correct its address in the manifest"
        }
        (ServerError::Unreachable { .. }, _) => "start it, or correct its address in the manifest",
        (ServerError::Refused { status: 401 | 403, .. }, _) => {
            "name the environment variable with a valid key by `api_key_env`"
        }
        (ServerError::Refused { .. }, _) => "wait until it is ready, or look into its log",
        (ServerError::Foreign { .. }, _) => {
            "correct the address or the protocol of the endpoint in the manifest"
        }
        _ => "correct the endpoint in the manifest",
    };
    Finding::blocking(subject, error.to_string(), advice)
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
    if server.server.is_none() && server.version.is_none() && server.listed.is_none() {
        let message = format!("what answers at {} does not say which server it is", need.url());
        let advice = "the runs will not tell which server and models they measured; check that it \
                      is the one that is meant";
        return Some(Finding::warning(subject, message, advice));
    }
    None
}
