//! Checks of endpoints, most of all of the paced endpoint's schedule.

use std::path::{Path, PathBuf};

use formats::endpoint::shown;

use super::settings::duration;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Api, Endpoint, Fault, FaultKind, Pacing, Route, Server};
use crate::manifest::units;
use crate::manifest::written::{self, ApiPath, Scalar};

pub(super) fn endpoint(
    at: &At<'_>,
    written: &written::Endpoint,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<Endpoint> {
    let before = problems.len();
    let written::Endpoint { ollama, openai, anthropic, simulated, .. } = written;
    let (key, url) = match (ollama, openai, anthropic, simulated) {
        (Some(url), None, None, None) => ("ollama", url),
        (None, Some(url), None, None) => ("openai", url),
        (None, None, Some(url), None) => ("anthropic", url),
        (None, None, None, Some(schedule)) => {
            of_servers_only(at, written, problems);
            let pacing = pacing(&at.key("simulated"), schedule, problems);
            return (problems.len() == before).then_some(Endpoint::Paced(pacing));
        }
        _ => {
            let help = "for example { ollama = \"http://localhost:11434\" }";
            let message = format!(
                "`{at}` needs exactly one of `ollama`, `openai`, `anthropic` and `simulated`"
            );
            problems.key(at, message, Some(help.into()));
            return None;
        }
    };
    let url = address(&at.key(key), url, problems);
    let api = api(at, key, written.api, problems);
    let route =
        Route { ca_file: ca_file(at, written, dir, problems), proxy: proxy(at, written, problems) };
    let api_key_env = written.api_key_env.clone();
    if let Some(variable) = &written.api_key_env
        && (variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        let help = "name the environment variable; the key itself never goes into a manifest";
        let message = "`api_key_env` is not the name of an environment variable".to_owned();
        problems.value(&at.key("api_key_env"), message, Some(help.into()));
    }
    let server = Server { api: api?, url, api_key_env, route };
    (problems.len() == before).then_some(Endpoint::Server(server))
}

/// Reports what only endpoints with an address can have.
fn of_servers_only(at: &At<'_>, written: &written::Endpoint, problems: &mut Problems<'_>) {
    for (key, given) in [
        ("api", written.api.is_some()),
        ("api_key_env", written.api_key_env.is_some()),
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
    url.trim_end_matches('/').to_owned()
}

fn pacing(at: &At<'_>, written: &written::Simulated, problems: &mut Problems<'_>) -> Pacing {
    let default = Pacing::default();
    let mut time = |key: &'static str, value: &Option<Scalar>, default| {
        value.as_ref().and_then(|value| duration(&at.key(key), value, problems)).unwrap_or(default)
    };
    let ttft = time("ttft", &written.ttft, default.ttft);
    let jitter = time("jitter", &written.jitter, default.jitter);
    let load = time("load", &written.load, default.load);
    let at_gaps = at.key("gaps");
    let gaps = written
        .gaps
        .iter()
        .enumerate()
        .filter_map(|(index, gap)| duration(&at_gaps.index(index), gap, problems))
        .collect();
    let at_rate = at.key("rate");
    let rate = match &written.rate {
        None => default.rate,
        Some(_) if !written.gaps.is_empty() => {
            problems.key(&at_rate, "`rate` and `gaps` exclude each other", None);
            default.rate
        }
        Some(rate) => rate_of(&at_rate, rate, problems).unwrap_or(default.rate),
    };
    for (key, count) in [
        ("tokens_per_chunk", written.tokens_per_chunk),
        ("tokens", written.tokens),
        ("slots", written.slots),
    ] {
        if count == Some(0) {
            problems.value(&at.key(key), format!("`{key}` must be 1 or more"), None);
        }
    }
    let at_faults = at.key("faults");
    let faults = written
        .faults
        .iter()
        .enumerate()
        .filter_map(|(index, written)| fault(&at_faults.index(index), written, problems))
        .collect();
    Pacing {
        protocol: written.protocol.unwrap_or(default.protocol),
        ttft,
        rate,
        gaps,
        jitter,
        jitter_shape: written.jitter_shape.unwrap_or(default.jitter_shape),
        seed: written.seed.unwrap_or(default.seed),
        tokens_per_chunk: written.tokens_per_chunk.unwrap_or(default.tokens_per_chunk),
        tokens: written.tokens,
        load,
        slots: written.slots,
        faults,
    }
}

fn rate_of(at: &At<'_>, written: &Scalar, problems: &mut Problems<'_>) -> Option<f64> {
    let rate = match written {
        Scalar::Text(text) => units::rate(text),
        Scalar::Integer(number) => Ok(*number as f64),
        Scalar::Float(number) => Ok(*number),
        Scalar::Bool(_) => Err(format!("`{written}` is not a rate")),
    };
    match rate {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Some(rate),
        Ok(_) => {
            problems.value(at, format!("`{written}` must be more than 0 tok/s"), None);
            None
        }
        Err(message) => {
            problems.value(at, message, None);
            None
        }
    }
}

fn fault(at: &At<'_>, written: &written::Fault, problems: &mut Problems<'_>) -> Option<Fault> {
    let slow = written
        .slow
        .as_ref()
        .map(|slow| duration(&at.key("slow"), slow, problems).map(FaultKind::Slow));
    let kinds: Vec<Option<FaultKind>> = [
        written.status.map(|status| Some(FaultKind::Status(status))),
        written.error.clone().map(|error| Some(FaultKind::Error(error))),
        written.stall.then_some(Some(FaultKind::Stall)),
        written.reset.then_some(Some(FaultKind::Reset)),
        written.truncate.then_some(Some(FaultKind::Truncate)),
        written.malformed.then_some(Some(FaultKind::Malformed)),
        slow,
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(status) = written.status.filter(|status| !(400..=599).contains(status)) {
        let help = "use 400 to 599";
        let message = format!("HTTP status {status} is no error");
        problems.value(&at.key("status"), message, Some(help.into()));
    }
    if written.every == Some(0) {
        problems.value(&at.key("every"), "`every` must be 1 or more", None);
    }
    let [kind] = kinds.as_slice() else {
        let message = "a fault needs exactly one of `status`, `error`, `stall`, `reset`, \
                       `truncate`, `malformed` and `slow`";
        problems.value(at, message, None);
        return None;
    };
    kind.clone().map(|kind| Fault {
        kind,
        after: written.after.unwrap_or(0),
        first: written.first,
        every: written.every,
    })
}
