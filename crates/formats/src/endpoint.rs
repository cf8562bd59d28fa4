//! Inference servers: the wire protocols that are spoken with them, and where they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pacing::Pacing;

/// A wire protocol: which path is asked, how a request is written, how its answer is read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Ollama's `/api/generate`: NDJSON.
    Ollama,
    /// Ollama's `/api/chat`: NDJSON.
    OllamaChat,
    /// OpenAI's `/v1/chat/completions`: server-sent events.
    OpenaiChat,
    /// OpenAI's `/v1/completions`: server-sent events.
    OpenaiCompletions,
    /// Anthropic's Messages, `/v1/messages`: server-sent events with names.
    Anthropic,
}

/// Whose protocol it is: what else such a server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Ollama,
    Openai,
    Anthropic,
}

impl Family {
    /// The name in evidence of what was met.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Ollama => "ollama",
            Family::Openai => "openai",
            Family::Anthropic => "anthropic",
        }
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Family::Ollama => "Ollama",
            Family::Openai => "OpenAI-compatible",
            Family::Anthropic => "Anthropic-compatible",
        }
    }
}

impl Api {
    pub const ALL: [Api; 5] =
        [Api::Ollama, Api::OllamaChat, Api::OpenaiChat, Api::OpenaiCompletions, Api::Anthropic];

    /// The name in specs, identities and manifests of paced endpoints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Api::Ollama => "ollama",
            Api::OllamaChat => "ollama_chat",
            Api::OpenaiChat => "openai_chat",
            Api::OpenaiCompletions => "openai_completions",
            Api::Anthropic => "anthropic",
        }
    }

    /// Path of a call below the base address; see [`Api::base`] for how that ends.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Api::Ollama => "/api/generate",
            Api::OllamaChat => "/api/chat",
            Api::OpenaiChat => "/chat/completions",
            Api::OpenaiCompletions => "/completions",
            Api::Anthropic => "/v1/messages",
        }
    }

    /// What follows the address of a server in a base address.
    #[must_use]
    pub fn base(self) -> &'static str {
        match self.family() {
            Family::Openai => "/v1",
            Family::Ollama | Family::Anthropic => "",
        }
    }

    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Api::Ollama | Api::OllamaChat => Family::Ollama,
            Api::OpenaiChat | Api::OpenaiCompletions => Family::Openai,
            Api::Anthropic => Family::Anthropic,
        }
    }

    /// Why a server cannot be told to put its models out of memory; `None`: it can.
    #[must_use]
    pub fn cannot_unload(self) -> Option<&'static str> {
        match self.family() {
            Family::Ollama => None,
            Family::Openai => Some("speaks OpenAI's protocol, which has no word for unloading"),
            Family::Anthropic => {
                Some("speaks Anthropic's protocol, which has no word for unloading")
            }
        }
    }
}

/// A named inference server.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    Server(Server),
    /// The endpoint of this program with a known schedule.
    Paced(Pacing),
}

impl Endpoint {
    /// The wire protocol that is spoken with it.
    #[must_use]
    pub fn api(&self) -> Api {
        match self {
            Endpoint::Server(server) => server.api,
            Endpoint::Paced(pacing) => pacing.protocol,
        }
    }

    /// Whether it is a server that speaks Ollama's protocols.
    #[must_use]
    pub fn is_ollama_server(&self) -> bool {
        self.server().is_some_and(|server| server.api.family() == Family::Ollama)
    }

    /// What it is called in evidence of what was met.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.server().map_or("simulated", |server| server.api.family().name())
    }

    /// Its address; that of a paced endpoint is known only while it runs.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        match self {
            Endpoint::Server(server) => Some(server),
            Endpoint::Paced(_) => None,
        }
    }
}

/// A server that somebody else runs, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub api: Api,
    /// Base address without a slash at its end; [`Api::path`] follows it.
    pub url: String,
    /// Name of the environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Further headers of every request, by their names in lower case.
    pub headers: BTreeMap<String, HeaderText>,
    pub route: Route,
    pub dialect: Dialect,
    /// Further names that a stream may give the model that was asked for.
    pub answers_as: Vec<String>,
}

impl Server {
    /// A server that is reached by its address alone.
    #[must_use]
    pub fn at(api: Api, url: impl Into<String>) -> Self {
        Self {
            api,
            url: url.into(),
            api_key_env: None,
            headers: BTreeMap::new(),
            route: Route::default(),
            dialect: Dialect::default(),
            answers_as: Vec::new(),
        }
    }
}

/// What a further header of a request holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HeaderText {
    /// This text.
    Text(String),
    /// The value of the environment variable of this name, as a secret.
    Env(String),
}

/// What a server wants in a request otherwise than its protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// The key of the body that carries the limit of tokens.
    #[serde(default, skip_serializing_if = "MaxTokensKey::is_default")]
    pub max_tokens_as: MaxTokensKey,
    /// Whether the stream is asked for the server's counts (`stream_options.include_usage`).
    #[serde(default = "asked", skip_serializing_if = "is_asked")]
    pub stream_options: bool,
}

/// The key of OpenAI's bodies that carries the limit of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensKey {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { max_tokens_as: MaxTokensKey::default(), stream_options: true }
    }
}

impl Dialect {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Dialect::default()
    }
}

impl MaxTokensKey {
    /// The key itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MaxTokensKey::MaxTokens => "max_tokens",
            MaxTokensKey::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    /// Whether it is what the protocol says.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == MaxTokensKey::default()
    }
}

fn asked() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_asked(asked: &bool) -> bool {
    *asked
}

/// An address as a message may show it: without a name and a password in it, and without what its query and
/// its fragment say, which may be a key.
#[must_use]
pub fn shown(url: &str) -> String {
    let (place, said) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let (scheme, rest) = place.split_once("//").unwrap_or(("", place));
    let place = match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}//…@{host}"),
        // The mark may stand in a password.
        None if rest.contains(':') && said.contains('@') => format!("{scheme}//…"),
        None => place.to_owned(),
    };
    said.chars().next().map_or_else(|| place.clone(), |mark| format!("{place}{mark}…"))
}

/// Whether Ollama means the same by two names: it lists `gemma3:latest` for `gemma3`, and does not tell
/// capitals from small letters.
#[must_use]
pub fn is_tag_of(listed: &str, model: &str) -> bool {
    const LATEST: &str = ":latest";
    let (listed, model) = (listed.to_lowercase(), model.to_lowercase());
    listed.strip_suffix(LATEST).unwrap_or(&listed) == model.strip_suffix(LATEST).unwrap_or(&model)
}

/// How connections to a server are made, where it is not simply its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// PEM file, absolute, of authorities that are trusted besides the system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// `http://host:port` of an HTTP proxy. Without it no proxy is used, whatever the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

impl Route {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        *self == Route::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, said) in [
            ("https://b.example/v1", "https://b.example/v1"),
            ("https://me:pw@b.example/v1", "https://…@b.example/v1"),
            ("me:pw@b.example", "//…@b.example"),
            ("https://me:p/w@b.example/v1", "https://…@b.example/v1"),
            ("https://me:pw@b.example/v1?api_key=pw", "https://…@b.example/v1?…"),
            ("/login?api_key=pw&to=me@b.example", "/login?…"),
            ("https://b.example/x#token=pw?", "https://b.example/x#…"),
            ("https://me:pw?pw@b.example/v1", "https://…?…"),
        ] {
            assert_eq!(shown(url), said, "{url}");
            assert_eq!(shown(said), said, "what is shown can be shown again");
        }
    }

    #[test]
    fn ollama_means_the_latest_where_a_name_has_no_tag() {
        for (listed, model, same) in [
            ("gemma3:latest", "gemma3", true),
            ("gemma3", "Gemma3:Latest", true),
            ("gemma3:4b", "gemma3", false),
            ("gemma3:latest", "gemma", false),
        ] {
            assert_eq!(is_tag_of(listed, model), same, "{listed} {model}");
        }
    }
}
