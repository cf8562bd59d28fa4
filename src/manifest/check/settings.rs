//! Checks of settings, and the pattern of cell names among them.

use std::time::Duration;

use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Defaults, HalfWidth, Order, Retry, Until};
use crate::manifest::written::{self, Scalar, Settings};
use crate::manifest::{factor, units};

impl Default for Defaults {
    fn default() -> Self {
        Self {
            repeats: 3,
            warmup: 1,
            timeout: Duration::from_secs(120),
            max_output: 1 << 30,
            retry: Retry { max: 0, on: Vec::new() },
            order: Order::Interleaved,
            order_seed: 0,
            max_tokens: None,
            vary_prompt: true,
            vary_seed: false,
            accept_context_full: false,
            max_runs: 100_000,
            looks: Vec::new(),
            until: None,
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
    let repeats = written.repeats.unwrap_or(base.repeats);
    let until = match &written.until {
        Some(until) => self::until(&at.key("until"), until, repeats, problems),
        None => base.until.clone(),
    };
    let own_looks = written.looks.is_some();
    let mut looks = written.looks.clone().unwrap_or_else(|| base.looks.clone());
    if own_looks || !looks.is_empty() && written.repeats.is_some() {
        self::looks(
            &at.key(if own_looks { "looks" } else { "repeats" }),
            &looks,
            repeats,
            problems,
        );
    }
    if !looks.is_empty() && until.is_some() {
        let key = if own_looks { "looks" } else { "until" };
        let help = "declare the looks, or the width of the interval";
        problems.key(&at.key(key), "`looks` and `until` both say when to stop", Some(help.into()));
    }
    if !looks.is_empty() && looks.last() != Some(&repeats) {
        looks.push(repeats);
    }
    Defaults {
        repeats,
        warmup: written.warmup.unwrap_or(base.warmup),
        timeout: timeout.unwrap_or(base.timeout),
        max_output: written
            .max_output
            .as_ref()
            .and_then(|size| max_output(&at.key("max_output"), size, problems))
            .unwrap_or(base.max_output),
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
        looks,
        until,
        cell_name: written.cell_name.clone().or_else(|| base.cell_name.clone()),
    }
}

fn max_output(at: &At<'_>, written: &Scalar, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = match written {
        Scalar::Text(text) => units::bytes(text),
        Scalar::Integer(number) => u64::try_from(*number).map_err(|error| error.to_string()),
        other => Err(format!("`{other}` is not a size: write for example \"1 GiB\"")),
    };
    bytes.map_err(|message| problems.value(at, message, None)).ok()
}

/// More of them leave nothing to each.
const MOST_LOOKS: usize = 20;

/// Ascending numbers of repeats from 2 up to those that are planned.
fn looks(at: &At<'_>, looks: &[u32], repeats: u32, problems: &mut Problems<'_>) {
    let ascending = looks.windows(2).all(|pair| pair[0] < pair[1]);
    let message = if looks.is_empty() {
        "`looks = []` looks at nothing".to_owned()
    } else if looks.len() > MOST_LOOKS {
        format!("{} looks are more than {MOST_LOOKS}", looks.len())
    } else if !ascending || looks.first().is_some_and(|first| *first < 2) {
        format!("looks are ascending numbers of repeats from 2, not {looks:?}")
    } else if let Some(late) = looks.iter().find(|look| **look > repeats) {
        format!("there is no repeat {late} to look at: `repeats = {repeats}`")
    } else {
        return;
    };
    let help = "for example `looks = [3, 5, 10]` with `repeats = 10`";
    problems.value(at, message, Some(help.into()));
}

/// Fewer repeats than these have no spread to stop by.
const FEWEST_TO_STOP: u32 = 3;

fn until(
    at: &At<'_>,
    written: &written::Until,
    repeats: u32,
    problems: &mut Problems<'_>,
) -> Option<Until> {
    let width = match &written.half_width {
        Scalar::Text(text) => text
            .strip_suffix('%')
            .and_then(|share| share.trim().parse::<f64>().ok())
            .map(|percent| HalfWidth::Relative(percent / 100.0)),
        Scalar::Float(width) => Some(HalfWidth::Absolute(*width)),
        Scalar::Integer(width) => Some(HalfWidth::Absolute(*width as f64)),
        Scalar::Bool(_) => None,
    };
    let sensible = width.filter(|width| {
        let (HalfWidth::Relative(size) | HalfWidth::Absolute(size)) = width;
        *size > 0.0 && size.is_finite()
    });
    if sensible.is_none() {
        let message = format!("`{}` is no half width", written.half_width);
        let help = "a share such as \"2 %\", or a number above 0 in the metric's unit";
        problems.value(&at.key("half_width"), message, Some(help.into()));
    }
    if repeats < FEWEST_TO_STOP {
        let message = format!("with `repeats = {repeats}` there is no spread to stop by");
        let help = format!("`repeats` is the fewest: {FEWEST_TO_STOP} or more");
        problems.key(at, message, Some(help));
    }
    if written.max <= repeats {
        let message = format!("`max = {}` is not above `repeats = {repeats}`", written.max);
        problems.value(&at.key("max"), message, None);
    }
    Some(Until { half_width: sensible?, max: written.max, metric: written.metric.clone() })
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
    while let Some((before, opened)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(Ok(before.to_owned()));
        }
        let (inner, after) = opened
            .split_once('}')
            .ok_or_else(|| format!("`{pattern}` opens a brace that it does not close"))?;
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
        rest = after;
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
