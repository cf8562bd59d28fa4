//! Every file below the roots of a study's imports, and which import it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{ImportError, PassedOver, Roots};
use crate::manifest::import::Source;
use crate::manifest::import::pattern::Captures;
use crate::manifest::study::Study;

/// The files of all imports.
#[derive(Debug, Default)]
pub struct Tree {
    /// By experiment and number of the import in it.
    of: BTreeMap<(usize, usize), Matched>,
    /// Files that no import reads or passes over, as they are shown.
    unaccounted: Vec<String>,
}

/// The files of one import.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// The folder, without links and detours.
    pub root: PathBuf,
    /// Paths below the root with `/`, and what their patterns captured.
    pub files: Vec<(String, Captures)>,
    /// By pattern of `ignore`, how many files.
    ignored: BTreeMap<usize, usize>,
}

impl Matched {
    pub fn passed_over<'s>(&'s self, source: &'s Source) -> impl Iterator<Item = PassedOver> + 's {
        self.ignored.iter().filter_map(|(index, files)| {
            let (pattern, because) = source.ignore.get(*index)?;
            Some(PassedOver {
                pattern: pattern.written.clone(),
                because: because.clone(),
                files: *files,
            })
        })
    }
}

impl Tree {
    pub fn walk(study: &Study, roots: &Roots) -> Result<Self, ImportError> {
        let mut listed: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let mut tree = Self::default();
        let mut accounted: BTreeSet<PathBuf> = BTreeSet::new();
        let mut seen: Vec<(PathBuf, String)> = Vec::new();
        for (index, experiment) in study.experiments.iter().enumerate() {
            let sources = experiment.kind.import().map_or(&[][..], |own| &own.sources);
            for (number, source) in sources.iter().enumerate() {
                let root = roots.of(&experiment.name, source);
                let failed = |reason: String| ImportError::Root {
                    path: root.display().to_string(),
                    experiment: experiment.name.clone(),
                    reason,
                };
                if !root.is_dir() {
                    let reason = if root.exists() { "it is no folder" } else { "it is not there" };
                    return Err(failed(reason.to_owned()));
                }
                let real = root.canonicalize().map_err(|error| failed(error.to_string()))?;
                if !listed.contains_key(&real) {
                    listed.insert(real.clone(), files(&real).map_err(failed)?);
                }
                let matched = tree.of.entry((index, number)).or_default();
                matched.root.clone_from(&real);
                for path in listed.get(&real).into_iter().flatten() {
                    let parts: Vec<&str> = path.split('/').collect();
                    let place = parts.iter().fold(real.clone(), |place, part| place.join(part));
                    if let Some(captures) = source.files.iter().find_map(|own| own.matched(&parts))
                    {
                        matched.files.push((path.clone(), captures));
                        accounted.insert(place);
                    } else if let Some(pattern) =
                        source.ignore.iter().position(|(own, _)| own.matched(&parts).is_some())
                    {
                        *matched.ignored.entry(pattern).or_default() += 1;
                        accounted.insert(place);
                    } else {
                        let shown = format!("{}/{path}", source.root_written.trim_end_matches('/'));
                        seen.push((place, shown));
                    }
                }
            }
        }
        seen.sort();
        seen.dedup_by(|(a, _), (b, _)| a == b);
        let left = seen.into_iter().filter(|(place, _)| !accounted.contains(place));
        tree.unaccounted = left.map(|(_, shown)| shown).collect();
        Ok(tree)
    }

    /// The files of an import.
    #[must_use]
    pub fn of(&self, experiment: usize, number: usize) -> Matched {
        self.of.get(&(experiment, number)).cloned().unwrap_or_default()
    }

    pub fn unaccounted(&self) -> impl Iterator<Item = String> + '_ {
        self.unaccounted.iter().cloned()
    }
}

/// Paths of everything below a folder that is no folder, with `/`, sorted. Links are not followed: they are files
/// that cannot be read.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let parts: Vec<_> =
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        found.push(parts.join("/"));
    }
    Ok(found)
}
