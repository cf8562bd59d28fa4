//! Checks of settings, and the pattern of cell names among them.

use std::time::Duration;

use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Defaults, Order, Retry};
use crate::manifest::written::{Scalar, Settings};
use crate::manifest::{factor, units};

impl Default for Defaults {
    fn default() -> Self {
        Self {
            repeats: 3,
            warmup: 1,
            timeout: Duration::from_secs(120),
            retry: Retry { max: 0, on: Vec::new() },
            order: Order::Interleaved,
            order_seed: 0,
            max_tokens: None,
            vary_prompt: true,
            vary_seed: false,
            accept_context_full: false,
            max_runs: 100_000,
            cell_name: None,
        }
    }
}

/// Settings over those they override.
pub(super) fn defaults(
    at: &At<'_>,
    written: &Settings,
    base: &Defaults,
    problems: &mut Problems<'_>,
) -> Defaults {
    if written.repeats == Some(0) {
        let help = "write 1 or more, or remove the experiment";
        problems.value(&at.key("repeats"), "`repeats = 0` measures nothing", Some(help.into()));
    }
    if written.max_tokens == Some(0) {
        problems.value(&at.key("max_tokens"), "`max_tokens = 0` asks for no answer", None);
    }
    let timeout = written.timeout.as_ref().and_then(|timeout| {
        let timeout = duration(&at.key("timeout"), timeout, problems)?;
        if timeout.is_zero() {
            problems.value(&at.key("timeout"), "a timeout of 0 lets no call finish", None);
        }
        Some(timeout)
    });
    if let Some(written) = &written.cell_name
        && let Err(message) = pattern(written)
    {
        problems.value(&at.key("cell_name"), message, None);
    }
    Defaults {
        repeats: written.repeats.unwrap_or(base.repeats),
        warmup: written.warmup.unwrap_or(base.warmup),
        timeout: timeout.unwrap_or(base.timeout),
        retry: written
            .retry
            .as_ref()
            .map_or_else(|| base.retry.clone(), |r| Retry { max: r.max, on: r.on.clone() }),
        order: written.order.unwrap_or(base.order),
        order_seed: written.seed.unwrap_or(base.order_seed),
        max_tokens: written.max_tokens.or(base.max_tokens),
        vary_prompt: written.vary_prompt.unwrap_or(base.vary_prompt),
        vary_seed: written.vary_seed.unwrap_or(base.vary_seed),
        accept_context_full: written.accept_context_full.unwrap_or(base.accept_context_full),
        max_runs: written.max_runs.unwrap_or(base.max_runs),
        cell_name: written.cell_name.clone().or_else(|| base.cell_name.clone()),
    }
}

pub(super) fn duration(
    at: &At<'_>,
    written: &Scalar,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let parsed = match written {
        Scalar::Text(text) => units::duration(text),
        other => Err(format!("`{other}` has no unit: write for example \"{other}s\"")),
    };
    parsed.map_err(|message| problems.value(at, message, None)).ok()
}

/// The parts of a cell-name pattern: `Ok(text)` literally, `Err((factor, slug))` replaced.
pub type PatternPart = Result<String, (String, bool)>;

/// Parses a cell-name pattern: `{factor}` and `{factor|slug}` between literal text.
pub fn pattern(pattern: &str) -> Result<Vec<PatternPart>, String> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Ok(rest[..open].to_owned()));
        }
        let close = rest[open..]
            .find('}')
            .ok_or_else(|| format!("`{pattern}` opens a brace that it does not close"))?;
        let inner = &rest[open + 1..open + close];
        let (name, slug) = match inner.split_once('|') {
            None => (inner.trim(), false),
            Some((name, filter)) if filter.trim() == "slug" => (name.trim(), true),
            Some((_, filter)) => {
                return Err(format!("`{}` is no filter of cell names: use slug", filter.trim()));
            }
        };
        if factor::lookup(name).is_none() {
            let help = suggest(name, factor::names()).unwrap_or_default();
            return Err(format!("`{name}` in `{pattern}` is not a factor; {help}"));
        }
        parts.push(Err((name.to_owned(), slug)));
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Ok(rest.to_owned()));
    }
    if pattern.split('/').any(|part| part.trim_matches('.').is_empty()) {
        return Err(format!("`{pattern}` has a path part that is empty or made of dots"));
    }
    if pattern.chars().any(char::is_control) {
        return Err(format!("{pattern:?} has control characters in it"));
    }
    Ok(parts)
}
