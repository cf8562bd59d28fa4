//! Checks of servers with an address: which protocol is spoken, the way there, what goes along with every
//! request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formats::endpoint::{Family, shown};

use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Api, Dialect, HeaderText, Route, Server};
use crate::manifest::written::{self, ApiPath, HeaderValue};

/// Ends of addresses that somebody copied whole, the longer ones first.
const CALLS: [&str; 6] = [
    "/chat/completions",
    "/completions",
    "/api/generate",
    "/api/chat",
    "/v1/messages",
    "/messages",
];

/// Headers that the program or the protocol sets.
const OWN_HEADERS: [&str; 16] = [
    "accept-encoding",
    "anthropic-version",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-request-id",
];

/// Words in names of headers that hold a secret, and beginnings of values that are one.
const SECRET_NAMES: [&str; 9] = [
    "apikey",
    "auth",
    "authorization",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "token",
];
const SECRET_VALUES: [&str; 3] = ["basic ", "bearer ", "sk-"];

/// A server at this address; `None`, or problems: it is not right.
pub(super) fn server(
    at: &At<'_>,
    key: &str,
    url: &str,
    written: &written::Endpoint,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<Server> {
    let url = address(&at.key(key), url, problems);
    let api = api(at, key, written.api, problems);
    let route =
        Route { ca_file: ca_file(at, written, dir, problems), proxy: proxy(at, written, problems) };
    if let Some(variable) = &written.api_key_env {
        variable_name(&at.key("api_key_env"), "api_key_env", variable, problems);
    }
    let headers = headers(at, written, api, problems);
    for (key, given) in [
        ("max_tokens_as", written.max_tokens_as.is_some()),
        ("stream_options", written.stream_options.is_some()),
    ] {
        if given && api.is_some_and(|api| api.family() != Family::Openai) {
            problems.key(&at.key(key), format!("`{key}` goes with `openai` only"), None);
        }
    }
    if written.answers_as.iter().any(String::is_empty) {
        let message = "`answers_as` has an empty name in it";
        problems.value(&at.key("answers_as"), message, None);
    }
    let mut answers_as = written.answers_as.clone();
    answers_as.sort_unstable();
    answers_as.dedup();
    Some(Server {
        api: api?,
        url,
        api_key_env: written.api_key_env.clone(),
        headers,
        route,
        dialect: Dialect {
            max_tokens_as: written.max_tokens_as.unwrap_or_default(),
            stream_options: written.stream_options.unwrap_or(true),
        },
        answers_as,
    })
}

fn variable_name(at: &At<'_>, key: &str, variable: &str, problems: &mut Problems<'_>) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if variable.is_empty() || !variable.chars().all(is_name) {
        let help = "name the environment variable; the key itself never goes into a manifest";
        let message = format!("`{key}` is not the name of an environment variable");
        problems.value(at, message, Some(help.into()));
    }
}

/// Further headers, by their names in lower case.
fn headers(
    at: &At<'_>,
    written: &written::Endpoint,
    api: Option<Api>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, HeaderText> {
    let section = at.key("headers");
    // The one that the key goes into.
    let of_key = match api.map(Api::family) {
        Some(Family::Anthropic) => "x-api-key",
        _ => "authorization",
    };
    let mut headers = BTreeMap::new();
    for (key, value) in &written.headers {
        let at = section.key(key);
        let name = key.to_ascii_lowercase();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            problems.key(&at, format!("{key:?} is not the name of a header"), None);
        } else if OWN_HEADERS.contains(&name.as_str()) {
            problems.key(&at, format!("the header `{key}` is set by this program"), None);
        } else if name == of_key && written.api_key_env.is_some() {
            let message = format!("the header `{key}` is what `api_key_env` sets");
            problems.key(&at, message, Some("write one of the two".to_owned()));
        }
        let text = match value {
            HeaderValue::Env(variable) => {
                variable_name(&at.key("env"), "env", &variable.env, problems);
                HeaderText::Env(variable.env.clone())
            }
            HeaderValue::Text(text) => {
                if is_secret(&name, text) {
                    let help = format!(
                        "keys never go into a manifest: write `{key} = {{ env = \"VARIABLE\" }}` and put it \
                         into that environment variable"
                    );
                    let message = format!("the header `{key}` holds a secret");
                    problems.key(&at, message, Some(help));
                } else if !text.is_ascii() || text.chars().any(char::is_control) {
                    let message = format!("the header `{key}` holds what no header can carry");
                    problems.value(&at, message, Some("use ASCII on one line".to_owned()));
                }
                HeaderText::Text(text.clone())
            }
        };
        if headers.insert(name, text).is_some() {
            problems.key(&at, format!("the header `{key}` is there twice"), None);
        }
    }
    headers
}

fn is_secret(name: &str, text: &str) -> bool {
    let text = text.trim_start().to_ascii_lowercase();
    name.split(['-', '_', '.']).any(|word| SECRET_NAMES.contains(&word))
        || SECRET_VALUES.iter().any(|start| text.starts_with(start))
}

/// Reports what only endpoints with an address can have.
pub(super) fn of_servers_only(
    at: &At<'_>,
    written: &written::Endpoint,
    problems: &mut Problems<'_>,
) {
    for (key, given) in [
        ("api", written.api.is_some()),
        ("api_key_env", written.api_key_env.is_some()),
        ("headers", !written.headers.is_empty()),
        ("max_tokens_as", written.max_tokens_as.is_some()),
        ("stream_options", written.stream_options.is_some()),
        ("answers_as", !written.answers_as.is_empty()),
        ("ca_file", written.ca_file.is_some()),
        ("proxy", written.proxy.is_some()),
    ] {
        if given {
            let help = (key == "api").then(|| "inside `simulated`, `protocol` says it".into());
            problems.key(&at.key(key), format!("`{key}` goes with a server's address only"), help);
        }
    }
}

/// Which protocol is spoken with a server of this kind.
fn api(at: &At<'_>, key: &str, path: Option<ApiPath>, problems: &mut Problems<'_>) -> Option<Api> {
    let (api, allowed) = match (key, path) {
        ("ollama", None | Some(ApiPath::Generate)) => (Some(Api::Ollama), ""),
        ("ollama", Some(ApiPath::Chat)) => (Some(Api::OllamaChat), ""),
        ("ollama", Some(ApiPath::Completions)) => {
            (None, "`generate` or `chat`; `completions` is a path of `openai`")
        }
        ("openai", None | Some(ApiPath::Chat)) => (Some(Api::OpenaiChat), ""),
        ("openai", Some(ApiPath::Completions)) => (Some(Api::OpenaiCompletions), ""),
        ("openai", Some(ApiPath::Generate)) => {
            (None, "`chat` or `completions`; `generate` is a path of `ollama`")
        }
        (_, None) => (Some(Api::Anthropic), ""),
        (_, Some(_)) => (None, "nothing: it has one path"),
    };
    if api.is_none() {
        let message = format!("`api` with `{key}` takes {allowed}");
        problems.value(&at.key("api"), message, None);
    }
    api
}

/// A file of certificates, absolute, since an agent may work in another folder.
fn ca_file(
    at: &At<'_>,
    written: &written::Endpoint,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let path = dir.join(written.ca_file.as_ref()?);
    if !path.is_file() {
        let help = "a PEM file with the certificate of the authority, relative to the manifest";
        let message = format!("there is no file {}", path.display());
        problems.value(&at.key("ca_file"), message, Some(help.into()));
    }
    Some(std::path::absolute(&path).unwrap_or(path))
}

fn proxy(at: &At<'_>, written: &written::Endpoint, problems: &mut Problems<'_>) -> Option<String> {
    let proxy = written.proxy.as_ref()?;
    let at = at.key("proxy");
    let rest = proxy.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let port = rest.and_then(|rest| rest.rsplit_once(':'));
    let whole = port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let example = "for example \"http://proxy.example:3128\"";
    let (what, help) = if rest.is_some_and(|rest| rest.contains('@')) {
        (
            "the address of a proxy must not hold a password",
            "proxies with a password are not supported",
        )
    } else if proxy.starts_with("https://") {
        ("a proxy is spoken to without TLS", example)
    } else if !whole || rest.is_some_and(|rest| rest.contains('/')) || !clean(proxy) {
        ("a proxy is an http address with a port", example)
    } else {
        return Some(proxy.trim_end_matches('/').to_owned());
    };
    problems.value(&at, format!("{what}, not {:?}", shown(proxy)), Some(help.into()));
    None
}

/// Whether all of an address can stand in a request.
fn clean(url: &str) -> bool {
    url.is_ascii() && !url.contains(char::is_whitespace)
}

/// A base address without a slash at its end.
fn address(at: &At<'_>, url: &str, problems: &mut Problems<'_>) -> String {
    let base = url.trim_end_matches('/');
    let called = CALLS.iter().find_map(|path| base.strip_suffix(path));
    if let Some(above) = called {
        let help = format!("write \"{}\"; the path of the call is added to it", shown(above));
        let message = format!("{:?} is the address of a call, not a base address", shown(url));
        problems.value(at, message, Some(help));
    } else if url.contains('?') {
        let help = "what a server wants with every request can stand in `headers`";
        problems.value(at, "a base address has no query", Some(help.into()));
    }
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or(""));
    match host {
        Some(host) if host.contains('@') => {
            let help = "use `api_key_env` with the name of an environment variable";
            problems.value(at, "an address must not hold a password", Some(help.into()));
        }
        Some(host) if !host.is_empty() && clean(url) => {}
        _ => {
            let help = "for example \"http://localhost:11434\"";
            problems.value(
                at,
                format!("{:?} is not an http address", shown(url)),
                Some(help.into()),
            );
        }
    }
    base.to_owned()
}
