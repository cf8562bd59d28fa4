//! A checked study: every reference resolved, every unit normalised, the profile applied.

mod claims;
mod experiment;
mod probes;
mod scenario;
mod settings;

use std::path::PathBuf;

pub use formats::endpoint::{Api, Dialect, Endpoint, HeaderText, MaxTokensKey, Route, Server};
pub use formats::pacing::{Fault, FaultKind, JitterShape, Pacing};
use indexmap::IndexMap;

pub use self::claims::{
    Claim, ClaimAs, ClaimOver, ClaimSide, ClaimStatistic, Ground, GroundOf, Hypothesis, Published,
    Quantity, Recommendation, Tolerance,
};
pub use self::experiment::{Experiment, ExperimentKind, Level, ListedCell, Override, Tokenize};
pub use self::probes::{Control, FlamegraphProbe, GpuProbe, Probes, SampledProbe, WireProbe};
pub use self::scenario::{Options, ScenarioAgent, Work, Workflow};
pub use self::settings::{
    Defaults, Fallback, FallbackOn, HalfWidth, Mad, OnFailure, Order, Outliers, Price, Retry,
    RetryOn, Until,
};
use super::source::Source;
use crate::corpus;

/// What a manifest declares, checked and with its profile applied.
#[derive(Debug, Clone)]
pub struct Study {
    pub name: String,
    pub title: Option<String>,
    /// Template name under `templates/`, or a path relative to [`Study::dir`].
    pub report: Option<String>,
    /// The profile that was applied, if any.
    pub profile: Option<String>,
    /// Every profile that the manifest declares.
    pub profiles: Vec<String>,
    /// The manifest's path, as given.
    pub path: PathBuf,
    /// The folder of the manifest; relative paths in it start here.
    pub dir: PathBuf,
    pub defaults: Defaults,
    pub endpoints: IndexMap<String, Endpoint>,
    /// Names that endpoints had before, by today's.
    pub renamed_endpoints: IndexMap<String, String>,
    /// Model names of the manifest → what this profile asks the servers for.
    pub models: IndexMap<String, String>,
    pub scenarios: IndexMap<String, Vec<ScenarioAgent>>,
    /// The user's own runtimes (`[runtime.NAME] command = […]`).
    pub runtimes: IndexMap<String, RuntimeCommand>,
    /// Declared tokenizers; [`Study::tokenizer`] knows those that are not.
    pub tokenizers: IndexMap<String, TokenizerFile>,
    /// Named texts of tokenizer experiments.
    pub corpora: IndexMap<String, corpus::Source>,
    pub experiments: Vec<Experiment>,
    /// When execution stops because runs failed.
    pub on_failure: OnFailure,
    pub outliers: Outliers,
    /// Published numbers that stored runs are held against.
    pub claims: Vec<Claim>,
    pub recommendations: Vec<Recommendation>,
    /// With the profile's in place of the study's.
    pub price: Price,
    /// Findings that do not stop the study, for `check`, `plan` and the report.
    pub warnings: Vec<String>,
    /// The manifest's text, for errors that are found later and for the record.
    pub source: Source,
}

impl Study {
    /// The folder under the results folder: `name` or `name@profile`.
    #[must_use]
    pub fn results_name(&self) -> String {
        results_name(&self.name, self.profile.as_deref())
    }

    /// The file of a tokenizer: as declared, or else by its name in the folder `tokenizers` beside
    /// the manifest.
    #[must_use]
    pub fn tokenizer(&self, name: &str) -> TokenizerFile {
        self.tokenizers.get(name).cloned().unwrap_or_else(|| TokenizerFile {
            path: self.dir.join("tokenizers").join(name).join("tokenizer.json"),
            sha256: None,
        })
    }
}

/// The folder of a study and its profile under the results folder.
pub(super) fn results_name(name: &str, profile: Option<&str>) -> String {
    profile.map_or_else(|| name.to_owned(), |profile| format!("{name}@{profile}"))
}

/// Where a tokenizer is. Its content is met, not asked for, like that of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFile {
    /// Not absolute where the manifest's path is not.
    pub path: PathBuf,
    /// Declared digest, hex.
    pub sha256: Option<String>,
}

/// A user's own runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeCommand {
    pub command: Vec<String>,
}
