//! The last pass: meaning. Names, references, units and files; the profile is applied on the way.

mod axes;
mod called;
mod claim;
mod cold;
mod command;
mod endpoint;
mod experiment;
mod failure;
mod hypothesis;
mod import;
mod listed;
mod names;
mod options;
mod paced;
mod price;
mod probes;
mod recommendation;
mod scenario;
mod selection;
mod server;
mod settings;
mod tokenize;
mod variant;
mod workflow;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use self::endpoint::endpoint;
use self::experiment::experiment;
use self::names::{model_names, name, name_of_key, named, reference};
use self::options::option_set;
use self::price::price;
use self::scenario::{prompts, runtimes, scenarios};
use self::settings::defaults;
use self::tokenize::{corpora, tokenizers};
use self::workflow::workflows;
use super::LoadError;
use super::nearest::suggest;
use super::problem::{Problem, Problems};
use super::source::{At, Source};
use super::study::{Defaults, Endpoint, Options, Study, Workflow};
use super::written::{self, Manifest, Settings};
pub use names::{NAME_HELP, is_name};
pub use settings::{PatternPart, pattern};

/// The grammar's version that this program reads.
const SCHEMA: u32 = 1;

pub(super) fn check(
    source: Source,
    written: &Manifest,
    profile: Option<&str>,
    results: Option<&Path>,
    structure: Vec<Problem>,
) -> Result<Study, LoadError> {
    let selected = match profile {
        None => None,
        Some(name) => match written.profile.get_key_value(name) {
            Some((name, overlay)) => Some((name.as_str(), overlay)),
            None => {
                return Err(LoadError::UnknownProfile {
                    path: source.path,
                    profile: name.to_owned(),
                    help: suggest(name, written.profile.keys().map(String::as_str)),
                });
            }
        },
    };
    let dir = match source.path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => Path::new(".").to_owned(),
    };
    let mut problems = Problems::after(&source, structure);

    if written.schema != SCHEMA {
        let help = if written.schema > SCHEMA {
            "this manifest is for a newer version of the program"
        } else {
            "write `schema = 1`"
        };
        let message = format!("grammar version {} is not known", written.schema);
        problems.value(&At::ROOT.key("schema"), message, Some(help.into()));
    }
    name(&mut problems, &At::ROOT.key("name"), &written.name);
    for (section, names) in named(written) {
        let at = At::ROOT.key(section);
        for key in names {
            name_of_key(&mut problems, &at.key(key), key);
        }
    }

    let mut common = Common::new(written, selected, &dir, &mut problems);
    common.prompts = prompts(written, &dir, &mut problems);
    common.workflows = workflows(written, &common.prompts, &dir, &mut problems);
    let scenarios = scenarios(written, &common, &mut problems);
    let runtimes = runtimes(written, &mut problems);
    let tokenizers = tokenizers(written, &dir, &mut problems);
    let corpora = corpora(written, &dir, &mut problems);
    let mut warnings = Vec::new();
    let kept_maps = results.map(|results| {
        results.join(super::study::results_name(&written.name, profile)).join(import::KEPT_MAPS)
    });
    let experiments: Vec<_> = written
        .experiment
        .iter()
        .filter_map(|(key, body)| {
            let setting = experiment::Setting {
                source: &source,
                dir: &dir,
                kept_maps: kept_maps.as_deref(),
                common: &common,
                scenarios: &scenarios,
                runtimes: &runtimes,
                tokenizers: &tokenizers,
                corpora: &corpora,
            };
            experiment(&setting, key, body, &mut problems, &mut warnings)
        })
        .collect();
    command::agreement(&experiments, &mut problems);
    if written.experiment.is_empty() {
        let help = "add [experiment.NAME] with a matrix; `runner init` writes a starter manifest";
        problems.key(&At::ROOT, "the manifest has no experiment", Some(help.into()));
    }
    let (on_failure, outliers) =
        failure::study_wide(&common.written, &common.overlay, &mut problems);
    let claims = claim::claims(written, &experiments, &common, &mut problems);
    let recommendations = recommendation::recommendations(written, &mut problems);
    let price = price(written, profile, &mut problems);
    let Common { endpoints, renamed, models, defaults, .. } = common;
    problems.finish()?;
    Ok(Study {
        name: written.name.clone(),
        title: written.title.clone(),
        report: written.report.clone(),
        profile: profile.map(str::to_owned),
        profiles: written.profile.keys().cloned().collect(),
        path: source.path.clone(),
        dir,
        defaults,
        endpoints,
        renamed_endpoints: renamed,
        models,
        scenarios,
        runtimes,
        tokenizers,
        corpora,
        experiments,
        on_failure,
        outliers,
        claims,
        recommendations,
        price,
        warnings,
        source,
    })
}

/// What several parts of a manifest refer to, with the profile applied.
pub(super) struct Common {
    pub endpoints: IndexMap<String, Endpoint>,
    pub renamed: IndexMap<String, String>,
    pub options: IndexMap<String, Options>,
    pub prompts: IndexMap<String, String>,
    pub workflows: IndexMap<String, Arc<Workflow>>,
    pub models: IndexMap<String, String>,
    pub defaults: Defaults,
    /// The settings of [defaults] as written.
    pub written: Settings,
    /// The profile's settings: they win over an experiment's own.
    pub overlay: Settings,
    /// A profile is applied: what is declared may not be what it was written for.
    pub profiled: bool,
}

impl Common {
    fn new(
        written: &Manifest,
        selected: Option<(&str, &written::Profile)>,
        dir: &Path,
        problems: &mut Problems<'_>,
    ) -> Self {
        let at_endpoint = At::ROOT.key("endpoint");
        let renamed = endpoint::renamed(written, problems);
        let mut endpoints = IndexMap::new();
        for (key, body) in &written.endpoint {
            if let Some(endpoint) = endpoint(&at_endpoint.key(key), body, dir, problems) {
                endpoints.insert(key.clone(), endpoint);
            }
        }
        let at_options = At::ROOT.key("options");
        let mut options: IndexMap<String, Options> = written
            .options
            .iter()
            .map(|(key, body)| (key.clone(), option_set(&at_options.key(key), body, problems)))
            .collect();

        let at_profiles = At::ROOT.key("profile");
        for (profile, overlay) in &written.profile {
            let at = at_profiles.key(profile);
            let is_selected = selected.is_some_and(|(name, _)| name == profile);
            let at_endpoint = at.key("endpoint");
            for (key, body) in &overlay.endpoint {
                let at = at_endpoint.key(key);
                reference(problems, &at, "endpoint", key, written.endpoint.keys(), true);
                if let Some(endpoint) = endpoint(&at, body, dir, problems)
                    && is_selected
                {
                    endpoints.insert(key.clone(), endpoint);
                }
            }
            let at_options = at.key("options");
            for (key, body) in &overlay.options {
                let at = at_options.key(key);
                reference(problems, &at, "set of options", key, written.options.keys(), true);
                let set = option_set(&at, body, problems);
                if is_selected {
                    options.insert(key.clone(), set);
                }
            }
            let known: BTreeSet<&String> = model_names(written);
            let at_model = at.key("model");
            for key in overlay.model.keys() {
                reference(problems, &at_model.key(key), "model", key, known.iter().copied(), true);
            }
            // Checked for every profile, also those that are not applied today.
            defaults(&at.key("defaults"), &overlay.defaults, &Defaults::default(), problems);
            failure::check(&at.key("defaults"), &overlay.defaults, problems);
        }

        let own =
            defaults(&At::ROOT.key("defaults"), &written.defaults, &Defaults::default(), problems);
        let overlay = selected.map(|(_, profile)| profile.defaults.clone()).unwrap_or_default();
        let mut quiet = Problems::new(problems.source());
        let defaults = defaults(&At::ROOT, &overlay, &own, &mut quiet);
        let models = selected.map(|(_, profile)| profile.model.clone()).unwrap_or_default();
        Self {
            endpoints,
            renamed,
            options,
            prompts: IndexMap::new(),
            workflows: IndexMap::new(),
            models,
            defaults,
            written: written.defaults.clone(),
            overlay,
            profiled: selected.is_some(),
        }
    }
}
