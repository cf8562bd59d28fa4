//! What servers tell of themselves and of their models, asked before the first run.
//!
//! A server that cannot be reached or is of another kind is an error; a question that it does not know
//! is not: what it does not say stays unknown, and what keeps a question open is a doubt. What a missing
//! model means is left to who asks.

use std::collections::BTreeMap;

use agent::Environment;
use formats::endpoint::{Api, Family, Server, is_tag_of};
use serde_json::{Value, json};

use super::ServerError;
use super::life::{LoadedModel, loaded_of};
use super::opening::{Doubt, First, first};
use super::questions::Questions;

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
    /// Its list is known to be whole: a model that it does not hold is not there.
    pub lists_all: bool,
    /// What could not be learnt, and leaves its calls a chance.
    pub doubts: Vec<Doubt>,
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
/// Its key comes from `environment` and is sent as the server's protocol wants it. Fails when nobody answers,
/// when calls are refused and when what answers is no server of this kind.
pub fn facts(
    server: &Server,
    models: &[String],
    environment: Environment<'_>,
) -> Result<ServerFacts, ServerError> {
    ask(&Questions::of(server, environment)?, server.api.family(), models)
}

fn ask(ask: &Questions, family: Family, models: &[String]) -> Result<ServerFacts, ServerError> {
    ask.block_on(async {
        match family {
            Family::Ollama => ollama(ask, models).await,
            Family::Openai => openai(ask, "OpenAI-compatible", "", models).await,
            Family::Anthropic => anthropic(ask, models).await,
        }
    })
}

/// Servers speak Anthropic's protocol beside their own, and it tells less than theirs.
async fn anthropic(ask: &Questions, models: &[String]) -> Result<ServerFacts, ServerError> {
    const KIND: &str = "Anthropic-compatible";
    match first(ask, "/api/version", tells_version).await? {
        First::Told(_) => ollama(ask, models).await,
        First::Open(_) => {
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
        && ask.get(path).await.is_some_and(|answer| entries(&answer).is_some())
    {
        return Err(ask.foreign(kind, format!("its API begins at {above}")));
    }
    Ok(())
}

async fn ollama(ask: &Questions, models: &[String]) -> Result<ServerFacts, ServerError> {
    const KIND: &str = "Ollama";
    let (version, untold) = match first(ask, "/api/version", tells_version).await? {
        First::Told(version) => (text(&version, "version"), None),
        First::Open(untold) => (None, Some(untold)),
    };
    // Without a model the list may be null.
    let tags = ask.get("/api/tags").await.filter(|tags| tags.get("models").is_some());
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
    let mut doubts = Vec::new();
    if let (Some(untold), None) = (untold, &tags) {
        doubts.push(untold.settle(ask, KIND, true).await?);
    }
    let tags = tags.unwrap_or_default();
    let loaded = ask.get("/api/ps").await.and_then(|ps| loaded_of(&ps));
    let listed_names = names(&tags["models"], "name");
    let mut facts = ServerFacts {
        server: version.as_ref().map(|_| "ollama".to_owned()),
        version,
        lists_all: listed_names.is_some(),
        listed: listed_names,
        doubts,
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
    let path = format!("{v1}/models");
    let opened = first(ask, &path, |list| entries(list).is_some()).await?;
    let below = v1.is_empty() && !ask.url.trim_end_matches('/').ends_with("/v1");
    if matches!(opened, First::Open(_)) && below {
        let below = ask.get("/v1/models").await.unwrap_or_default();
        if below["data"].is_array() {
            let found = format!("its API is at {}/v1", ask.url.trim_end_matches('/'));
            return Err(ask.foreign(kind, found));
        }
    }
    let mut doubts = Vec::new();
    let list = match opened {
        First::Told(list) => entries(&list),
        First::Open(untold) => {
            doubts.push(untold.settle(ask, kind, false).await?);
            None
        }
    };
    // What a server says of itself stands beside the API, not below it.
    let root = if v1.is_empty() && !below { "/.." } else { "" };
    let props = ask.get(&format!("{root}/props")).await.unwrap_or_default();
    let version = ask.get(&format!("{root}/version")).await.unwrap_or_default();
    let mut server = server_of(list.as_deref().unwrap_or_default(), &props);
    // What a build without its history calls itself says nothing.
    let mut version = text(&props, "build_info")
        .filter(|build| build != "b0-unknown")
        .or_else(|| text(&version, "version"));
    if server.is_none() && version.is_none() {
        // Ollama has OpenAI's paths beside its own, which tell its version.
        let told = ask.get(&format!("{root}/api/version")).await.unwrap_or_default();
        version = text(&told, "version");
        server = version.as_ref().map(|_| "ollama".to_owned());
    }
    let mut facts = ServerFacts {
        server,
        version,
        listed: list.as_ref().map(|list| list.iter().filter_map(|one| text(one, "id")).collect()),
        slots: props["total_slots"].as_u64(),
        doubts,
        ..ServerFacts::default()
    };
    let tags = match facts.server.as_deref() {
        // How Ollama counts depends on the model's family, of which OpenAI's list says nothing.
        Some("ollama") => ask.get(&format!("{root}/api/tags")).await.unwrap_or_default(),
        _ => Value::Null,
    };
    let list = list.unwrap_or_default();
    // llama.cpp answers to any name with the one model it holds: a wrong name would be measured without a
    // word.
    facts.lists_all = facts.server.as_deref() == Some("llama.cpp") && list.len() == 1;
    for model in models {
        let entry = entry_of(&list, model);
        if entry.is_none() && facts.listed.is_some() {
            facts.missing.push(model.clone());
            continue;
        }
        let entry = entry.unwrap_or(&Value::Null);
        let file = text(&props, "model_path").or_else(|| text(entry, "root"));
        let own = listed(&tags["models"], "name", |name| is_tag_of(name, model));
        let family = own.and_then(|own| text(&own["details"], "family"));
        let given = ["/max_model_len", "/meta/n_ctx"];
        let given = given.iter().find_map(|key| entry.pointer(key)?.as_u64());
        let about = ModelFacts {
            digest: tag(entry, "sha256:").map(|digest| format!("sha256:{digest}")),
            quantization: text(&entry["meta"], "ftype").or_else(|| text(&props, "model_ftype")),
            context_length: given.or_else(|| entry["meta"]["n_ctx_train"].as_u64()),
            served_context: given
                .or_else(|| props["default_generation_settings"]["n_ctx"].as_u64()),
            size_bytes: entry["meta"]["size"].as_u64().filter(|bytes| *bytes > 0),
            parameter_size: entry["meta"]["n_params"].as_u64().map(|count| count.to_string()),
            file: family.or_else(|| {
                file.and_then(|path| path.rsplit(['/', '\\']).next().map(str::to_owned))
            }),
        };
        facts.version = facts.version.take().or_else(|| tag(entry, "engine:"));
        facts.models.insert(model.clone(), about);
    }
    Ok(facts)
}

fn tells_version(answer: &Value) -> bool {
    text(answer, "version").is_some()
}

/// The entries of a list of models, each with an `id`: some servers list names, some call the id a name, some
/// leave out the object around the list.
fn entries(list: &Value) -> Option<Vec<Value>> {
    let all = list.as_array().or_else(|| list["data"].as_array());
    let all = all.or_else(|| list["models"].as_array())?;
    let entry = |entry: &Value| match entry {
        Value::String(id) => Some(json!({ "id": id })),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let id = ["id", "name", "model"].iter().find_map(|key| text(entry, key))?;
            fields.insert("id".to_owned(), id.into());
            Some(Value::Object(fields))
        }
        _ => None,
    };
    Some(all.iter().filter_map(entry).collect())
}

/// The entry of a model: of that name, of that alias, or of what Ollama means by the name.
fn entry_of<'a>(list: &'a [Value], model: &str) -> Option<&'a Value> {
    let of = |is_it: &dyn Fn(&Value) -> bool| list.iter().find(|entry| is_it(entry));
    let aliases = |entry: &Value| {
        entry["aliases"].as_array().is_some_and(|all| all.iter().any(|alias| alias == model))
    };
    of(&|entry| entry["id"] == model)
        .or_else(|| of(&aliases))
        .or_else(|| of(&|entry| entry["id"].as_str().is_some_and(|id| is_tag_of(id, model))))
}

/// Which OpenAI-compatible server it is, by what it lets slip.
fn server_of(list: &[Value], props: &Value) -> Option<String> {
    let owner = list.first().and_then(|entry| text(entry, "owned_by"));
    let name = match owner.as_deref() {
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
    let look = |api: Api| {
        let server = Server::at(api, format!("{url}{}", api.base()));
        // Nobody has said what it is: it is asked for nothing but what it tells.
        let mut questions = Questions::with(&server, Vec::new())?;
        questions.call_path = None;
        ask(&questions, api.family(), &[])
    };
    let ollama = match look(Api::Ollama) {
        Ok(facts) if facts.server.is_some() => {
            return Listener::Server { api: Api::Ollama, facts };
        }
        Ok(_) => "it says nothing of itself".to_owned(),
        Err(ServerError::Unreachable { connected: false, .. }) => return Listener::None,
        // It would not answer the other question in time either.
        Err(ServerError::Unreachable { reason, .. }) => return Listener::Other(reason),
        Err(error) => error.to_string(),
    };
    match look(Api::OpenaiChat) {
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

/// What follows `key` in the free-text tags that a llama.cpp server was started with.
fn tag(entry: &Value, key: &str) -> Option<String> {
    let tags = entry["tags"].as_array()?;
    tags.iter().find_map(|tag| tag.as_str()?.strip_prefix(key)).map(str::to_owned)
}

pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
