//! The study a command works on: manifest, profile, filters, results; resolved in one place.

use std::path::PathBuf;

use super::{Failure, exit};
use crate::cells::Filters;
use crate::cells::filter::Vocabulary;
use crate::execute::until;
use crate::manifest::{self, ManifestErrors, Study};
use crate::metrics;
use crate::plan::Plan;
use crate::python;
use crate::store::Store;
use crate::verdict;

/// Shared by all commands that take a manifest.
#[derive(Debug, Clone, clap::Args)]
pub struct StudyArgs {
    /// The manifest, e.g. experiments/quickstart.toml
    pub manifest: PathBuf,
    /// Apply this profile of the manifest
    #[arg(long)]
    pub profile: Option<String>,
    /// Only these cells: experiment=NAME, cell=ID, cell~text, factor=value, factor~text or an id,
    /// joined by commas (and); repeated flags are alternatives (or)
    #[arg(long = "filter", value_name = "EXPR")]
    pub filters: Vec<String>,
    /// Folder of the results
    #[arg(long, default_value = "results", env = "RUNNER_RESULTS")]
    pub results: PathBuf,
}

impl StudyArgs {
    /// Loads and checks the manifest and applies the profile.
    pub fn study(&self) -> Result<Study, Failure> {
        let (profile, results) = (self.profile.as_deref(), Some(self.results.as_path()));
        manifest::load_with(&self.manifest, profile, results).map_err(Failure::load)
    }

    /// Loads the study, plans it and applies the filters; experiments that repeat until a width is reached have
    /// the repeats that their stored runs ask for.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let study = self.study()?;
        check(&study).map_err(Failure::manifest)?;
        let filters = Filters::parse(&self.filters, &Vocabulary::of(&study))
            .map_err(|error| Failure::new(exit::USAGE, &error, error.help.as_deref()))?;
        let plan = Plan::new(study, &filters).map_err(Failure::manifest)?;
        if plan.cells() == 0 {
            let message = format!("no cell matches --filter {}", self.filters.join(" --filter "));
            return Err(Failure::new(exit::USAGE, message, None));
        }
        if plan.study().experiments.iter().all(|own| own.settings.until.is_none()) {
            return Ok(plan);
        }
        let store = Store::of(&plan, &self.results)
            .map_err(|error| Failure::error(exit::INTERNAL, error))?;
        Ok(until::adapted(plan, &store))
    }
}

/// What the manifest's own checks cannot know: the metrics that there are.
pub fn check(study: &Study) -> Result<(), ManifestErrors> {
    metrics::check_declared(study)?;
    verdict::claim_problems(study)?;
    until::check(study)
}

/// Which Python the runtime of that name uses, as this process's environment says.
pub fn python() -> python::Setup {
    python::Setup::from_environment(&|name| std::env::var_os(name))
}
