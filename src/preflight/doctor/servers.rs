//! Inference servers on the ports where they usually listen on this machine.

use std::fmt::Write as _;
use std::thread;

use formats::endpoint::Api;

use super::Line;
use crate::server::{Listener, ServerFacts, identify};

/// Where servers listen unless they are told otherwise, and who does.
const PORTS: [(u16, &str); 8] = [
    (11434, "Ollama"),
    (11435, "a second Ollama"),
    (8080, "llama.cpp"),
    (8081, "this project's llama.cpp servers"),
    (8082, "this project's llama.cpp servers"),
    (8000, "vLLM"),
    (1234, "LM Studio"),
    (30000, "SGLang"),
];
/// Models of a server that a line names.
const NAMED: usize = 4;

pub(super) fn lines() -> Vec<Line> {
    at(&PORTS)
}

/// Asks all ports at once; those where nobody listens share a line.
pub(super) fn at(ports: &[(u16, &str)]) -> Vec<Line> {
    let found = thread::scope(|scope| {
        let asked: Vec<_> = ports
            .iter()
            .map(|(port, usual)| {
                let asked = scope.spawn(move || identify(&format!("http://127.0.0.1:{port}")));
                (*port, *usual, asked)
            })
            .collect();
        let answers = asked
            .into_iter()
            .map(|(port, usual, asked)| (port, usual, asked.join().unwrap_or(Listener::None)));
        answers.collect::<Vec<_>>()
    });
    let mut lines = Vec::new();
    let mut silent = Vec::new();
    for (port, usual, listener) in found {
        let name = format!("port {port}");
        match listener {
            Listener::None => silent.push(format!("{port} ({usual})")),
            Listener::Server { api, facts } => lines.push(Line::ok(&name, server(api, &facts))),
            Listener::Other(said) => {
                let advice =
                    "no server that can be measured; give it another port if you need this one";
                lines.push(Line::unavailable(&name, said, advice));
            }
        }
    }
    if !silent.is_empty() {
        let found = format!("nobody listens on {}", silent.join(", "));
        lines.push(Line::unavailable("servers", found, ""));
    }
    lines
}

fn server(api: Api, facts: &ServerFacts) -> String {
    let mut text = match (api, facts.server.as_deref()) {
        (Api::Ollama, _) => "Ollama".to_owned(),
        (_, Some(server)) => format!("{server} (OpenAI-compatible)"),
        (_, None) => "an OpenAI-compatible server".to_owned(),
    };
    if let Some(version) = &facts.version {
        let _ = write!(text, " {version}");
    }
    if let Some(models) = &facts.listed {
        text.push_str(if models.is_empty() { ", no models" } else { ", models: " });
        text.push_str(&models[..models.len().min(NAMED)].join(", "));
        if models.len() > NAMED {
            let _ = write!(text, " and {} more", models.len() - NAMED);
        }
    }
    if let Some(loaded) = &facts.loaded {
        let names: Vec<&str> = loaded.iter().map(|model| model.name.as_str()).collect();
        text.push_str(if names.is_empty() { ", none loaded" } else { ", loaded: " });
        text.push_str(&names.join(", "));
    }
    text
}
