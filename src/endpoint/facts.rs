//! What servers tell of themselves and of their models, asked before the first run.
//!
//! A server that cannot be reached or lacks a model is an error; a question that it does not know is
//! not: what it does not say stays unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};

use super::connection::{Connection, ConnectionError};
use super::decode::error_body;
use super::meter::DEFAULT_READ_BUFFER;
use super::{EndpointError, Target};
use crate::agent::protocol::Api;

/// Limit of one question.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, bytes; `/api/show` carries licences and templates.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// The server behind an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `ollama`, `llama.cpp`, `vllm`, … if it says so.
    pub server: Option<String>,
    pub version: Option<String>,
    /// By the name that was asked for.
    pub models: BTreeMap<String, ModelFacts>,
}

/// A model as its server describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    pub digest: Option<String>,
    pub quantization: Option<String>,
    pub parameter_size: Option<String>,
    /// Largest context that the model was made for, or that the server gives it; tokens.
    pub context_length: Option<u64>,
    /// File or family as the server names it.
    pub file: Option<String>,
}

/// Asks the server at `url` what it is and what it knows of `models`; blocks for seconds at most.
///
/// `api_key` is sent as a bearer token. Fails when nobody answers, when the key is refused and when
/// the server lists its models and one of `models` is not among them.
pub fn facts(
    url: &str,
    api: Api,
    models: &[String],
    api_key: Option<&str>,
) -> Result<ServerFacts, EndpointError> {
    let questions = Questions { url, target: Target::parse(url)?, api_key };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            EndpointError::Unreachable { url: url.to_owned(), reason: error.to_string() }
        })?;
    runtime.block_on(async {
        match api {
            Api::Ollama => questions.ollama(models).await,
            Api::OpenaiChat | Api::OpenaiCompletions => questions.openai(models).await,
        }
    })
}

struct Questions<'a> {
    url: &'a str,
    target: Target,
    api_key: Option<&'a str>,
}

/// The status and the JSON of an answer; `Null` when it is none.
struct Answer {
    status: u16,
    body: Value,
    message: Option<String>,
}

impl Questions<'_> {
    async fn ollama(&self, models: &[String]) -> Result<ServerFacts, EndpointError> {
        let base = &self.target.base;
        let version = self.first(&format!("{base}/api/version")).await?;
        let version = text(&version, "version");
        let tags = self.get(&format!("{base}/api/tags")).await.unwrap_or_default();
        let loaded = self.get(&format!("{base}/api/ps")).await.unwrap_or_default();
        let mut facts = ServerFacts {
            server: version.as_ref().map(|_| "ollama".to_owned()),
            version,
            ..ServerFacts::default()
        };
        for model in models {
            let tag = listed(&tags["models"], "name", |name| is_tag_of(name, model));
            if tag.is_none() && tags["models"].is_array() {
                return Err(self.missing(model, &tags["models"], "name"));
            }
            let question = json!({ "model": model });
            let show = self.ask(Method::POST, &format!("{base}/api/show"), Some(question)).await;
            let show = show.ok().filter(|answer| answer.status == 200);
            let show = show.map(|answer| answer.body).unwrap_or_default();
            let known = tag
                .or_else(|| listed(&loaded["models"], "name", |name| is_tag_of(name, model)))
                .unwrap_or(&Value::Null);
            let detail = |key| text(&show["details"], key).or_else(|| text(&known["details"], key));
            let about = ModelFacts {
                digest: text(known, "digest"),
                quantization: detail("quantization_level"),
                parameter_size: detail("parameter_size"),
                context_length: show["model_info"].as_object().and_then(|info| {
                    info.iter().find(|(key, _)| key.ends_with(".context_length"))?.1.as_u64()
                }),
                file: detail("family"),
            };
            facts.models.insert(model.clone(), about);
        }
        Ok(facts)
    }

    async fn openai(&self, models: &[String]) -> Result<ServerFacts, EndpointError> {
        let base = &self.target.base;
        let root = base.strip_suffix("/v1").unwrap_or(base);
        let list = self.first(&format!("{base}/models")).await?;
        let props = self.get(&format!("{root}/props")).await.unwrap_or_default();
        let version = self.get(&format!("{root}/version")).await.unwrap_or_default();
        // What a build without its history calls itself says nothing.
        let build = text(&props, "build_info").filter(|build| build != "b0-unknown");
        let owner = text(&list["data"][0], "owned_by");
        let server = match owner.as_deref() {
            Some("llamacpp") => Some("llama.cpp"),
            Some(name @ ("vllm" | "sglang")) => Some(name),
            _ if props["build_info"].is_string() => Some("llama.cpp"),
            _ => None,
        };
        let mut facts = ServerFacts {
            server: server.map(str::to_owned),
            version: build.or_else(|| text(&version, "version")),
            models: BTreeMap::new(),
        };
        for model in models {
            // llama.cpp answers to any name with the one model it holds: a wrong name would be
            // measured without a word.
            let entry = listed(&list["data"], "id", |id| id == model)
                .or_else(|| alias(&list["data"], model));
            if entry.is_none() && list["data"].is_array() {
                return Err(self.missing(model, &list["data"], "id"));
            }
            let entry = entry.unwrap_or(&Value::Null);
            let file = text(&props, "model_path").or_else(|| text(entry, "root"));
            let about = ModelFacts {
                digest: tag(entry, "sha256:").map(|digest| format!("sha256:{digest}")),
                quantization: text(&entry["meta"], "ftype").or_else(|| text(&props, "model_ftype")),
                context_length: ["/max_model_len", "/meta/n_ctx", "/meta/n_ctx_train"]
                    .iter()
                    .find_map(|key| entry.pointer(key)?.as_u64()),
                parameter_size: entry["meta"]["n_params"].as_u64().map(|count| count.to_string()),
                file: file.and_then(|path| path.rsplit(['/', '\\']).next().map(str::to_owned)),
            };
            facts.version = facts.version.take().or_else(|| tag(entry, "engine:"));
            facts.models.insert(model.clone(), about);
        }
        Ok(facts)
    }

    /// The first question: a server that refuses it refuses everything.
    async fn first(&self, path: &str) -> Result<Value, EndpointError> {
        let answer = self.ask(Method::GET, path, None).await?;
        match answer.status {
            401 | 403 | 500.. => Err(EndpointError::Refused {
                url: self.url.to_owned(),
                status: answer.status,
                message: answer.message,
            }),
            200 => Ok(answer.body),
            _ => Ok(Value::Null),
        }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.ask(Method::GET, path, None).await.ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, EndpointError> {
        let unreachable =
            |reason: String| EndpointError::Unreachable { url: self.url.to_owned(), reason };
        let mut request = Request::builder()
            .method(method)
            .uri(if path.is_empty() { "/" } else { path })
            .header("host", &self.target.authority)
            .header("connection", "close");
        if let Some(key) = self.api_key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(|_| EndpointError::Key)?;
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        exchange
            .map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ConnectionError> {
        let mut connection = Connection::open(&self.target, DEFAULT_READ_BUFFER).await?;
        let response = connection.send(request).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while bytes.len() < ANSWER_LIMIT {
            match connection.next(&mut body).await {
                Some(piece) => bytes.extend_from_slice(&piece?),
                None => break,
            }
        }
        let message = (status != 200).then(|| error_body(&bytes)).flatten();
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default(), message })
    }

    fn missing(&self, model: &str, list: &Value, key: &str) -> EndpointError {
        let known = list.as_array().into_iter().flatten().filter_map(|entry| text(entry, key));
        EndpointError::ModelMissing {
            url: self.url.to_owned(),
            model: model.to_owned(),
            known: known.collect(),
        }
    }
}

/// The entry of a server's list whose `key` is the name that is looked for.
fn listed<'a>(list: &'a Value, key: &str, is_it: impl Fn(&str) -> bool) -> Option<&'a Value> {
    list.as_array()?.iter().find(|entry| entry[key].as_str().is_some_and(&is_it))
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

/// Ollama lists `gemma3:latest` for `gemma3`.
fn is_tag_of(listed: &str, model: &str) -> bool {
    listed == model || listed.strip_suffix(":latest") == Some(model)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
