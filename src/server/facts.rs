//! What servers tell of themselves and of their models, asked before the first run.
//!
//! A server that cannot be reached or is of another kind is an error; a question that it does not know
//! is not: what it does not say stays unknown. What a missing model means is left to who asks.

use std::collections::BTreeMap;

use formats::endpoint::{Api, Family, Route, Server};
use reqwest::Method;
use serde_json::{Value, json};

use super::ServerError;
use super::life::{LoadedModel, is_tag_of, loaded_of};
use super::questions::{Answer, Questions};

/// The server behind an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `ollama`, `llama.cpp`, `vllm`, … if it says so.
    pub server: Option<String>,
    pub version: Option<String>,
    /// Those that were asked for and are not [`ServerFacts::missing`], by the name that was asked for.
    pub models: BTreeMap<String, ModelFacts>,
    /// Every model that the server lists; `None`: it lists none of them, so that any may be there.
    pub listed: Option<Vec<String>>,
    /// Those that were asked for and that the server's list does not hold.
    pub missing: Vec<String>,
    /// Models in its memory now; `None`: it does not tell.
    pub loaded: Option<Vec<LoadedModel>>,
    /// Calls that it serves at the same time, where it tells.
    pub slots: Option<u64>,
}

/// A model as its server describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    pub digest: Option<String>,
    pub quantization: Option<String>,
    pub parameter_size: Option<String>,
    /// Largest context that the model was made for, or that the server gives it; tokens.
    pub context_length: Option<u64>,
    /// Context that the server gives every request, set when it was started; tokens.
    pub served_context: Option<u64>,
    /// Of its files, bytes.
    pub size_bytes: Option<u64>,
    /// File or family as the server names it.
    pub file: Option<String>,
}

/// Asks a server what it is and what it knows of `models`; blocks for seconds at most.
///
/// `api_key` is sent as the server's protocol wants it. Fails when nobody answers, when the key is refused
/// and when what answers is no server of this kind.
pub fn facts(
    server: &Server,
    models: &[String],
    api_key: Option<&str>,
) -> Result<ServerFacts, ServerError> {
    let ask = Questions::of(server, api_key)?;
    ask.block_on(async {
        match server.api.family() {
            Family::Ollama => ollama(&ask, models).await,
            Family::Openai => openai(&ask, "OpenAI-compatible", "", models).await,
            Family::Anthropic => anthropic(&ask, models).await,
        }
    })
}

/// Servers speak Anthropic's protocol beside their own, and it tells less than theirs.
async fn anthropic(ask: &Questions, models: &[String]) -> Result<ServerFacts, ServerError> {
    const KIND: &str = "Anthropic-compatible";
    let version = first(ask, KIND, "/api/version").await;
    match version {
        Ok(Some(version)) if version["version"].is_string() => ollama(ask, models).await,
        Err(error @ (ServerError::Unreachable { .. } | ServerError::Refused { .. })) => Err(error),
        _ => {
            not_above(ask, KIND, "/models").await?;
            openai(ask, KIND, "/v1", models).await
        }
    }
}

/// An address that leads into the API instead of above it, which an answer to `path` shows.
async fn not_above(ask: &Questions, kind: &'static str, path: &str) -> Result<(), ServerError> {
    let written = ask.url.trim_end_matches('/');
    let above = ["/v1", "/api"].iter().find_map(|end| written.strip_suffix(end));
    if let Some(above) = above
        && ask.get(path).await.is_some_and(|answer| answer.is_object())
    {
        return Err(ask.foreign(kind, format!("its API begins at {above}")));
    }
    Ok(())
}

async fn ollama(ask: &Questions, models: &[String]) -> Result<ServerFacts, ServerError> {
    const KIND: &str = "Ollama";
    let version = first(ask, KIND, "/api/version").await?;
    let version = version.as_ref().and_then(|version| text(version, "version"));
    let tags = ask.get("/api/tags").await;
    if version.is_none() && tags.is_none() {
        let list = ask.get("/v1/models").await.unwrap_or_default();
        if list["data"].is_array() {
            let found = "an OpenAI-compatible server answers there".to_owned();
            return Err(ask.foreign(KIND, found));
        }
        // Below `/v1` Ollama answers as OpenAI does, and below `/api` to the same paths without it.
        not_above(ask, KIND, "/models").await?;
        not_above(ask, KIND, "/tags").await?;
    }
    let tags = tags.unwrap_or_default();
    let loaded = ask.get("/api/ps").await.and_then(|ps| loaded_of(&ps));
    let mut facts = ServerFacts {
        server: version.as_ref().map(|_| "ollama".to_owned()),
        version,
        listed: names(&tags["models"], "name"),
        ..ServerFacts::default()
    };
    for model in models {
        let tag = listed(&tags["models"], "name", |name| is_tag_of(name, model));
        if tag.is_none() && facts.listed.is_some() {
            facts.missing.push(model.clone());
            continue;
        }
        let known = tag.unwrap_or(&Value::Null);
        let show = ask.post("/api/show", &json!({ "model": model })).await;
        let show = show.unwrap_or_default();
        let held = loaded.iter().flatten().find(|held| is_tag_of(&held.name, model));
        let detail = |key| text(&show["details"], key).or_else(|| text(&known["details"], key));
        let about = ModelFacts {
            digest: text(known, "digest").or_else(|| held?.digest.clone()),
            quantization: detail("quantization_level"),
            parameter_size: detail("parameter_size"),
            context_length: show["model_info"].as_object().and_then(|info| {
                info.iter().find(|(key, _)| key.ends_with(".context_length"))?.1.as_u64()
            }),
            served_context: None,
            size_bytes: known["size"].as_u64().filter(|bytes| *bytes > 0),
            file: detail("family"),
        };
        facts.models.insert(model.clone(), about);
    }
    facts.loaded = loaded;
    Ok(facts)
}

/// `v1` leads from the base address to where OpenAI's paths begin.
async fn openai(
    ask: &Questions,
    kind: &'static str,
    v1: &str,
    models: &[String],
) -> Result<ServerFacts, ServerError> {
    let list = first(ask, kind, &format!("{v1}/models")).await?;
    let below = v1.is_empty() && !ask.url.trim_end_matches('/').ends_with("/v1");
    if list.is_none() && below {
        let below = ask.get("/v1/models").await.unwrap_or_default();
        if below["data"].is_array() {
            let found = format!("its API is at {}/v1", ask.url.trim_end_matches('/'));
            return Err(ask.foreign(kind, found));
        }
    }
    let list = list.unwrap_or_default();
    // What a server says of itself stands beside the API, not below it.
    let root = if v1.is_empty() && !below { "/.." } else { "" };
    let props = ask.get(&format!("{root}/props")).await.unwrap_or_default();
    let version = ask.get(&format!("{root}/version")).await.unwrap_or_default();
    let mut facts = ServerFacts {
        server: server_of(&list, &props),
        // What a build without its history calls itself says nothing.
        version: text(&props, "build_info")
            .filter(|build| build != "b0-unknown")
            .or_else(|| text(&version, "version")),
        listed: names(&list["data"], "id"),
        slots: props["total_slots"].as_u64(),
        ..ServerFacts::default()
    };
    for model in models {
        // llama.cpp answers to any name with the one model it holds: a wrong name would be
        // measured without a word.
        let entry =
            listed(&list["data"], "id", |id| id == model).or_else(|| alias(&list["data"], model));
        if entry.is_none() && facts.listed.is_some() {
            facts.missing.push(model.clone());
            continue;
        }
        let entry = entry.unwrap_or(&Value::Null);
        let file = text(&props, "model_path").or_else(|| text(entry, "root"));
        let served = ["/max_model_len", "/meta/n_ctx"];
        let served = served.iter().find_map(|key| entry.pointer(key)?.as_u64());
        let about = ModelFacts {
            digest: tag(entry, "sha256:").map(|digest| format!("sha256:{digest}")),
            quantization: text(&entry["meta"], "ftype").or_else(|| text(&props, "model_ftype")),
            context_length: served.or_else(|| entry["meta"]["n_ctx_train"].as_u64()),
            served_context: served
                .or_else(|| props["default_generation_settings"]["n_ctx"].as_u64()),
            size_bytes: entry["meta"]["size"].as_u64().filter(|bytes| *bytes > 0),
            parameter_size: entry["meta"]["n_params"].as_u64().map(|count| count.to_string()),
            file: file.and_then(|path| path.rsplit(['/', '\\']).next().map(str::to_owned)),
        };
        facts.version = facts.version.take().or_else(|| tag(entry, "engine:"));
        facts.models.insert(model.clone(), about);
    }
    Ok(facts)
}

/// The first question: a server that refuses it refuses everything, and one that answers it with
/// anything but JSON is another. `None`: it does not know the question.
async fn first(
    ask: &Questions,
    kind: &'static str,
    path: &str,
) -> Result<Option<Value>, ServerError> {
    let answer = ask.ask(Method::GET, path, None).await?;
    match answer {
        Answer { status: status @ (401 | 403 | 500..), message, .. } => {
            Err(ServerError::Refused { url: ask.url.clone(), status, message })
        }
        Answer { status: 200, body: Some(body), .. } if body.is_object() => Ok(Some(body)),
        Answer { status: 200, excerpt, .. } => {
            Err(ask.foreign(kind, format!("it answers {path} with {excerpt}")))
        }
        _ => Ok(None),
    }
}

/// Which OpenAI-compatible server it is, by what it lets slip.
fn server_of(list: &Value, props: &Value) -> Option<String> {
    let name = match text(&list["data"][0], "owned_by").as_deref() {
        Some("llamacpp") => "llama.cpp",
        Some("vllm") => "vllm",
        Some("sglang") => "sglang",
        Some("simulated") => "runner simulate",
        _ if props["build_info"].is_string() => "llama.cpp",
        _ => return None,
    };
    Some(name.to_owned())
}

/// What listens at an address, whatever it speaks; for looking around, not for measuring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// Nobody.
    None,
    /// A server of this protocol.
    Server { api: Api, facts: ServerFacts },
    /// Something else, in words.
    Other(String),
}

/// Looks who listens at `url` (without `/v1`); blocks for seconds at most.
#[must_use]
pub fn identify(url: &str) -> Listener {
    let server = |api: Api| Server {
        api,
        url: format!("{url}{}", api.base()),
        api_key_env: None,
        route: Route::default(),
    };
    let ollama = match facts(&server(Api::Ollama), &[], None) {
        Ok(facts) if facts.server.is_some() => {
            return Listener::Server { api: Api::Ollama, facts };
        }
        Ok(_) => "it says nothing of itself".to_owned(),
        Err(ServerError::Unreachable { connected: false, .. }) => return Listener::None,
        // It would not answer the other question in time either.
        Err(ServerError::Unreachable { reason, .. }) => return Listener::Other(reason),
        Err(error) => error.to_string(),
    };
    match facts(&server(Api::OpenaiChat), &[], None) {
        Ok(facts) if facts.listed.is_some() => Listener::Server { api: Api::OpenaiChat, facts },
        _ => Listener::Other(ollama),
    }
}

/// The entry of a server's list whose `key` is the name that is looked for.
fn listed<'a>(list: &'a Value, key: &str, is_it: impl Fn(&str) -> bool) -> Option<&'a Value> {
    list.as_array()?.iter().find(|entry| entry[key].as_str().is_some_and(&is_it))
}

fn names(list: &Value, key: &str) -> Option<Vec<String>> {
    Some(list.as_array()?.iter().filter_map(|entry| text(entry, key)).collect())
}

/// The entry that another of its names is looked for by.
fn alias<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    let has_alias = |entry: &&Value| {
        entry["aliases"].as_array().is_some_and(|all| all.iter().any(|alias| alias == name))
    };
    list.as_array()?.iter().find(has_alias)
}

/// What follows `key` in the free-text tags that a llama.cpp server was started with.
fn tag(entry: &Value, key: &str) -> Option<String> {
    let tags = entry["tags"].as_array()?;
    tags.iter().find_map(|tag| tag.as_str()?.strip_prefix(key)).map(str::to_owned)
}

pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
