//! Checks of imports: the maps that they name, the patterns of their files, and where each axis gets its level from.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::experiment::Setting;
use crate::encoding;
use crate::manifest::LoadError;
use crate::manifest::import::pattern::{PathPattern, Segment};
use crate::manifest::import::written::{self as imports, Imports};
use crate::manifest::import::{self, From, Import, Map, Source, Value, kept_map};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Level;
use crate::manifest::written;

pub(super) use crate::manifest::import::KEPT_MAPS;

/// Maps that were loaded already; several imports share one.
type Known = HashMap<PathBuf, Option<Arc<Map>>>;

/// Checks the imports of an experiment.
pub(super) fn import(
    at: &At<'_>,
    written: &written::Experiment,
    imports: &Imports,
    setting: &Setting<'_>,
    problems: &mut Problems<'_>,
) -> Option<Import> {
    meaningless(at, written, problems);
    let at_import = at.key("import");
    let several = problems.source().is_list(&at_import);
    let mut known = Known::new();
    let mut sources = Vec::new();
    for (index, own) in imports.0.iter().enumerate() {
        let indexed = at_import.index(index);
        let at = if several { &indexed } else { &at_import };
        sources.push(source(at, own, setting, &mut known, problems));
    }
    let Some(first) = imports.0.first() else {
        problems.key(&at_import, "an empty list imports nothing", None);
        return None;
    };
    for (index, own) in imports.0.iter().enumerate().skip(1) {
        if own.campaign != first.campaign {
            let message = format!(
                "the campaign is `{}`, and that of the first import `{}`: the runs of an experiment are of one",
                own.campaign, first.campaign
            );
            let help = "give each campaign an experiment of its own";
            problems.value(&at_import.index(index).key("campaign"), message, Some(help.to_owned()));
        }
    }
    if first.campaign.trim().is_empty() {
        let at = at_import.index(0);
        let at = if several { &at } else { &at_import };
        problems.value(&at.key("campaign"), "an empty text names no campaign", None);
    }
    let sources: Option<Vec<Source>> = sources.into_iter().collect();
    Some(Import { campaign: first.campaign.clone(), sources: sources? })
}

/// What means nothing where nothing is measured.
fn meaningless(at: &At<'_>, written: &written::Experiment, problems: &mut Problems<'_>) {
    let probes = &written.probes;
    let watched = probes.loop_lag.is_some()
        || probes.chunks
        || probes.gpu.is_some()
        || probes.host.is_some()
        || probes.flamegraph.is_some()
        || probes.wire.is_some();
    for (key, given) in [
        ("probes", watched),
        ("controls", !written.controls.is_empty()),
        ("retry", written.retry.is_some()),
        ("timeout", written.timeout.is_some()),
        ("warmup", written.warmup.is_some()),
        ("fallback", written.fallback.is_some()),
        ("fallback_on", written.fallback_on.is_some()),
        ("order", written.order.is_some()),
        ("seed", written.seed.is_some()),
        ("max_output", written.max_output.is_some()),
        ("max_tokens", written.max_tokens.is_some()),
        ("vary_prompt", written.vary_prompt.is_some()),
        ("vary_seed", written.vary_seed.is_some()),
        ("accept_context_full", written.accept_context_full.is_some()),
        ("looks", written.looks.is_some()),
        ("until", written.until.is_some()),
    ] {
        if given {
            let message = format!("`{key}` means nothing for an import");
            let help =
                "the runs were made before; what is known of how stands in `stated` or in the map";
            problems.key(&at.key(key), message, Some(help.to_owned()));
        }
    }
}

fn source(
    at: &At<'_>,
    written: &imports::Import,
    setting: &Setting<'_>,
    known: &mut Known,
    problems: &mut Problems<'_>,
) -> Option<Source> {
    let map_file = map_file(&written.map, setting);
    let map = map(at, &map_file, known, problems);
    let at_files = at.key("files");
    let several = problems.source().is_list(&at_files);
    let mut files = Vec::new();
    for (index, pattern) in written.files.0.iter().enumerate() {
        let indexed = at_files.index(index);
        match PathPattern::parse(pattern) {
            Ok(pattern) => files.push(pattern),
            Err(message) => {
                problems.value(if several { &indexed } else { &at_files }, message, None);
            }
        }
    }
    if written.files.0.is_empty() {
        problems.value(&at_files, "an empty list names no files", None);
    }
    let at_ignore = at.key("ignore");
    let mut ignore = Vec::new();
    for (pattern, reason) in &written.ignore {
        let at = at_ignore.key(pattern);
        match PathPattern::parse(pattern) {
            Ok(_) if reason.trim().is_empty() => {
                problems.value(&at, "say why these files are passed over", None);
            }
            Ok(pattern) => ignore.push((pattern, reason.clone())),
            Err(message) => problems.key(&at, message, None),
        }
    }
    let stated = written.stated.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let of_run = |key: &str, own: Option<&imports::Value>, problems: &mut Problems<'_>| {
        import::of_run(at, key, own, problems)
    };
    let uncounted = written
        .uncounted
        .as_ref()
        .map(|rules| import::rules(&at.key("uncounted"), rules, problems));
    let source = Source {
        map_path: written.map.clone(),
        map_file,
        root: setting.dir.join(&written.root),
        root_written: written.root.clone(),
        files,
        ignore,
        stated: stated.collect(),
        levels: import::values(&at.key("levels"), &written.levels, problems),
        repeat: of_run("repeat", written.repeat.as_ref(), problems),
        started: of_run("started", written.started.as_ref(), problems),
        finished: of_run("finished", written.finished.as_ref(), problems),
        wall: of_run("wall", written.wall.as_ref(), problems),
        uncounted,
        keeps_files: written.keep.is_some(),
        note: written.note.clone(),
        line: problems.source().line_of(at).unwrap_or(1),
        map: map?,
    };
    if source.uncounted.is_some() && source.map.calls.is_none() {
        let message = format!("`uncounted` is about calls, and the map {} knows none", written.map);
        problems.key(&at.key("uncounted"), message, None);
    }
    captures(at, &source, problems);
    Some(source)
}

/// Beside the manifest, or else where an import kept it.
fn map_file(written: &str, setting: &Setting<'_>) -> PathBuf {
    let beside = setting.dir.join(written);
    let kept = setting.kept_maps.map(|kept| kept.join(kept_map(written)));
    kept.filter(|kept| !beside.exists() && kept.is_file()).unwrap_or(beside)
}

fn map(
    at: &At<'_>,
    path: &Path,
    known: &mut Known,
    problems: &mut Problems<'_>,
) -> Option<Arc<Map>> {
    if let Some(map) = known.get(path) {
        return map.clone();
    }
    let at = at.key("map");
    let map = match import::load(path) {
        Ok(map) => Some(Arc::new(map)),
        Err(LoadError::Invalid(errors)) => {
            problems.of_other(errors);
            None
        }
        Err(LoadError::Encoding { path, reason }) => {
            let message = format!("the map {} is not UTF-8: {reason}", path.display());
            problems.value(&at, message, Some(encoding::HELP.to_owned()));
            None
        }
        Err(error) => {
            let reason = match error {
                LoadError::Read { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            let message = format!("cannot read the map {}: {reason}", path.display());
            problems.value(&at, message, Some("paths start at the manifest's folder".to_owned()));
            None
        }
    };
    known.insert(path.to_owned(), map.clone());
    map
}

/// What stands for a capture must be captured somewhere.
fn captures(at: &At<'_>, source: &Source, problems: &mut Problems<'_>) {
    let map = &source.map;
    let mut known: BTreeSet<&str> = source.files.iter().flat_map(PathPattern::captures).collect();
    known.extend(map.each.iter().flat_map(|each| &each.steps).flat_map(Segment::captures));
    let of_agents: Vec<&str> = map.agents.iter().map(|_| "agent").collect();
    let mut in_calls = known.clone();
    in_calls.extend(of_agents.iter().copied());
    in_calls.extend(map.calls.iter().flat_map(|own| &own.each.steps).flat_map(Segment::captures));
    let mut said = BTreeSet::new();
    let mut check = |value: &Value,
                     known: &BTreeSet<&str>,
                     key: &str,
                     problems: &mut Problems<'_>| {
        let From::Text(text) = &value.from else { return };
        for name in text.0.captures().filter(|name| !known.contains(name)) {
            if said.insert(name.to_owned()) {
                let message = format!(
                    "{{{name}}} is used, and nothing captures it: neither `files` nor the map {}",
                    source.map_path
                );
                problems.key(&at.key(key), message, None);
            }
        }
    };
    let mut of_levels = known.clone();
    of_levels.extend(of_agents.iter().copied());
    for value in source.levels.values() {
        check(value, &of_levels, "levels", problems);
    }
    for (key, value) in [
        ("repeat", &source.repeat),
        ("started", &source.started),
        ("finished", &source.finished),
        ("wall", &source.wall),
    ] {
        if let Some(value) = value {
            check(value, &known, key, problems);
        }
    }
    let replaced = |name: &str| source.levels.contains_key(name);
    for (_, value) in map.levels.iter().filter(|(name, _)| !replaced(name)) {
        check(value, &of_levels, "map", problems);
    }
    let of_run = source.repeat.is_none().then_some(&map.repeat);
    let facts = of_run.into_iter().chain(&map.started).chain(&map.finished).chain(&map.wall);
    for value in facts.chain(map.stages.values()).chain(map.evidence.values()) {
        check(value, &known, "map", problems);
    }
    for value in map.agents.iter().flat_map(|own| own.facts.values()) {
        check(value, &of_levels, "map", problems);
    }
    for value in map.calls.iter().flat_map(|own| own.facts.values().chain(&own.stage)) {
        check(value, &in_calls, "map", problems);
    }
    for metric in &map.metrics {
        check(&metric.value, &in_calls, "map", problems);
    }
}

/// Every axis must get its level from somewhere.
pub(super) fn sources_of_levels(
    at: &At<'_>,
    import: &Import,
    axes: &IndexMap<String, Vec<Level>>,
    problems: &mut Problems<'_>,
) {
    let at_import = at.key("import");
    let several = problems.source().is_list(&at_import);
    for (index, source) in import.sources.iter().enumerate() {
        let indexed = at_import.index(index);
        let at = if several { &indexed } else { &at_import };
        let agents: &[String] = source.map.agents.as_ref().map_or(&[], |agents| &agents.names);
        let read: BTreeSet<String> = source
            .levels
            .keys()
            .chain(source.map.levels.keys())
            .flat_map(|name| expanded(name, agents))
            .collect();
        let missing: Vec<&String> = axes
            .keys()
            .filter(|axis| {
                let captured = |pattern: &PathPattern| pattern.captures().any(|name| name == *axis);
                !read.contains(*axis) && !source.files.iter().all(captured)
            })
            .collect();
        if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|axis| format!("`{axis}`")).collect();
            let message = format!("nothing says the level of {}", names.join(", "));
            let help = format!(
                "capture it in `files` ({{{0}}}), or write `levels = {{ {0} = … }}` here or in the map",
                missing[0]
            );
            problems.key(at, message, Some(help));
        }
    }
}

/// `{agent}.num_gpu` is one level for each agent.
fn expanded(name: &str, agents: &[String]) -> Vec<String> {
    if name.contains("{agent}") {
        agents.iter().map(|agent| name.replace("{agent}", agent)).collect()
    } else {
        vec![name.to_owned()]
    }
}
