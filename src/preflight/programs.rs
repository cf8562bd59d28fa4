//! Programs of command experiments: whether they can be started, looked for as starting them will.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::needs::ProgramNeed;
use super::{Facts, Finding, Needs, Subject};
use crate::manifest::template::{Place, Template};
use crate::os::process;

/// Where the C library looks for a name when the environment has no PATH.
const WITHOUT_PATH: &str = if cfg!(unix) { "/bin:/usr/bin" } else { "" };

/// What stands against starting each, by its place among the needs.
pub(super) fn faults(needs: &Needs, study_folder: &Path) -> BTreeMap<usize, String> {
    let study = std::path::absolute(study_folder).unwrap_or_else(|_| study_folder.to_owned());
    let faults = needs.programs.iter().enumerate();
    faults.filter_map(|(place, need)| Some((place, fault(need, &study)?))).collect()
}

fn fault(need: &ProgramNeed, study: &Path) -> Option<String> {
    let cwd = match &need.cwd {
        None => study.to_owned(),
        Some(cwd) => study.join(before_a_run(cwd, study)?),
    };
    if !cwd.is_dir() {
        return Some(format!("there is no folder {} to start it in", cwd.display()));
    }
    let program = before_a_run(&need.program, study)?;
    if program.contains(['/', '\\']) {
        let file = study.join(program);
        return match (file.is_file(), process::is_executable(&file)) {
            (true, true) => None,
            (true, false) => Some(format!("{} is not executable", file.display())),
            (false, _) => Some(format!("No such file: {}", file.display())),
        };
    }
    let path = env::var_os("PATH").filter(|_| need.sees_path);
    let path = path.unwrap_or_else(|| OsString::from(WITHOUT_PATH));
    let found = candidates(&program, &path, &cwd);
    let there: Vec<PathBuf> = found.into_iter().filter(|file| file.is_file()).collect();
    if there.iter().any(|file| process::is_executable(file)) {
        return None;
    }
    Some(match there.first() {
        Some(file) => format!("{} is not executable", file.display()),
        None if need.sees_path => "no folder on PATH has it".to_owned(),
        None => format!("it does not see PATH, and {WITHOUT_PATH} has no such file"),
    })
}

/// A word that is known before a run.
fn before_a_run(word: &Template, study: &Path) -> Option<String> {
    let unknown = |place| matches!(place, Place::Out | Place::Repeat);
    if word.places().any(unknown) {
        return None;
    }
    Some(word.fill(|_| study.display().to_string()))
}

/// In the order of the search; a relative folder starts where the program does.
fn candidates(program: &str, path: &OsStr, cwd: &Path) -> Vec<PathBuf> {
    let suffixes: &[&str] = if cfg!(windows) { &["", ".exe"] } else { &[""] };
    env::split_paths(path)
        .flat_map(|folder| suffixes.iter().map(move |end| folder.join(format!("{program}{end}"))))
        .map(|file| cwd.join(file))
        .collect()
}

pub(super) fn findings(needs: &Needs, facts: &Facts) -> Vec<Finding> {
    let faults = facts.programs.iter().filter_map(|(place, reason)| {
        let need = needs.programs.get(*place)?;
        let message =
            format!("cannot start it (line {} of the manifest): {reason}", need.line);
        let advice = "install it, or correct `command`, `cwd` or `env`; a name without a folder is \
                      looked for on PATH, a path starts at the manifest's folder and must be executable";
        let subject = Subject::Command(need.program.to_string());
        Some(Finding::blocking(subject, message, advice).about(&need.cells))
    });
    faults.collect()
}
