//! Checks of endpoints: what kind they are, and the paced endpoint's schedule.

use std::path::Path;

use indexmap::IndexMap;

use super::server;
use super::settings::duration;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Endpoint, Fault, FaultKind, Pacing};
use crate::manifest::units;
use crate::manifest::written::{self, Scalar};

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
            server::of_servers_only(at, written, problems);
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
    let server = server::server(at, key, url, written, dir, problems);
    server.filter(|_| problems.len() == before).map(Endpoint::Server)
}

/// Names that endpoints had before, by today's: each an old one, and of one endpoint only.
pub(super) fn renamed(
    written: &written::Manifest,
    problems: &mut Problems<'_>,
) -> IndexMap<String, String> {
    let section = At::ROOT.key("endpoint");
    let mut renamed: IndexMap<String, String> = IndexMap::new();
    for (name, body) in &written.endpoint {
        let Some(was) = &body.was else { continue };
        let endpoint = section.key(name);
        let at = endpoint.key("was");
        if written.endpoint.contains_key(was) {
            let message = format!("`{was}` is an endpoint of this manifest, not an old name");
            problems.value(&at, message, Some("name what it was called before".into()));
        } else if let Some((other, _)) = renamed.iter().find(|(_, known)| *known == was) {
            let message = format!("`{was}` was the name of `{other}`, too");
            problems.value(&at, message, Some("an endpoint has one successor".into()));
        } else {
            renamed.insert(name.clone(), was.clone());
        }
    }
    let profiles = At::ROOT.key("profile");
    for (profile, overlay) in &written.profile {
        let profile = profiles.key(profile);
        let section = profile.key("endpoint");
        for (name, _) in overlay.endpoint.iter().filter(|(_, body)| body.was.is_some()) {
            let help = format!("write it under [endpoint] in `{name}`");
            let message = "`was` belongs to the endpoint itself, not to a profile";
            problems.key(&section.key(name).key("was"), message, Some(help));
        }
    }
    renamed
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
