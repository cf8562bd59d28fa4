//! Checks of endpoints, most of all of the paced endpoint's schedule.

use super::settings::duration;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{
    Endpoint, Fault, FaultKind, JitterShape, OpenAiApi, PacedProtocol, Pacing,
};
use crate::manifest::units;
use crate::manifest::written::{self, Scalar};

pub(super) fn endpoint(
    at: &At<'_>,
    written: &written::Endpoint,
    problems: &mut Problems<'_>,
) -> Option<Endpoint> {
    let before = problems.len();
    let endpoint = match (&written.ollama, &written.openai, &written.simulated) {
        (Some(url), None, None) => {
            Endpoint::Ollama { url: address(&at.key("ollama"), url, problems) }
        }
        (None, Some(url), None) => Endpoint::OpenAi {
            url: address(&at.key("openai"), url, problems),
            api: written.api.unwrap_or(OpenAiApi::Chat),
            api_key_env: written.api_key_env.clone(),
        },
        (None, None, Some(schedule)) => {
            Endpoint::Simulated(pacing(&at.key("simulated"), schedule, problems))
        }
        _ => {
            let help = "for example { ollama = \"http://localhost:11434\" }";
            let message = format!("`{at}` needs exactly one of `ollama`, `openai` and `simulated`");
            problems.key(at, message, Some(help.into()));
            return None;
        }
    };
    if written.openai.is_none() {
        for (key, given) in
            [("api", written.api.is_some()), ("api_key_env", written.api_key_env.is_some())]
        {
            if given {
                problems.key(&at.key(key), format!("`{key}` goes with `openai` only"), None);
            }
        }
    }
    if let Some(variable) = &written.api_key_env
        && (variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        let help = "name the environment variable; the key itself never goes into a manifest";
        let message = "`api_key_env` is not the name of an environment variable".to_owned();
        problems.value(&at.key("api_key_env"), message, Some(help.into()));
    }
    (problems.len() == before).then_some(endpoint)
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
        Some(host) if !host.is_empty() && url.is_ascii() && !url.contains(char::is_whitespace) => {}
        _ => {
            let help = "for example \"http://localhost:11434\"";
            problems.value(at, format!("{url:?} is not an http address"), Some(help.into()));
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

impl Default for Pacing {
    fn default() -> Self {
        Self {
            protocol: PacedProtocol::Ollama,
            ttft: std::time::Duration::from_millis(50),
            rate: 100.0,
            gaps: Vec::new(),
            jitter: std::time::Duration::ZERO,
            jitter_shape: JitterShape::Uniform,
            seed: 0,
            tokens_per_chunk: 1,
            tokens: None,
            load: std::time::Duration::ZERO,
            slots: None,
            faults: Vec::new(),
        }
    }
}
