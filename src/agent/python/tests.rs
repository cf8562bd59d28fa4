//! What ships, and what the environment says of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{PROGRAM, REQUIREMENTS, Setup};

#[test]
fn every_file_of_the_program_ships() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent/python/program");
    let files: BTreeSet<String> = walkdir::WalkDir::new(&folder)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "py"))
        .map(|entry| entry.path().strip_prefix(&folder).unwrap().to_str().unwrap().to_owned())
        .collect();
    let shipped: BTreeSet<String> = PROGRAM.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(files, shipped);
}

#[test]
fn the_program_has_the_version_of_this_one() {
    let version = format!("VERSION = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(PROGRAM.iter().any(|(_, text)| text.contains(&version)));
}

#[test]
fn every_package_is_pinned_by_content_and_no_index_is_named() {
    let mut pinned = 0;
    for line in REQUIREMENTS.replace("\\\n", "").lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
        pinned += 1;
    }
    assert!(pinned >= 8);
    assert!(!REQUIREMENTS.contains("index") || !REQUIREMENTS.contains("://"));
}

#[test]
fn the_environment_names_the_interpreter_and_the_cache() {
    let setup = |variables: &[(&str, &str)]| {
        let variables = variables.to_vec();
        Setup::from_environment(&move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    let usual = setup(&[("HOME", "/home/u")]);
    assert_eq!(usual.cache, Some(PathBuf::from("/home/u/.cache/runner")));
    let named = setup(&[
        ("HOME", "/home/u"),
        ("XDG_CACHE_HOME", "/c"),
        ("RUNNER_PYTHON", "/opt/python"),
        ("RUNNER_CACHE", ""),
    ]);
    assert_eq!(named.interpreter, PathBuf::from("/opt/python"));
    assert_eq!(named.cache, Some(PathBuf::from("/c/runner")));
    assert_eq!(setup(&[("RUNNER_CACHE", "/r")]).cache, Some(PathBuf::from("/r")));
    assert_eq!(setup(&[]).cache, None);
}
