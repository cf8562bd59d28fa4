//! The life of models on an Ollama server: which it holds in memory, and having it put them out.
//!
//! Servers that speak other protocols tell and do neither.

use std::time::{Duration, Instant};

use formats::endpoint::Server;
use reqwest::Method;
use serde_json::{Value, json};

use super::ServerError;
use super::facts::text;
use super::questions::Questions;

/// Between two looks at what is still in memory.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A model in the memory of its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedModel {
    pub name: String,
    pub digest: Option<String>,
    /// All of it, bytes.
    pub size_bytes: Option<u64>,
    /// The part in the memory of GPUs, bytes.
    pub vram_bytes: Option<u64>,
    /// Tokens.
    pub context_length: Option<u64>,
}

/// What a server put out of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unloaded {
    /// Those that it held before.
    pub models: Vec<String>,
    /// Until it listed none any more.
    pub took: Duration,
}

/// The models that an Ollama server holds now; blocks for seconds at most.
pub fn loaded(server: &Server) -> Result<Vec<LoadedModel>, ServerError> {
    let questions = Questions::of(server, &super::environment)?;
    questions.block_on(held(&questions))
}

/// Has an Ollama server put every model out of its memory, and waits until it lists none:
/// whatever is loaded next then meets the same, empty server.
pub fn unload(server: &Server, limit: Duration) -> Result<Unloaded, ServerError> {
    let questions = Questions::of(server, &super::environment)?;
    questions.block_on(async {
        let began = Instant::now();
        let before = held(&questions).await?;
        for model in &before {
            // A request without a prompt generates nothing.
            let body = json!({ "model": model.name, "keep_alive": 0, "stream": false });
            let patience = limit.saturating_sub(began.elapsed());
            let answer =
                questions.ask_within(patience, Method::POST, "/api/generate", Some(&body)).await?;
            // One that was put out meanwhile is not there any more: that is what was wanted.
            if !matches!(answer.status, 200 | 404) {
                return Err(answer.refused(&questions));
            }
        }
        let mut left = if before.is_empty() { Vec::new() } else { held(&questions).await? };
        while !left.is_empty() {
            if began.elapsed() > limit {
                let models = left.into_iter().map(|model| model.name).collect();
                return Err(ServerError::StillLoaded { url: server.url.clone(), models, limit });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            left = held(&questions).await?;
        }
        let models = before.into_iter().map(|model| model.name).collect();
        Ok(Unloaded { models, took: began.elapsed() })
    })
}

async fn held(ask: &Questions) -> Result<Vec<LoadedModel>, ServerError> {
    let answer = ask.ask(Method::GET, "/api/ps", None).await?;
    answer
        .body
        .filter(|_| answer.status == 200)
        .and_then(|ps| loaded_of(&ps))
        .ok_or_else(|| ServerError::Silent { url: ask.url.clone() })
}

/// From the answer to `/api/ps`; `None`: it is none.
pub(super) fn loaded_of(ps: &Value) -> Option<Vec<LoadedModel>> {
    let model = |entry: &Value| {
        Some(LoadedModel {
            name: text(entry, "name").or_else(|| text(entry, "model"))?,
            digest: text(entry, "digest"),
            size_bytes: entry["size"].as_u64(),
            vram_bytes: entry["size_vram"].as_u64(),
            context_length: entry["context_length"].as_u64().filter(|tokens| *tokens > 0),
        })
    };
    Some(ps["models"].as_array()?.iter().filter_map(model).collect())
}
